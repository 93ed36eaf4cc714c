"""Commands to calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.planner.again import changed, tail
from agent.planner.align import Alignment, Graph
from agent.planner.bind import bind, question
from agent.planner.meaning import Embed, Likeness, Meaning, extract
from agent.planner.memory import Memory, Pending
from agent.planner.message import Language, Message
from agent.planner.phrasebook import read_phrasebook
from agent.planner.plan import Plan, PlannedCall
from agent.planner.signature import read_signature
from agent.planner.slots import Context, Reading, Reference
from agent.planner.template import Earlier, Slot
from agent.planner.text import Look, Speller

_SPECIAL = ("_talk", "_outside", "_again")
_REMEMBERED = 30  # earlier commands that are looked at


@dataclasses.dataclass(frozen=True)
class _Step:
    """One step of a message, understood."""

    text: str
    owner: str
    said: Mapping[str, Any]
    why: str
    answer: str = ""  # for talk
    again: bool = False  # it changes an earlier command


class Planner:
    """Understands commands. Reads no model until the meaning of unknown words is needed."""

    def __init__(self, tools: Sequence[Callable[..., Any]], embed: Embed | None = None):
        """Read the phrases.

        Args:
            tools: The tools that exist; phrases of others are understood and declined.
            embed: Texts → unit-length float32 rows; the bundled MiniLM, loaded when needed, when omitted.
        """
        book = read_phrasebook()
        self._graph = Graph(frozenset(words[0] for words in book.lists["fillers"]))
        signatures = {one.name: one for one in map(read_signature, tools)}
        for owner, phrases in {
            **book.tools,
            "_talk": book.talk,
            "_outside": book.outside,
            "_again": book.again,
        }.items():
            templates, tails = ([one.elements for one in some] for some in (phrases.phrases, phrases.tails))
            self._graph.add(owner, templates, tails, phrases.loose)
        choice_words = {
            word
            for phrases in book.tools.values()
            for words in phrases.choices.values()
            for said in words
            for word in said.split()
        }
        speller = Speller(set().union(choice_words, *self._graph.vocabulary.values()))
        self._language = Language(book, signatures, speller)
        self._kind_words = self._language.kind_words()
        self._looks = self._language.looks()
        self._never_names = self._language.never_names()
        self._skippable = frozenset(words[0] for words in book.lists["skips"])
        self._meaning = Meaning(self._language, embed)

    def plan(
        self,
        text: str,
        history: Sequence[str] = (),
        files: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
        by_meaning: bool = True,
    ) -> Plan:
        """Return the calls that a message asks for, or what to tell the person.

        Args:
            text: The message.
            history: Earlier messages of the person, oldest first, taken as carried out.
            files: Pictures uploaded with this message.
            names: Kind of artifact → the names there are, the most recently changed last.
            by_meaning: Whether a message whose words are unknown is understood by what it is like.
        """
        memory = Memory()
        for earlier in history[-_REMEMBERED:]:
            _, memory = self._respond(earlier, memory, self._context((), names or {}, memory), done=True)
        context = self._context(files, names or {}, memory)
        plan, _ = self._respond(text, memory, context, by_meaning=by_meaning)
        return plan

    def change(self, text: str, tool: str) -> dict[str, Any]:
        """Return the arguments of a call to `tool` that a message changes: "with 3 epochs", "make it 3 epochs".

        Nothing when the message is anything else: only what a tail of the tool's phrases says is a change.
        """
        message = Message(text, self._language, self._context((), {}, Memory()))
        if not message.tokens or tool not in self._language.signatures:
            return {}
        if found := tail(message, tool, self._graph):
            return found
        again = (one for one in self._aligned(message) if one.owner == "_again" and "rest" in one.args)
        rests = (Message(str(one.args["rest"]), self._language, message.context) for one in again)
        return next((found for rest in rests if rest.tokens if (found := tail(rest, tool, self._graph))), {})

    @property
    def abilities(self) -> str:
        """What can be done, from the docstrings of the tools, as a list."""
        return "\n".join(f"- {one.purpose}." for one in self._language.signatures.values())

    def _context(self, files: Sequence[str], names: Mapping[str, Sequence[str]], memory: Memory) -> Context:
        known = {kind: [*names.get(kind, ())] for kind in {*names, *memory.named}}
        for kind, name in memory.named.items():  # made by an earlier command, or spoken of
            if name and name not in known[kind]:
                known[kind].append(name)
        return Context(known, files, self._kind_words, self._never_names, {}, self._looks)

    def _respond(
        self, text: str, memory: Memory, context: Context, done: bool = False, by_meaning: bool = True
    ) -> tuple[Plan, Memory]:
        memory = dataclasses.replace(memory, made_now=False, made={})
        if not Message(text, self._language, context).tokens:
            said = "What should I do with this picture?" if context.files else self._not_understood()
            return Plan(say=said), memory
        steps = self._split(text, memory, context)
        if memory.pending and (steps is None or steps[0].again or steps[0].owner == "_outside"):
            answered = self._answer(text, memory.pending, context)
            if answered:
                steps = answered
        if steps is None and memory.last:
            steps = self._more(text, memory.last, context)
        if steps is None and by_meaning:
            steps = self._by_meaning(text, memory, context)
        if not steps:
            return Plan(say=self._not_understood()), memory
        return self._carry_out(steps, memory, context, done)

    def _carry_out(self, steps: Sequence[_Step], memory: Memory, context: Context, done: bool) -> tuple[Plan, Memory]:
        calls: list[PlannedCall] = []
        for number, step in enumerate(steps):
            if step.answer:
                return Plan(tuple(calls), say=step.answer), memory
            if step.owner not in self._language.signatures:
                return Plan(tuple(calls), say=self._cannot(step)), memory
            bound = bind(step.owner, step.said, step.why, memory, self._language, context)
            if bound.missing:
                rest = tuple(later.text for later in steps[number + 1 :])
                pending = Pending(step.owner, bound.call.args, bound.missing, rest)
                asked = question(step.owner, bound.missing, self._language, context.names)
                return Plan(tuple(calls), bound.missing, asked), dataclasses.replace(memory, pending=pending)
            makes = memory.makes(bound.call, self._language, context.names, done)
            calls.append(dataclasses.replace(bound.call, makes=makes))
            memory = memory.after(calls[-1], self._language)
        return Plan(tuple(calls)), memory

    def _split(self, text: str, memory: Memory, context: Context) -> list[_Step] | None:
        """Return the steps of a message whose words are known; None when they are not."""
        whole = self._understand(text, memory, context)
        if whole and whole[1].free == 0:
            return [whole[0]]
        parts = self._parts(text, memory, context, {})
        if parts and len(parts) > 1:
            return [step for step, _ in parts]
        return [whole[0]] if whole else None

    def _parts(
        self,
        text: str,
        memory: Memory,
        context: Context,
        known: dict[str, list[tuple[_Step, Alignment]] | None],
    ) -> list[tuple[_Step, Alignment]] | None:
        whole = self._understand(text, memory, context)
        if not (whole and whole[1].free == 0):
            for left, right, firm in Message(text, self._language, context).breaks():
                first = self._understand(left, memory, context)
                if first is None or first[0].owner in ("_talk", "_outside"):
                    continue
                later = memory.with_call(PlannedCall(first[0].owner, dict(first[0].said), ""))
                if right not in known:  # the same rest follows many a left
                    known[right] = self._parts(right, later, context, known)
                rest = known[right]
                if rest is None or rest[0][0].owner in ("_talk", "_outside"):
                    continue
                if first[0].again and rest[0][0].again and not first[1].args:
                    continue  # "once more, but with 5 epochs" is one change
                if firm or first[1].free == 0 or _is_command(rest[0][1]):
                    return [first, *rest]
        return [whole] if whole else None

    def _understand(self, text: str, memory: Memory, context: Context) -> tuple[_Step, Alignment] | None:
        """Return what a single command says, by its words."""
        message = Message(text, self._language, context)
        if not message.tokens:
            return None
        for one in self._by_topic(self._aligned(message), memory):
            if one.owner != "_again":
                answer = self._said(one.owner, one.phrase) if one.owner in _SPECIAL else ""
                return _Step(text, one.owner, one.args, f'like "{one.like}"', answer), one
            for earlier in reversed(memory.calls if "rest" in one.args else memory.calls[-1:]):
                args = None
                if earlier.tool in self._language.signatures:
                    lead = message.before(str(one.args.get("rest", "")))
                    args = changed(one.args, earlier, self._graph, self._language, context, lead)
                if args is not None:
                    why = f'like "{one.like}", after {earlier.tool}'
                    return _Step(text, earlier.tool, args, why, again=True), one
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

    def _aligned(self, message: Message) -> list[Alignment]:
        return self._graph.align(
            message.tokens, message.spelled, message.read, message.starts(), message.ends(), self._skippable
        )

    def _answer(self, text: str, pending: Pending, context: Context) -> list[_Step] | None:
        """Return the pending command, completed by a message that only answers the question."""
        message = Message(text, self._language, context)
        for start in reversed(message.starts("answer-leads")):
            slot = Slot(pending.ask, sure=False)
            readings: list[Reading] = [*message.read(pending.tool, slot, start)]
            for one in sorted(readings, key=lambda one: one.cost):
                after = message.starts(place=one.end)
                more = {} if one.end in message.ends() else tail(message, pending.tool, self._graph, after)
                if more or one.end in message.ends():
                    args = {**pending.args, **more, pending.ask: one.value}
                    first = _Step(text, pending.tool, args, f"{pending.ask} was asked for")
                    context = dataclasses.replace(context, files=())
                    rest = [self._understand(later, Memory(), context) for later in pending.rest]
                    return [first, *(step[0] for step in rest if step)]
        return None

    def _more(self, text: str, last: PlannedCall, context: Context) -> list[_Step] | None:
        """Return the last command with what a message adds that is only the end of one: "over 10 minutes"."""
        found = tail(Message(text, self._language, context), last.tool, self._graph)
        why = f"added to {last.tool}"
        return [_Step(text, last.tool, {**last.args, **found}, why, again=True)] if found else None

    def _by_meaning(self, text: str, memory: Memory, context: Context) -> list[_Step] | None:
        """Return the steps of a message with unknown words: those of firm breaks, each by words or by meaning."""
        for left, right, firm in Message(text, self._language, context).breaks():
            if firm:
                first = self._understand(left, memory, context)
                before = [first[0]] if first else self._mean(left, context)
                after = self._split(right, memory, context) or self._by_meaning(right, memory, context)
                return [*before, *after] if before and after else None
        return self._mean(text, context)

    def _mean(self, text: str, context: Context) -> list[_Step] | None:
        message = Message(text, self._language, context)
        words = [token for token in message.tokens if token.look is Look.WORD and token.word]
        if len(words) < 2 or message.tokens[message.starts()[-1]].word in self._never_by_meaning:
            return None  # too little to have a meaning, or a question about doing rather than a command
        near = self._meaning.nearest(message)
        if near is None or self._language.phrases(near.owner).certain:
            return None
        return [self._meant(text, near, message)]

    def _meant(self, text: str, near: Likeness, message: Message) -> _Step:
        why = f'means much the same as "{near.example}"'
        if near.owner in _SPECIAL:
            return _Step(text, near.owner, {}, why, self._said(near.owner, near.phrase))
        if near.owner not in self._language.signatures:
            return _Step(text, near.owner, {}, why)
        return _Step(text, near.owner, extract(near.owner, message, self._language), why)

    @property
    def _never_by_meaning(self) -> frozenset[str]:
        """First words of questions about doing and of refusals, which are no commands."""
        return frozenset(words[0] for words in self._language.book.lists["no-command"])

    def _said(self, owner: str, phrase: int) -> str:
        answer = self._language.phrases(owner).phrases[phrase].answer
        return answer.replace("{abilities}", f"\n{self.abilities}")

    def _cannot(self, step: _Step) -> str:
        doing = step.owner.replace("_", " ")
        return f"I cannot {doing} here: that tool is not there (yet). What I can do:\n{self.abilities}"

    def _not_understood(self) -> str:
        return f"I did not understand that, so I did nothing. What I can do:\n{self.abilities}"


def _is_command(alignment: Alignment) -> bool:
    """Whether a step after a mere "and" or comma is surely a step and not part of what is searched for."""
    return alignment.free == 0 or alignment.literals >= 2
