"""Commands to calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.planner.again import tail
from agent.planner.align import Graph
from agent.planner.bind import bind, question
from agent.planner.meaning import Embed, Meaning
from agent.planner.memory import Memory, Pending
from agent.planner.message import Language, Message
from agent.planner.phrasebook import read_phrasebook
from agent.planner.plan import Plan, PlannedCall
from agent.planner.reading import Context
from agent.planner.signature import read_signature
from agent.planner.steps import Step, Steps
from agent.planner.text import Speller

_REMEMBERED = 30  # earlier commands that are looked at


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
        self._steps = Steps(self._language, self._graph, Meaning(self._language, embed))

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
        again = (one for one in self._steps.aligned(message) if one.owner == "_again" and "rest" in one.args)
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
        steps = self._steps.of(text, memory, context, by_meaning)
        if not steps:
            return Plan(say=self._not_understood()), memory
        return self._carry_out(steps, memory, context, done)

    def _carry_out(self, steps: Sequence[Step], memory: Memory, context: Context, done: bool) -> tuple[Plan, Memory]:
        calls: list[PlannedCall] = []
        for number, step in enumerate(steps):
            if step.answer:
                return Plan(tuple(calls), say=step.answer.replace("{abilities}", f"\n{self.abilities}")), memory
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

    def _cannot(self, step: Step) -> str:
        doing = step.owner.replace("_", " ")
        return f"I cannot {doing} here: that tool is not there (yet). What I can do:\n{self.abilities}"

    def _not_understood(self) -> str:
        return f"I did not understand that, so I did nothing. What I can do:\n{self.abilities}"
