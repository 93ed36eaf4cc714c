"""Understands commands without a language model: phrases, typed slots, and meaning where the words are new.

`phrases/` holds what people say, one file per tool; the code knows no tool by name. A new tool needs its function and a
phrases file (see `phrases/README.md`), and at most a reader in `slots.py` for a new kind of argument.
"""

from agent.planner.plan import Plan, PlannedCall
from agent.planner.planner import Planner

__all__ = ["Plan", "PlannedCall", "Planner"]
