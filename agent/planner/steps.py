"""A message as steps, each understood by its words, as a change to an earlier one, as an answer, or by its meaning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.planner.again import changed, tail
from agent.planner.align import Alignment, Graph
from agent.planner.meaning import Likeness, Meaning, extract
from agent.planner.memory import Memory, Pending
from agent.planner.message import Language, Message
from agent.planner.phrasebook import Phrases
from agent.planner.plan import PlannedCall
from agent.planner.reading import Context, Reading, Reference
from agent.planner.template import Earlier, Slot
from agent.planner.text import Look

SPECIAL = ("_talk", "_outside", "_again")
_ANEW = frozenset("again same repeat redo rerun once".split())  # a change with one of these is a run of its own


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a message, understood."""

    text: str
    owner: str
    said: Mapping[str, Any]
    why: str
    answer: str = ""  # for talk
    again: bool = False  # it changes an earlier command


@dataclasses.dataclass(frozen=True)
class _Part:
    """A step, how it was read, and whether a word such as "then" makes it one of its own."""

    step: Step
    read: Alignment
    then: bool = False


class Steps:
    """Finds the steps of messages."""

    def __init__(self, language: Language, graph: Graph, meaning: Meaning):
        """Read messages with these words, templates and examples."""
        self._language = language
        self._graph = graph
        self._meaning = meaning
        self._skippable = frozenset(words[0] for words in language.book.lists["skips"])
        self._no_command = frozenset(words[0] for words in language.book.lists["no-command"])

    def of(self, text: str, memory: Memory, context: Context, by_meaning: bool = True) -> list[Step] | None:
        """Return the steps of a message; None when it is not understood."""
        steps = self._split(text, memory, context)
        if memory.pending and (steps is None or steps[0].again or steps[0].owner == "_outside"):
            steps = self._answer(text, memory.pending, context) or steps
        if steps is None and memory.last:
            steps = self._more(text, memory.last, context)
        if steps is None:
            steps = self._turned(text, memory, context)
        if steps is None and by_meaning:
            steps = self._by_meaning(text, memory, context)
        return steps

    def aligned(self, message: Message) -> list[Alignment]:
        """Return what a message may say as a single step, likeliest first."""
        return self._graph.align(
            message.tokens, message.spelled, message.read, message.starts(), message.ends(), self._skippable
        )

    def _split(self, text: str, memory: Memory, context: Context) -> list[Step] | None:
        """Return the steps of a message whose words are known; None when they are not."""
        whole = self._understand(text, memory, context)
        if whole and whole.read.free == 0:
            return [whole.step]
        parts = self._parts(text, memory, context, {})
        if parts and len(parts) > 1:
            return self._merged(parts)
        return [whole.step] if whole else None

    def _parts(
        self, text: str, memory: Memory, context: Context, known: dict[str, list[_Part] | None]
    ) -> list[_Part] | None:
        whole = self._understand(text, memory, context)
        if not (whole and whole.read.free == 0):
            for left, right, join in Message(text, self._language, context).breaks():
                first = self._understand(left, memory, context)
                if first is None or first.step.owner in ("_talk", "_outside"):
                    continue
                later = memory.with_call(PlannedCall(first.step.owner, dict(first.step.said), ""))
                if right not in known:  # the same rest follows many a left
                    known[right] = self._parts(right, later, context, known)
                rest = known[right]
                if rest is None or rest[0].step.owner in ("_talk", "_outside"):
                    continue
                if first.step.again and rest[0].step.again and not first.read.args:
                    continue  # "once more, but with 5 epochs" is one change
                if join != "soft" or first.read.free == 0 or _is_command(rest[0].read):
                    return [first, dataclasses.replace(rest[0], then=join == "then"), *rest[1:]]
        return [whole] if whole else None

    def _merged(self, parts: Sequence[_Part]) -> list[Step]:
        """Return steps where what only adds to the step before is part of it.

        "Collect @x. Only videos over 10 minutes" is one step, and so is "collect @x, I only want long videos".
        """
        steps: list[Step] = []
        for part in parts:
            step, before = part.step, steps[-1].said if steps else {}
            same = bool(steps) and steps[-1].owner == step.owner and not part.then
            anew = step.again and not _ANEW.isdisjoint(part.read.like.split())
            agrees = all(step.said.get(name, value) == value for name, value in before.items())
            if same and not anew and agrees and (step.again or self._lacks(step, before)):
                steps[-1] = dataclasses.replace(steps[-1], said={**before, **step.said})
            else:
                steps.append(step)
        return steps

    def _lacks(self, step: Step, before: Mapping[str, Any]) -> bool:
        """Tell whether a step lacks something required that the one before it had."""
        signature = self._language.signatures.get(step.owner)
        return signature is not None and any(name in before and name not in step.said for name in signature.required)

    def _understand(self, text: str, memory: Memory, context: Context) -> _Part | None:
        """Return what a single command says, by its words."""
        message = Message(text, self._language, context)
        if not message.tokens:
            return None
        for one in self._by_topic(self.aligned(message), memory):
            if one.owner != "_again":
                answer = self._language.answer(one.owner, one.phrase) if one.owner in SPECIAL else ""
                return _Part(Step(text, one.owner, one.args, f'like "{one.like}"', answer), one)
            for earlier in reversed(memory.calls if "rest" in one.args else memory.calls[-1:]):
                args = None
                if earlier.tool in self._language.signatures:
                    lead = message.before(str(one.args.get("rest", "")))
                    args = changed(one.args, earlier, self._graph, self._language, context, lead)
                if args is not None:
                    why = f'like "{one.like}", after {earlier.tool}'
                    return _Part(Step(text, earlier.tool, args, why, again=True), one)
        return None

    def _by_topic(self, found: list[Alignment], memory: Memory) -> list[Alignment]:
        """Leave out what says "it" of a job where there is none; where there is, it is rather meant than small talk.

        What says nothing at all ("cancel") is meant of a job only right after a call that was about one.
        """
        jobs = [one.args.get("job") for one in found]
        it = [one for one, job in zip(found, jobs, strict=True) if job == Reference(None)]
        nothing = [one for one, job in zip(found, jobs, strict=True) if job == Earlier("job")]
        now = self._about_job(memory.last)
        meant = (it if now or "job" in memory.named else []) + (nothing if now else [])
        others = [one for one in found if one not in it + nothing]
        talk = bool(others) and others[0].owner == "_talk"
        return [*meant, *others] if talk else sorted([*meant, *others], key=lambda one: (one.cost, -one.literals))

    def _about_job(self, call: PlannedCall | None) -> bool:
        if call is None or call.tool not in self._language.signatures:
            return False
        arguments = self._language.signatures[call.tool].arguments
        return "job" in arguments or self._language.phrases(call.tool).concerns == "job"

    def _answer(self, text: str, pending: Pending, context: Context) -> list[Step] | None:
        """Return the pending command, completed by a message that answers the question, and may add to it."""
        message = Message(text, self._language, context)
        for start in reversed(message.starts("answer-leads")):
            slot = Slot(pending.ask, sure=False)
            readings: list[Reading] = [*message.read(pending.tool, slot, start)]
            for one in sorted(readings, key=lambda one: one.cost):
                after = message.starts(place=one.end)
                more = {} if one.end in message.ends() else tail(message, pending.tool, self._graph, after)
                if more or one.end in message.ends():
                    args = {**pending.args, **more, pending.ask: one.value}
                    first = Step(text, pending.tool, args, f"{pending.ask} was asked for")
                    context = dataclasses.replace(context, files=())
                    rest = [self._understand(later, Memory(), context) for later in pending.rest]
                    return [first, *(part.step for part in rest if part)]
        return None

    def _more(self, text: str, last: PlannedCall, context: Context) -> list[Step] | None:
        """Return the last command with what a message adds that is only the end of one: "over 10 minutes"."""
        found = tail(Message(text, self._language, context), last.tool, self._graph)
        why = f"added to {last.tool}"
        return [Step(text, last.tool, {**last.args, **found}, why, again=True)] if found else None

    def _turned(self, text: str, memory: Memory, context: Context) -> list[Step] | None:
        """Return the step of a message whose end was said first: "on talebi, fine-tune clip"."""
        for left, right, join in Message(text, self._language, context).breaks():
            turned = self._understand(f"{right} {left}", memory, context) if join == "soft" else None
            if turned and turned.read.free == 0 and turned.step.owner in self._language.signatures:
                return [dataclasses.replace(turned.step, text=text)]
        return None

    def _by_meaning(self, text: str, memory: Memory, context: Context) -> list[Step] | None:
        """Return the steps of a message with unknown words: those of firm breaks, each by words or by meaning."""
        for left, right, join in Message(text, self._language, context).breaks():
            if join != "soft":
                first = self._understand(left, memory, context)
                before = [first.step] if first else self._mean(left, context)
                after = self._split(right, memory, context) or self._by_meaning(right, memory, context)
                return [*before, *after] if before and after else None
        return self._mean(text, context)

    def _mean(self, text: str, context: Context) -> list[Step] | None:
        message = Message(text, self._language, context)
        words = [token for token in message.tokens if token.look is Look.WORD and token.word]
        if len(words) < 2 or message.tokens[message.starts()[-1]].word in self._no_command:
            return None  # too little to have a meaning, or a question about doing rather than a command
        near = self._meaning.nearest(message)
        return [step] if near and (step := self._meant(text, near, message)) else None

    def _meant(self, text: str, near: Likeness, message: Message) -> Step | None:
        why = f'means much the same as "{near.example}"'
        phrases = self._language.phrases(near.owner)
        if near.owner in SPECIAL:
            return Step(text, near.owner, {}, why, self._language.answer(near.owner, near.phrase))
        if phrases.certain:
            return Step(text, near.owner, {}, why, _unsure(phrases)) if phrases.example else None
        said = near.owner in self._language.signatures
        return Step(text, near.owner, extract(near.owner, message, self._language) if said else {}, why)


def _is_command(alignment: Alignment) -> bool:
    """Whether a step after a mere "and" or comma is surely a step and not part of what is searched for."""
    return alignment.free == 0 or alignment.literals >= 2


def _unsure(phrases: Phrases) -> str:
    doing = phrases.name.replace("_", " ")
    return f'If I should {doing}: I do that only on clear words, such as "{phrases.example}". I did nothing.'
