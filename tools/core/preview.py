"""What a tool that waits for the person's approval would do, as data: the approval card is drawn from it.

Every tool in `NEED_APPROVAL` has a function with the same arguments that returns a `Preview` and changes nothing. It
raises what the tool itself would raise at once, so that nobody is asked about what cannot be done.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Preview:
    """What would happen."""

    title: str  # in one line, such as "Fine-tune starter-clip on talebi"
    facts: tuple[tuple[str, str], ...]  # (name, text): data, cost, what leaves the machine
    args: dict[str, Any]  # the arguments with every default filled in: what an approval approves
    editable: tuple[str, ...] = ()  # names of arguments that the person may change before approving
    warning: str = ""  # such as "This cannot be undone."; empty when there is nothing to warn of
    confirm: str = "Yes, do it"  # label of the button
