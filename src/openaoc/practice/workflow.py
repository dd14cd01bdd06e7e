"""Practice: whether a playbook's workflow is whole, and its steps in the order people read them.

Pure. Every reference resolves, every step is reached, every branch comes to an end step, and
nothing goes round but inside a while-condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from openaoc.kernel.clock import parse_time
from openaoc.kernel.errors import BadInput
from openaoc.practice.cacao import (
    Action,
    BadPlaybook,
    Command,
    End,
    If,
    Parallel,
    Playbook,
    PlaybookAction,
    Start,
    Step,
    Switch,
    While,
    decode_playbook,
)

DEPTH_MAX: Final = 20
"""Branches within branches: deeper, nobody follows it."""


class Way(NamedTuple):
    """A step that another leads to, and when. `branch`: it comes back after the branch's end."""

    to: str
    words: str
    branch: bool


class ReadStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step as people read it: its number (`2.1.3` within a branch), who, what, and when."""

    number: str
    title: str
    who: str = ""
    does: tuple[str, ...] = ()
    note: str = ""


def read_playbook(data: bytes) -> Playbook:
    """A playbook whose workflow is whole. Raises BadPlaybook with the place."""
    return check_playbook(decode_playbook(data))


def check_playbook(playbook: Playbook) -> Playbook:
    """The playbook itself. Raises BadPlaybook with the place of the first thing wrong."""
    _check_times(playbook)
    if playbook.playbook_types and not playbook.playbook_activities:
        raise BadPlaybook("is needed where there are playbook_types", where="playbook_activities")
    for place, step in playbook.workflow.items():
        _check_step(place, step, playbook=playbook)
    _check_start(playbook)
    _check_activities(playbook)
    _check_agents(playbook)
    missed = set(playbook.workflow)
    for start in (playbook.workflow_start, playbook.workflow_exception):
        if start is not None:
            # What is done when anything goes wrong may join the rest, or end where it ends.
            walked = _Walk(playbook.workflow)
            walked.branch(start)
            missed -= walked.seen
    if missed:
        raise BadPlaybook("no other step leads to it", where=f"workflow.{min(missed)}")
    return playbook


def _check_times(playbook: Playbook) -> None:
    """Each is a day of the calendar, and they follow each other."""
    created, modified, start, end = (
        None if text is None else _moment(text, where=where)
        for where, text in (
            ("created", playbook.created),
            ("modified", playbook.modified),
            ("valid_from", playbook.valid_from),
            ("valid_until", playbook.valid_until),
        )
    )
    if created is not None and modified is not None and modified < created:
        raise BadPlaybook("before it was created", where="modified")
    if start is not None and end is not None and end <= start:
        raise BadPlaybook("not after valid_from", where="valid_until")


def _moment(text: str, *, where: str) -> datetime:
    try:
        return parse_time(text)
    except BadInput as error:
        raise BadPlaybook(str(error), where=where) from error


def _check_start(playbook: Playbook) -> None:
    starts = [place for place, step in playbook.workflow.items() if isinstance(step, Start)]
    if starts != [playbook.workflow_start]:
        raise BadPlaybook("just one start step, and this is it", where="workflow_start")
    acting = (Action, PlaybookAction)
    if not any(isinstance(step, acting) for step in playbook.workflow.values()):
        raise BadPlaybook("somebody has to do something", where="workflow")
    if playbook.workflow_exception not in (None, *playbook.workflow):
        raise BadPlaybook("no such step", where="workflow_exception")


def _check_activities(playbook: Playbook) -> None:
    """Each activity that is promised is some command's."""
    done = {command.playbook_activity for command in _commands(playbook)}
    for activity in playbook.playbook_activities or ():
        if activity not in done:
            raise BadPlaybook(f"no command does {activity}", where="playbook_activities")


def _check_agents(playbook: Playbook) -> None:
    """An id begins with what it is the id of; a sector says which one, nobody else does."""
    places = {
        "agent_definitions": playbook.agent_definitions or {},
        "target_definitions": playbook.target_definitions or {},
    }
    for where, agents in places.items():
        for place, agent in agents.items():
            if place.partition("--")[0] != agent.type:
                raise BadPlaybook("the id is of another type", where=f"{where}.{place}")
            if (agent.type == "sector") != (agent.sector is not None):
                raise BadPlaybook("sector: of a sector, and only there", where=f"{where}.{place}")
            if agent.sector is not None and agent.sector not in (playbook.industry_sectors or ()):
                raise BadPlaybook(f"{agent.sector} is needed too", where="industry_sectors")


def _commands(playbook: Playbook) -> Iterator[Command]:
    for step in playbook.workflow.values():
        if isinstance(step, Action):
            yield from step.commands


def _check_step(place: str, step: Step, *, playbook: Playbook) -> None:
    where = f"workflow.{place}"
    if place.partition("--")[0] != step.__struct_config__.tag:
        raise BadPlaybook("the id is of another type", where=where)
    if step.on_completion and (step.on_success or step.on_failure):
        raise BadPlaybook("on_completion, or on_success and on_failure", where=where)
    if isinstance(step, Start | End) and (step.on_success or step.on_failure):
        raise BadPlaybook("a start or an end neither succeeds nor fails", where=where)
    if isinstance(step, End) and step.on_completion:
        raise BadPlaybook("nothing follows an end", where=where)
    if not isinstance(step, End) and not (step.on_completion or step.on_success):
        raise BadPlaybook("on_completion or on_success is needed", where=where)
    _check_ways(step, playbook=playbook, where=where)
    if isinstance(step, Action):
        _check_action(step, playbook=playbook, where=where)


def _check_ways(step: Step, *, playbook: Playbook, where: str) -> None:
    for way in ways(step):
        if way.to not in playbook.workflow:
            raise BadPlaybook(f"there is no {way.to}", where=where)
        if way.to == playbook.workflow_start:
            raise BadPlaybook("leads back to the start", where=where)


def _check_action(step: Action, *, playbook: Playbook, where: str) -> None:
    if step.agent not in (playbook.agent_definitions or {}):
        raise BadPlaybook("is not among agent_definitions", where=f"{where}.agent")
    for target in step.targets or ():
        if target not in (playbook.target_definitions or {}):
            raise BadPlaybook("is not among target_definitions", where=f"{where}.targets")
    known = {*(playbook.playbook_variables or {}), *(step.step_variables or {})}
    for name in (*(step.in_args or ()), *(step.out_args or ())):
        if name not in known:
            raise BadPlaybook(f"{name} is no variable", where=where)


def ways(step: Step) -> tuple[Way, ...]:
    """Where a step leads: its branches first, then what comes after."""
    found: list[Way] = []
    if isinstance(step, Parallel):
        found += [Way(to, "at the same time", branch=True) for to in step.next_steps]
    elif isinstance(step, If):
        found.append(Way(step.on_true, f"if {step.condition}", branch=True))
        if step.on_false is not None:
            found.append(Way(step.on_false, "otherwise", branch=True))
    elif isinstance(step, While):
        found.append(Way(step.on_true, f"as long as {step.condition}", branch=True))
    elif isinstance(step, Switch):
        found += [
            Way(to, f"where {step.switch} is {value}", branch=True)
            for value, to in step.cases.items()
        ]
    after = ((step.on_completion, ""), (step.on_success, ""), (step.on_failure, "where it fails"))
    found += [Way(to, words, branch=False) for to, words in after if to is not None]
    return tuple(found)


class _Walk:
    """Goes every way once, branch by branch.

    An end belongs to one branch, so that everybody knows where to go on after it.
    """

    def __init__(self, workflow: Mapping[str, Step]) -> None:
        self._workflow = workflow
        self.seen: set[str] = set()

    def branch(self, start: str, *, depth: int = 0) -> None:
        """Everything from here to the branch's ends, branches within it too."""
        if depth > DEPTH_MAX:
            raise BadPlaybook(f"more than {DEPTH_MAX} branches deep", where=f"workflow.{start}")
        left = {start: False}
        stack = [(start, self._entered(start, depth=depth))]
        while stack:
            here, rest = stack[-1]
            to = next(rest, None)
            if to is None:
                left[here] = True
                stack.pop()
            elif to not in left:
                left[to] = False
                stack.append((to, self._entered(to, depth=depth)))
            elif not left[to]:
                raise BadPlaybook("goes round without an end", where=f"workflow.{to}")

    def _entered(self, here: str, *, depth: int) -> Iterator[str]:
        """The steps that come after this one for good; its own branches are gone through."""
        if here in self.seen:
            raise BadPlaybook("is reached from two branches", where=f"workflow.{here}")
        self.seen.add(here)
        found = ways(self._workflow[here])
        for way in found:
            if way.branch:
                self.branch(way.to, depth=depth + 1)
        return iter([way.to for way in found if not way.branch])


def readable(playbook: Playbook) -> list[ReadStep]:
    """The steps of a checked playbook in reading order, branches numbered within their step."""
    found = _Reading(playbook)
    found.branch(playbook.workflow_start, number="")
    if playbook.workflow_exception is not None:
        found.branch(playbook.workflow_exception, number="", title="when anything goes wrong")
    return found.steps


class _Reading:
    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook
        self.steps: list[ReadStep] = []

    def branch(self, start: str, *, number: str, title: str = "") -> None:
        """One branch: its steps in the order in which they are done."""
        order = self._order(start)
        shown = [place for place in order if not isinstance(self._step(place), Start | End)]
        first = len(self.steps) and not number
        offset = sum("." not in one.number for one in self.steps) if first else 0
        numbers = {place: f"{number}{n}" for n, place in enumerate(shown, start=offset + 1)}
        for place in shown:
            step = self._step(place)
            note = "; ".join(self._notes(place, step, numbers=numbers, shown=shown))
            heading = title if place == shown[0] and title else ""
            self.steps.append(self._read(step, number=numbers[place], heading=heading, note=note))
            within = [way for way in ways(step) if way.branch]
            for n, way in enumerate(within, start=1):
                part = f".{n}" if len(within) > 1 else ""
                self.branch(way.to, number=f"{numbers[place]}{part}.", title=way.words)

    def _order(self, start: str) -> list[str]:
        """The branch's steps, what follows a step right after it, what fails last."""
        order: list[str] = []
        waiting = [start]
        while waiting:
            here = waiting.pop()
            if here in order:
                continue
            order.append(here)
            waiting += [way.to for way in reversed(ways(self._step(here))) if not way.branch]
        return order

    def _step(self, place: str) -> Step:
        return self._playbook.workflow[place]

    def _notes(
        self, place: str, step: Step, *, numbers: Mapping[str, str], shown: Sequence[str]
    ) -> Iterator[str]:
        """Where it goes on, if that is not simply the next."""
        following = shown[shown.index(place) + 1 :][:1]
        for way in ways(step):
            if way.branch:
                continue
            there = numbers.get(way.to)
            words = f"{way.words}: " if way.words else ""
            if there is None:
                if way.words or following:
                    yield f"{words}end"
            elif way.words or [way.to] != following:
                yield f"{words}go on with {there}"

    def _read(self, step: Step, *, number: str, heading: str, note: str) -> ReadStep:
        title = ": ".join(part for part in (heading, step.name or "") if part)
        does: tuple[str, ...] = ()
        who = ""
        if isinstance(step, Action):
            does = tuple(command.command for command in step.commands)
            who = (self._playbook.agent_definitions or {})[step.agent].name
        elif isinstance(step, PlaybookAction):
            does = (f"follow {step.playbook_id}",)
        if step.description:
            note = "; ".join(part for part in (step.description, note) if part)
        return ReadStep(number=number, title=title or "then", who=who, does=does, note=note)
