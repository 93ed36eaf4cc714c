"""Turns rows of anything into columns that each have one type, as Arrow wants them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any


def typed_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return a list for every name there is, with None where a row has no value; a column of nothing is dropped."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {name: _one_type(values) for name, values in columns.items() if any(one is not None for one in values)}


def _one_type(values: list[Any]) -> list[Any]:
    """Return values that fit one column: truths, whole numbers, numbers, or else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds in ({bool}, {float}, {str}):
        return values
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return values
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)
