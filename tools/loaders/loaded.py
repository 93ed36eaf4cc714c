"""What loading a dataset gives, whatever its kind."""

from __future__ import annotations

import dataclasses

from tools.core.encoders import Unreadable

MOST_NAMED = 10  # of what was left out, in the text


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A dataset that was loaded."""

    dataset: str
    kind: str
    source: str
    splits: dict[str, int]  # rows of every split
    columns: tuple[str, ...]
    left_out: tuple[Unreadable, ...]
    notes: tuple[str, ...] = ()  # what else the person should know, such as near-duplicates

    def __str__(self) -> str:
        """Say it in a few lines."""
        sizes = ", ".join(f"{name} {count}" for name, count in self.splits.items())
        lines = [
            f"Loaded {self.source} as the dataset {self.dataset!r} of {self.kind}: {sizes} rows, columns "
            f"{', '.join(self.columns)}; {len(self.left_out)} left out."
        ]
        lines += self.notes
        lines += [f"- left out {item.key}: {item.reason}" for item in self.left_out[:MOST_NAMED]]
        if len(self.left_out) > MOST_NAMED:
            lines.append(f"- and {len(self.left_out) - MOST_NAMED} more")
        return "\n".join(lines)
