"""The README.md that goes along with what is published: front matter, where it came from, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tools.core.encoders import STARTER
from tools.core.errors import DataError
from tools.core.library import Card, Kind, Library
from tools.core.pairs.dataset import PAIRS
from tools.hub.parquet import Written
from tools.hub.scrub import source_without_path, without_paths

if TYPE_CHECKING:
    import datasets

YOUTUBE = (
    "YouTube's API policies allow to keep what was fetched for 30 days, then it is to be fetched again or deleted; "
    "thumbnails and titles belong to their creators, and publishing them is a matter of their rights"
)
CREATORS = "it was trained on thumbnails and titles that belong to their creators"
IMAGENET = (
    "its base model starter-clip was trained on Tiny ImageNet: ImageNet's terms (non-commercial research and education)"
)
DATA = "it was trained on data that belongs to whoever made it: see where it came from"
PICTURES = "the pictures and texts belong to whoever made them; publish only what you may"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
USE = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{repo}")
```"""
HIDDEN = ("kind", "key")  # of a card's parameters


def ancestors(library: Library, card: Card) -> list[Card]:
    """Return an artifact's card and those of everything it was made from that is still in the library."""
    known = {one.reference: one for one in library.cards()}
    found, waiting = {card.reference: card}, list(card.parents)
    while waiting:
        one = known.get(waiting.pop(0))
        if one and one.reference not in found:
            found[one.reference] = one
            waiting += one.parents
    return list(found.values())


def terms(cards: Iterable[Card], columns: Iterable[str] = ()) -> list[str]:
    """Return what is to be known of rights and policies, from the cards of something and of what it was made from."""
    every = list(cards)
    if every[0].kind is Kind.MODEL:
        named = set().union(*(_strings(card.parameters) for card in every))
        return [CREATORS if PAIRS in named else DATA, *([IMAGENET] if STARTER in named else [])]
    told = list(dict.fromkeys(filter(None, map(_policy, every))))
    youtube = any("youtube" in card.source.lower() for card in every) or "video_id" in set(columns)
    return told or [YOUTUBE if youtube else PICTURES]


def is_youtube(notes: Iterable[str]) -> bool:
    """Tell whether YouTube's policies are among the notes."""
    return any("youtube" in note.lower() for note in notes)


def _policy(card: Card) -> str:
    """Return the policy that a collector wrote into the card; empty when there is none."""
    named = [str(value) for name, value in card.parameters.items() if "policy" in name.lower() and value]
    return " ".join(named).rstrip(".")


def _strings(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        return set().union(*map(_strings, value.values())) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*map(_strings, value)) if value else set()
    return {value} if isinstance(value, str) else set()


def dataset_readme(
    cards: list[Card],
    repo: str,
    written: Written,
    features: datasets.Features,
    download: int,
    notes: list[str],
) -> str:
    """Return the README of a dataset, with which `datasets.load_dataset(repo)` finds the splits and their columns.

    Args:
        cards: The dataset's card, then those of what it was made from.
        repo: Where it will be: you/name.
        written: What was written for it.
        features: The columns and their types.
        download: Bytes of the data files.
        notes: On rights and policies.
    """
    import datasets

    card = cards[0]
    splits = {
        split: datasets.SplitInfo(split, num_bytes=written.data_bytes[split], num_examples=count)
        for split, count in written.rows.items()
    }
    info = datasets.DatasetInfo(
        features=features,
        splits=datasets.SplitDict(splits),
        download_size=download,
        dataset_size=sum(written.data_bytes.values()),
    )
    count = sum(written.rows.values())
    pairs = card.parameters.get("kind") == PAIRS
    front: dict[str, Any] = {
        "license": "other",
        "pretty_name": card.name,
        "tags": [
            "pairwright",
            "image",
            *(["image-text-pairs"] if pairs else []),
            *(["youtube"] if is_youtube(notes) else []),
        ],
        "size_categories": [next((name for limit, name in SIZES if count < limit), "n>1M")],
    }
    datasets.info.DatasetInfosDict({"default": info}).to_dataset_card_data(front)
    front["configs"] = [
        {
            "config_name": "default",
            "data_files": [{"split": split, "path": f"data/{split}-*"} for split in written.rows],
        }
    ]
    body = [
        f"# {card.name}",
        "Pictures with their titles." if pairs else "A dataset.",
        f'```python\nfrom datasets import load_dataset\n\ndata = load_dataset("{repo}")\n```',
        "## What is in it",
        _list(
            {
                "rows": ", ".join(f"{split} {number}" for split, number in written.rows.items()),
                "columns": ", ".join(features),
            }
        ),
        "## Where it came from",
        "\n\n".join(_history(one) for one in cards),
        *_terms_section(notes),
        "Made with Pairwright.",
    ]
    return _readme(front, "\n\n".join(body))


def model_readme(existing: str, cards: list[Card], repo: str, notes: list[str]) -> str:
    """Return the README of a model: its own card with front matter for the hub, its history and notes on rights added.

    Raises:
        DataError: The front matter of its own card is damaged.
    """
    from huggingface_hub import RepoCard

    card = cards[0]
    try:
        own = RepoCard(existing or "---\n{}\n---\n", ignore_metadata_errors=True)
    except Exception as error:  # of several YAML libraries
        raise DataError(f"The README.md of {card.reference} has a damaged front matter: mend it ({error})") from error
    known: dict[str, Any] = own.data.to_dict()  # type: ignore[no-untyped-call]
    front = {"library_name": "sentence-transformers", "pipeline_tag": "sentence-similarity", "license": "other"} | known
    front["tags"] = list(dict.fromkeys([*(known.get("tags") or []), "sentence-transformers", "pairwright"]))
    body = own.text.strip() or f"# {card.name}\n\n{USE}"
    body = body.replace(f'SentenceTransformer("{card.name}")', f'SentenceTransformer("{repo}")').replace("{repo}", repo)
    history = ["## Where it came from", *(_history(one) for one in cards)]
    new = [note for note in notes if not any(word in note and word in body for word in ("creators", "ImageNet"))]
    return _readme(front, without_paths("\n\n".join([body, *history, *_terms_section(new)])))


def _readme(front: Mapping[str, Any], body: str) -> str:
    from huggingface_hub.repocard_data import CardData

    return f"---\n{CardData(**front).to_yaml()}\n---\n\n{body}\n"


def _history(card: Card) -> str:
    """Return what is known of an artifact, paths of this machine shortened."""
    facts: dict[str, Any] = {
        "made": card.created[:10],
        "from": source_without_path(card.source),
        "made from": ", ".join(card.parents),
        **{name: _plain(value) for name, value in card.parameters.items() if name not in HIDDEN},
        "seed": card.seed,
        **card.counts,
        **{name: f"{value:.4g}" for name, value in card.metrics.items()},
        "content hash": card.content_hash,
    }
    return f"### {card.reference}\n\n{_list(facts)}"


def _plain(value: Any) -> str | None:
    """Return a parameter as a line; nothing for what has structure, which is for the program alone."""
    if isinstance(value, str):
        return source_without_path(value)
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(without_paths(str(one)) for one in value)
    return None


def _list(facts: Mapping[str, Any]) -> str:
    """Write facts as a list, values in code so that they stay text."""
    return "\n".join(
        f"- {name.replace('_', ' ')}: `{' '.join(str(value).split()).replace('`', chr(39))[:500]}`"
        for name, value in facts.items()
        if value not in ("", None)
    )


def _terms_section(notes: list[str]) -> list[str]:
    lines = "\n".join(f"- {note[:1].upper()}{note[1:]}." for note in notes)
    return ["## Rights and policies", lines] if notes else []
