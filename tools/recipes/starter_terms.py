"""The words the starter image-text model is taught: everyday and broader terms for its 200 classes.

Tiny ImageNet names its classes as a zoologist would ("Arabian camel", "beach wagon"). People ask for "a dog", "a
truck", "something to eat". `starter_terms.txt`, written by hand for this project, gives every class the broader and
everyday words that are true of its pictures, one group a line: terms = classes. `terms_of` joins them with the class's
own synonyms.
"""

from __future__ import annotations

from pathlib import Path

TERMS_FILE = Path(__file__).with_name("starter_terms.txt")


TEMPLATES = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a photo of the {}",
    "a picture of {}",
    "a close-up photo of a {}",
    "a blurry photo of a {}",
    "a small picture of a {}",
)


CONTEXTS = (  # what people add to a thing when they look for it; the picture need not show it
    "{}",
    "{}s",
    "a {} in the snow",
    "{}s in the snow",
    "a {} on the grass",
    "a {} at the beach",
    "a {} in the water",
    "a {} on a table",
    "{}s in a field",
    "a {} on the street",
    "a {} in the forest",
    "a {} at night",
    "a {} on a sofa",
    "{}s in the mountains",
    "a {} in a garden",
    "two {}s",
    "a red {}",
    "a big {}",
    "an old {}",
)


def parse_groups(text: str) -> list[tuple[list[str], list[str]]]:
    """Return (terms, class names) for every line of a table of terms."""
    groups = []
    for line in text.strip().splitlines():
        terms, _, names = line.partition("=")
        groups.append(([t.strip() for t in terms.split(",")], [n.strip() for n in names.split(",")]))
    return groups


def terms_of(classes: list[list[str]]) -> dict[str, list[int]]:
    """Return every term taught with the classes it is true of.

    Args:
        classes: The synonyms of each class, most usual first; the position is the label.

    Returns:
        Term → labels. The synonyms of the classes come first, then the broader terms.

    Raises:
        ValueError: A group of the table names a class that is not among `classes`.
    """
    label_of = {names[0]: label for label, names in enumerate(classes)}
    terms: dict[str, set[int]] = {}
    for label, names in enumerate(classes):
        for name in names:
            terms.setdefault(name, set()).add(label)
    for words, names in parse_groups(TERMS_FILE.read_text(encoding="utf-8")):
        unknown = [name for name in names if name not in label_of]
        if unknown:
            raise ValueError(f"{TERMS_FILE.name} names classes that the data does not have: {', '.join(unknown)}")
        for word in words:
            terms.setdefault(word, set()).update(label_of[name] for name in names)
    return {term: sorted(labels) for term, labels in terms.items()}
