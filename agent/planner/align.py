"""Align a message with all templates at once: a graph of words and slots, and the cheapest way through it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agent.planner.reading import FREE, Reading
from agent.planner.template import Either, Element, Sequence_, Setting, Slot, Word
from agent.planner.text import Token

START = 0
TYPO = 0.4
ANYTHING = "_"  # a slot for words that say something else than an argument
SKIPPED = 0.25  # a word such as "just" in the middle
FILLER = 0.32  # a word such as "whole" in the middle, for owners that allow it
Settings = tuple[Setting, ...]
_Froms = frozenset[tuple[int, Settings]]  # states, with the settings still to be applied
Read = Callable[[str, Slot, int], Sequence[Reading]]  # (tool, slot, place)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """A message read as a template of `owner`."""

    owner: str
    cost: float
    args: dict[str, Any]
    like: str  # the template as it was met
    literals: int  # words of the template that were said
    free: int  # tokens that went into free text
    unsure: frozenset[str]  # slots that hold what may be something else
    phrase: int  # index of the phrase in its file


@dataclasses.dataclass(frozen=True)
class _Step:
    """How a state was reached."""

    cost: float
    before: _Step | None
    token: str = ""  # the template's word
    slot: str = ""
    value: Any = None
    free: int = 0
    sure: bool = True
    settings: Settings = ()
    phrase: int = -1


class Graph:
    """The templates of many owners. After a template come its owner's tails, any number of them."""

    def __init__(self, fillers: frozenset[str] = frozenset()) -> None:
        """Begin without templates; `fillers` are the words that add nothing to those of loose owners."""
        self._fillers = fillers
        self._loose: set[str] = set()
        self._words: list[dict[str, list[tuple[int, Settings]]]] = [{}]
        self._slots: list[list[tuple[Slot, int, Settings]]] = [[]]
        self._ends: list[list[tuple[int, Settings, int]]] = [[]]  # (hub, settings, phrase)
        self._owner = [""]
        self._hubs: dict[str, int] = {}
        self._shared: dict[tuple[str, Element, _Froms], _Froms] = {}  # templates that begin alike share their states
        self.vocabulary: dict[str, set[str]] = {}  # owner → words of its templates

    def add(
        self, owner: str, phrases: Iterable[Sequence_], tails: Iterable[Sequence_] = (), loose: bool = False
    ) -> None:
        """Add the templates of an owner."""
        if loose:
            self._loose.add(owner)
        self.vocabulary.setdefault(owner, set())
        hub = self._hubs.setdefault(owner, self._state(owner))
        for origin, templates in ((START, phrases), (hub, tails)):
            for number, elements in enumerate(templates):
                ends = self._sequence(owner, elements, frozenset({(origin, ())}))
                for state, settings in ends - {(origin, ())}:
                    self._ends[state].append((hub, settings, number if origin == START else -1))

    def align(
        self,
        tokens: Sequence[Token],
        spelled: Sequence[Sequence[tuple[str, float]]],
        read: Read,
        starts: Iterable[int],
        ends: Iterable[int],
        skippable: frozenset[str] = frozenset(),
        tails_of: str | None = None,
    ) -> list[Alignment]:
        """Return the cheapest alignment of every owner, cheapest first.

        Args:
            tokens: The message.
            spelled: For each token, the words it may be, with the cost of reading it so.
            read: Returns the readings of a slot at a place.
            starts: Where a template may begin (after filler).
            ends: Where it may end (before filler).
            skippable: Words that may be passed over.
            tails_of: Read the message as tails of this owner only.
        """
        origin = START if tails_of is None else self._hubs[tails_of]
        reached: list[dict[int, _Step]] = [{} for _ in range(len(tokens) + 1)]
        for place in starts:
            reached[place][origin] = _Step(0.0, None)
        for place, token in enumerate(tokens):
            self._close(reached[place])
            for state, step in reached[place].items():
                for word, cost in spelled[place]:
                    for target, settings in self._words[state].get(word, ()):
                        _relax(reached[place + 1], target, _Step(step.cost + cost, step, word, settings=settings))
                if self._slots[state]:
                    self._read_slots(state, step, place, reached, read)
                cost = SKIPPED if token.word in skippable else FILLER if token.word in self._fillers else 0.0
                if cost and state != START and (cost == SKIPPED or self._owner[state] in self._loose):
                    _relax(reached[place + 1], state, dataclasses.replace(step, cost=step.cost + cost))
        self._close(reached[-1])
        return self._results(reached, ends, tails_of)

    def _read_slots(self, state: int, step: _Step, place: int, reached: list[dict[int, _Step]], read: Read) -> None:
        for slot, target, settings in self._slots[state]:
            for one in read(self._owner[target], slot, place):
                if slot.sure and not one.sure:
                    continue
                free = one.end - place if one.cost >= FREE else 0
                after = _Step(step.cost + one.cost, step, "", slot.argument, one.value, free, one.sure, settings)
                _relax(reached[one.end], target, after)

    def _close(self, states: dict[int, _Step]) -> None:
        for state, step in list(states.items()):
            for hub, settings, phrase in self._ends[state]:
                _relax(states, hub, _Step(step.cost, step, settings=settings, phrase=phrase))

    def _results(self, reached: list[dict[int, _Step]], ends: Iterable[int], tails_of: str | None) -> list[Alignment]:
        best: dict[str, _Step] = {}
        for place in ends:
            for owner, hub in self._hubs.items():
                step = reached[place].get(hub)
                if step and (step.before or tails_of) and (owner not in best or step.cost < best[owner].cost):
                    best[owner] = step
        found = [one for owner, step in best.items() if (one := _alignment(owner, step))]
        return sorted(found, key=lambda one: (one.cost, -one.literals))

    def _state(self, owner: str) -> int:
        self._words.append({})
        self._slots.append([])
        self._ends.append([])
        self._owner.append(owner)
        return len(self._words) - 1

    def _sequence(self, owner: str, elements: Sequence_, froms: _Froms) -> _Froms:
        """Add edges for a sequence; return the states where it may end, with the settings still to be applied."""
        for element in elements:
            key = (owner, element, froms)
            if key not in self._shared:
                self._shared[key] = self._element(owner, element, froms)
            froms = self._shared[key]
        return froms

    def _element(self, owner: str, element: Element, froms: _Froms, target: int | None = None) -> _Froms:
        """Add edges for an element, to `target` where one is given; return the states where it may end."""
        match element:
            case Setting():
                return frozenset((state, (*settings, element)) for state, settings in froms)
            case Either(ways):
                end = self._state(owner) if target is None else target  # whatever was said, the same may follow
                return frozenset().union(*(self._way(owner, way, froms, end) for way in ways))
        target = self._state(owner) if target is None else target
        if isinstance(element, Word):
            self.vocabulary[owner].add(element.word)
        for state, settings in froms:
            if isinstance(element, Word):
                self._words[state].setdefault(element.word, []).append((target, settings))
            else:
                self._slots[state].append((element, target, settings))
        return frozenset({(target, ())})

    def _way(self, owner: str, way: Sequence_, froms: _Froms, end: int) -> _Froms:
        if not way:
            return froms
        return self._element(owner, way[-1], self._sequence(owner, way[:-1], froms), end)


def _relax(states: dict[int, _Step], state: int, step: _Step) -> None:
    if state not in states or step.cost < states[state].cost:
        states[state] = step


def _alignment(owner: str, last: _Step) -> Alignment | None:
    """Return what the steps say; nothing when they say two things of one argument."""
    steps: list[_Step] = []
    step: _Step | None = last
    while step:
        steps.append(step)
        step = step.before
    steps.reverse()
    args: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for step in steps:
        args.update({setting.argument: setting.value for setting in step.settings})
        if step.slot and step.slot != ANYTHING:
            if said.setdefault(step.slot, step.value) != step.value and not owner.startswith("_"):
                return None
            args[step.slot] = step.value
    return Alignment(
        owner=owner,
        cost=round(last.cost, 4),
        args=args,
        like=" ".join(f"{{{step.slot}}}" if step.slot else step.token for step in steps if step.slot or step.token),
        literals=sum(1 for step in steps if step.token),
        free=sum(step.free for step in steps),
        unsure=frozenset(step.slot for step in steps if not step.sure),
        phrase=max(step.phrase for step in steps),
    )
