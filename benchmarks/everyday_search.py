"""How well does an encoder find everyday things? Precision@10 of twenty broad queries over ordinary photographs.

    python -m benchmarks.everyday_search FOLDER [--model starter-clip]

FOLDER holds photographs, one each of many ImageNet classes, and labels.csv (filename, wnid, name). What counts as
right was decided by hand from the class names, before any search: everyday_search.txt, one line a query. A range
"first … last" means all classes between the two in the order of their WordNet ids.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import tempfile
from pathlib import Path

from benchmarks.machine import describe_machine
from tools import index_images, search_images
from tools.core.settings import Settings, quieten_libraries
from tools.core.workspace import Workspace

RELEVANT = Path(__file__).with_suffix(".txt")


@dataclasses.dataclass(frozen=True)
class Score:
    """What one query found."""

    query: str
    relevant: int  # pictures that would count
    precision: float  # share of the ten nearest that count
    found: list[str]  # class names of the ten nearest


def relevant_names(rule: str, names: list[str]) -> set[str]:
    """Resolve the right side of a line: a list of names and ranges, over names in the order of their WordNet ids.

    Names that the folder has no picture of are allowed; an end of a range must exist.
    """
    chosen: set[str] = set()
    for part in (part.strip() for part in rule.split(",")):
        first, _, last = (piece.strip() for piece in part.partition("…"))
        if last:
            chosen.update(names[names.index(first) : names.index(last) + 1])
        else:
            chosen.add(first)
    return chosen & set(names)


def measure(folder: Path, model: str) -> list[Score]:
    """Index the folder with `model` into a fresh workspace and ask the twenty queries."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: row["wnid"])
    names = [row["name"] for row in rows]
    name_of = {row["filename"]: row["name"] for row in rows}
    scores = []
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(dataclasses.replace(Settings.from_env(), home=Path(home)))
        index_images(workspace, str(folder), "photos", model)
        for line in RELEVANT.read_text(encoding="utf-8").splitlines():
            query, rule = (part.strip() for part in line.split("=", 1))
            right = relevant_names(rule, names)
            found = [name_of[Path(hit.file).name] for hit in search_images(workspace, query, k=10).hits]
            scores.append(Score(query, len(right), sum(name in right for name in found) / 10, found))
    return scores


def main() -> None:
    """Print the table."""
    quieten_libraries()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="starter-clip")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    given = parser.parse_args()
    scores = measure(given.folder, given.model)
    mean = sum(score.precision for score in scores) / len(scores)
    if given.json:
        print(json.dumps({"mean_precision_at_10": mean, "queries": [dataclasses.asdict(s) for s in scores]}, indent=1))
        return
    print(f"{given.model}, {len(scores)} queries; {describe_machine()}\n")
    print("| query | pictures that count | precision@10 | found |\n| --- | --- | --- | --- |")
    for score in scores:
        print(f"| {score.query} | {score.relevant} | {score.precision:.1f} | {', '.join(score.found)} |")
    print(f"| **mean** | | **{mean:.3f}** | |")


if __name__ == "__main__":
    main()
