"""Playbooks are whole or refused with the place; what ships is whole, and reads as steps."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec
import pytest

from openaoc.practice.cacao import STEPS_MAX, BadPlaybook
from openaoc.practice.workflow import read_playbook, readable

SHIPPED = sorted(
    one.name
    for one in resources.files("openaoc.practice.shelf").iterdir()
    if one.name.endswith(".playbook.json")
)
Document = dict[str, Any]


def new(kind: str, number: int) -> str:
    return f"{kind}--{uuid.UUID(int=number, version=4)}"


START, ACT, CHECK, AGAIN, END = (
    new("start", 1),
    new("action", 2),
    new("if-condition", 3),
    new("action", 4),
    new("end", 5),
)
BRANCH_END, AGENT = new("end", 6), new("individual", 7)


def action(to: str, **more: object) -> Document:
    command = {"type": "manual", "command": "look", "playbook_activity": "identify-steps"}
    return {"type": "action", "on_completion": to, "commands": [command], "agent": AGENT, **more}


def document() -> Document:
    """Start → action → if (action → end) → end."""
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": new("playbook", 8),
        "name": "Look",
        "created_by": new("identity", 9),
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "workflow_start": START,
        "workflow": {
            START: {"type": "start", "on_completion": ACT},
            ACT: action(CHECK),
            CHECK: {
                "type": "if-condition",
                "condition": "__x__:value = 'a'",
                "on_true": AGAIN,
                "on_completion": END,
            },
            AGAIN: action(BRANCH_END),
            BRANCH_END: {"type": "end"},
            END: {"type": "end"},
        },
        "agent_definitions": {AGENT: {"type": "individual", "name": "Investigator"}},
    }


def test_a_whole_playbook_comes_back_as_it_was() -> None:
    playbook = read_playbook(msgspec.json.encode(document()))
    assert msgspec.json.decode(msgspec.json.encode(playbook)) == document()
    steps = readable(playbook)
    assert [one.number for one in steps] == ["1", "2", "2.1"]
    assert steps[0].who == "Investigator"
    assert steps[2].title.startswith("if __x__")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_whole_and_every_step_is_read(name: str) -> None:
    data = resources.files("openaoc.practice.shelf").joinpath(name).read_bytes()
    playbook = read_playbook(data)
    acting = [place for place in playbook.workflow if place.startswith("action--")]
    assert sum(bool(one.does) for one in readable(playbook)) == len(acting) > 5
    assert msgspec.json.decode(msgspec.json.encode(playbook)) == msgspec.json.decode(data)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_has_ids_as_the_standard_wants_them(name: str) -> None:
    """Steps: version 4 alone; and no number stands for two things."""
    text = resources.files("openaoc.practice.shelf").joinpath(name).read_text()
    found = set(re.findall(r'"([a-z-]+)--([0-9a-f-]{36})"', text))
    numbers = [uuid.UUID(number) for _, number in found]
    assert len(set(numbers)) == len(numbers) > 10
    assert {
        n.version for (kind, _), n in zip(found, numbers, strict=True) if kind != "playbook"
    } == {4}


def test_what_editors_add_and_the_standard_has_is_kept() -> None:
    more = document() | {
        "playbook_processing_summary": {"manual_playbook": True, "if_logic": True},
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2026-01-01T00:00:00.5Z",
        "industry_sectors": ["financial"],
    }
    sector = new("sector", 10)
    more["target_definitions"] = {
        sector: {"type": "sector", "name": "Banks", "sector": "financial"}
    }
    playbook = read_playbook(msgspec.json.encode(more))
    assert msgspec.json.decode(msgspec.json.encode(playbook)) == more


def test_what_goes_wrong_may_end_where_everything_ends() -> None:
    steps = readable(read_playbook(msgspec.json.encode(document() | {"workflow_exception": END})))
    assert [one.number for one in steps] == ["1", "2", "2.1"]
    joined = readable(read_playbook(msgspec.json.encode(document() | {"workflow_exception": ACT})))
    assert joined[3].title.startswith("when anything goes wrong")


def sector(**changes: object) -> Callable[[Document], object]:
    one = {"type": "sector", "name": "Banks", "sector": "financial", **changes}
    return lambda d: d.update(
        industry_sectors=["telecommunications"], target_definitions={new("sector", 10): one}
    )


def step(place: str, **changes: object) -> Callable[[Document], object]:
    def change(found: Document) -> object:
        return found["workflow"][place].update(changes)

    return change


def without(place: str) -> Callable[[Document], object]:
    return lambda found: found["workflow"].pop(place)


def many(found: Document) -> None:
    found["workflow"].update({new("end", 100 + n): {"type": "end"} for n in range(STEPS_MAX)})


FAULTS: dict[str, tuple[Callable[[Document], object], str]] = {
    "no such step": (step(ACT, on_completion=new("end", 77)), "there is no end--"),
    "unreached": (
        lambda d: d["workflow"].update({new("end", 44): {"type": "end"}}),
        "no other step leads to it",
    ),
    "a circle": (step(CHECK, on_completion=ACT), "goes round without an end"),
    "a circle of one": (step(ACT, on_completion=ACT), "goes round without an end"),
    "a circle in a branch": (step(AGAIN, on_completion=AGAIN), "goes round without an end"),
    "out of a branch": (step(AGAIN, on_completion=END), "reached from two branches"),
    "no end": (step(AGAIN, on_completion=None), "on_completion or on_success is needed"),
    "nothing after": (
        lambda d: d["workflow"][ACT].pop("on_completion"),
        "on_completion or on_success is needed",
    ),
    "both ways on": (step(ACT, on_success=CHECK), "on_completion, or on_success"),
    "after the end": (step(END, on_completion=ACT), "nothing follows an end"),
    "back to the start": (step(ACT, on_completion=START), "leads back to the start"),
    "another type": (step(ACT, type="playbook-action"), "unknown field"),
    "an id of another type": (
        lambda d: d["workflow"].update({END: {"type": "start", "on_completion": ACT}}),
        "the id is of another type",
    ),
    "no start": (without(START), "just one start step"),
    "an unknown agent": (step(ACT, agent=new("individual", 70)), "not among agent_definitions"),
    "an unknown target": (step(ACT, targets=[AGENT]), "not among target_definitions"),
    "an unknown variable": (step(ACT, in_args=["__y__"]), "__y__ is no variable"),
    "an unknown property": (lambda d: d.update(signatures=[]), "unknown field `signatures`"),
    "an activity nobody does": (
        lambda d: d.update(playbook_activities=["scan-system"]),
        "no command does scan-system",
    ),
    "a type without activities": (
        lambda d: d.update(playbook_types=["mitigation"]),
        "is needed where there are playbook_types",
    ),
    "a command to run": (
        lambda d: d["workflow"][ACT]["commands"][0].update(type="bash"),
        "Invalid enum value 'bash'",
    ),
    "the wrong version": (lambda d: d.update(spec_version="1.1"), "Invalid enum value '1.1'"),
    "changed before it was made": (
        lambda d: d.update(modified="2025-01-01T00:00:00.000Z"),
        "before it was created",
    ),
    "no such day": (
        lambda d: d.update(valid_from="2026-02-30T00:00:00Z"),
        "is not a time",
    ),
    "a time without its milliseconds": (
        lambda d: d.update(created="2026-01-01T00:00:00Z"),
        "matching regex",
    ),
    "over before it begins": (
        lambda d: d.update(valid_from="2026-01-01T00:00:00.5Z", valid_until="2026-01-01T00:00:00Z"),
        "not after valid_from",
    ),
    "an agent of another type": (
        lambda d: d["agent_definitions"][AGENT].update(type="group"),
        "the id is of another type",
    ),
    "a sector that is not named": (sector(sector=None), "of a sector, and only there"),
    "a sector the playbook does not name": (sector(), "financial is needed too"),
    "a person's sector": (
        lambda d: d["agent_definitions"][AGENT].update(sector="financial"),
        "of a sector, and only there",
    ),
    "not a uuid": (lambda d: d.update(id="playbook--1"), "matching regex"),
    "too many steps": (many, f"<= {STEPS_MAX}"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_whole_is_refused_with_the_reason(fault: str) -> None:
    change, words = FAULTS[fault]
    broken = document()
    change(broken)
    with pytest.raises(BadPlaybook, match=r".+") as refused:
        read_playbook(msgspec.json.encode(broken))
    assert words in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"type":"playbook"}', b"[" * 9_000])
def test_what_is_no_playbook_is_refused(data: bytes) -> None:
    with pytest.raises(BadPlaybook):
        read_playbook(data)


def test_branches_within_branches_have_a_limit() -> None:
    deep = document()
    places = [new("if-condition", 1_000 + n) for n in range(30)]
    for n, place in enumerate(places):
        deep["workflow"][place] = {
            "type": "if-condition",
            "condition": "x",
            "on_true": places[n + 1] if n < 29 else AGAIN,
            "on_completion": new("end", 2_000 + n),
        }
        deep["workflow"][new("end", 2_000 + n)] = {"type": "end"}
    deep["workflow"][CHECK]["on_true"] = places[0]
    with pytest.raises(BadPlaybook, match="branches deep"):
        read_playbook(msgspec.json.encode(deep))
