"""CLI: `openaoc appeal …`: contests of holds, and blind reviews of uncontested ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table
from openaoc.kernel.errors import BadInput
from openaoc.kernel.money import format_money


@click.group(help="Contest a hold, decide contests, review holds blind.")
def command() -> None:
    """Contests."""


@command.command("file")
@click.argument("order", metavar="NUMBER")
@click.option("--code", required=True, help="The contest code of the holder's notice.")
@click.option("--statement", required=True, help="A file with what the holder says, or - .")
@click.option("--contact", default="", help="How to reach the holder.")
@click.option("--language", default="th", type=click.Choice(["th", "en"]), show_default=True)
@json_option
def file(
    order: str, *, code: str, statement: str, contact: str, language: str, as_json: bool
) -> None:
    """Contest a hold for its holder, with the notice's number and code."""
    from openaoc.cli.client import CentreClient

    try:
        text = sys.stdin.read() if statement == "-" else Path(statement).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("not text in UTF-8", where=statement) from error
    body = {
        "order": order,
        "code": code,
        "statement": text,
        "contact": contact,
        "language": language,
    }
    _show_contest(CentreClient().post("/v1/appeals", body), as_json=as_json)


@command.command("status")
@click.argument("order", metavar="NUMBER")
@click.option("--code", required=True, help="The contest code of the holder's notice.")
@json_option
def status(order: str, *, code: str, as_json: bool) -> None:
    """How the contest of a hold stands, as its holder sees it."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().post("/v1/appeals/status", {"order": order, "code": code})
    _show_contest(found, as_json=as_json)


@command.command("list")
@click.option("--state", help="Only contests in this state; without it those that are open.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000))
@json_option
def list_appeals(state: str | None, limit: int, *, as_json: bool) -> None:
    """List contests in order of filing."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().pages("/v1/appeals", "appeals", limit=limit, state=state)
    if as_json:
        show_json({"appeals": found})
        return
    rows = [
        (
            a["appeal"],
            a["state"],
            a["institution"],
            format_money(a["held_minor"], a["currency"]),
            a["answer_by"],
            "late" if a["escalated_at"] else "",
            a["taken_by"],
        )
        for a in found
    ]
    show_table(("contest", "state", "institution", "held", "answer by", "", "taken by"), rows)


@command.command("show")
@click.argument("appeal")
@json_option
def show(appeal: str, *, as_json: bool) -> None:
    """Show a contest with its evidence; without the holder's words."""
    from openaoc.cli.client import CentreClient

    view = CentreClient().get(f"/v1/appeals/{quote(appeal, safe='')}")
    if as_json:
        show_json(view)
        return
    _show_view(view)
    evidence = view["evidence"]
    if evidence is None:
        return
    amounts = {
        name: format_money(minor, view["currency"]) for name, minor in evidence["amounts"].items()
    }
    say("amounts: " + ", ".join(f"{name} {text}" for name, text in amounts.items()))
    say("merchant test: " + ("likely innocent" if evidence["likely_innocent"] else "not passed"))
    for line in evidence["merchant"]:
        say(f"  {line}")
    for sign in evidence["signs"]:
        say(f"  sign of a mule: {sign}")


@command.command("take")
@click.argument("appeal")
@json_option
def take(appeal: str, *, as_json: bool) -> None:
    """Take a contest as its reviewer."""
    _verb(appeal, "take", {}, as_json=as_json)


@command.command("statements")
@click.argument("appeal")
@click.option("--reason", required=True, help="Why it is read; kept in the journal.")
@json_option
def statements(appeal: str, *, reason: str, as_json: bool) -> None:
    """Read what the holder wrote and how to reach them."""
    from openaoc.cli.client import CentreClient

    path = f"/v1/appeals/{quote(appeal, safe='')}/statements"
    found = CentreClient().post(path, {"reason": reason})
    if as_json:
        show_json(found)
        return
    for one in found["statements"]:
        say(one["statement"])
        say(f"contact: {one['contact'] or 'none given'}")


@command.command("decide")
@click.argument("appeal")
@click.argument("outcome", type=click.Choice(["uphold", "uphold_in_part", "refuse"]))
@click.option("--because", multiple=True, required=True, help="A reason's code; may be repeated.")
@click.option("--note", required=True, help="For the journal; names no person.")
@click.option("--release", "release_minor", type=click.IntRange(min=1), help="For a part.")
@click.option(
    "--cause",
    type=click.Choice(["report", "trace", "rule", "institution", "person"]),
    help="What led to the wrongful hold.",
)
@json_option
def decide(
    appeal: str,
    outcome: str,
    *,
    because: tuple[str, ...],
    note: str,
    release_minor: int | None,
    cause: str | None,
    as_json: bool,
) -> None:
    """Decide a contest you have taken; where two persons are needed it is proposed."""
    body: dict[str, Any] = {"outcome": outcome, "reasons": list(because), "note": note}
    extra = {"release_minor": release_minor, "cause": cause}
    body |= {name: value for name, value in extra.items() if value is not None}
    _verb(appeal, "decision", body, as_json=as_json)


@command.command("second")
@click.argument("appeal")
@click.argument("word", type=click.Choice(["agree", "disagree"]))
@click.option("--note", required=True, help="Why; kept in the journal.")
@json_option
def second(appeal: str, word: str, *, note: str, as_json: bool) -> None:
    """Agree to a proposed decision as the second person, or send it back."""
    _verb(appeal, "second", {"agree": word == "agree", "note": note}, as_json=as_json)


@command.command("late")
@click.argument("appeal")
@click.option("--reason", required=True, help="Why the answer is late; counted and read.")
@json_option
def late(appeal: str, *, reason: str, as_json: bool) -> None:
    """Say why a contest is answered late."""
    _verb(appeal, "lateness", {"reason": reason}, as_json=as_json)


@command.command("compensations")
@json_option
def compensations(*, as_json: bool) -> None:
    """List wrongful holds: how much, how long, what led to them."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/compensations")
    if as_json:
        show_json(found)
        return
    rows = [
        (
            c["appeal"],
            format_money(c["wrongful_minor"], c["currency"]),
            c["held_from"],
            c["held_until"],
            c["cause"],
            c["reporter"],
        )
        for c in found["compensations"]
    ]
    show_table(("contest", "amount", "from", "until", "cause", "reporter"), rows)


@command.command("blind")
@click.option("--draws", is_flag=True, help="The draws and their seeds instead.")
@json_option
def blind(*, draws: bool, as_json: bool) -> None:
    """List holds drawn for blind review, those without a verdict first."""
    from openaoc.cli.client import CentreClient

    found = CentreClient().get("/v1/blind-reviews/draws" if draws else "/v1/blind-reviews")
    if as_json:
        show_json(found)
    elif draws:
        rows = [(d["day"], d["population"], d["drawn"], d["seed"]) for d in found["draws"]]
        show_table(("day", "holds", "drawn", "seed"), rows)
    else:
        shown = [(r["review"], r["day"], r["verdict"], r["reviewed_by"]) for r in found["reviews"]]
        show_table(("review", "day", "verdict", "by"), shown)


@command.command("blind-take")
@click.argument("review")
@json_option
def blind_take(review: str, *, as_json: bool) -> None:
    """Take a drawn hold: its facts, without the decision's reasons."""
    from openaoc.cli.client import CentreClient

    task = CentreClient().post(f"/v1/blind-reviews/{quote(review, safe='')}/take", {})
    if as_json:
        show_json(task)
        return
    say(f"{task['review']}  held {format_money(task['ordered_minor'], task['currency'])}")
    for name, minor in task["amounts"].items():
        say(f"  {name}: {format_money(minor, task['currency'])}")
    for fact in task["facts"]:
        say(f"  {fact}")


@command.command("blind-judge")
@click.argument("review")
@click.argument("verdict", type=click.Choice(["right", "wrong", "cannot_tell"]))
@click.option("--note", required=True, help="What you saw; names no person.")
@click.option("--wrong", "wrong_minor", default=0, type=click.IntRange(min=0))
@json_option
def blind_judge(review: str, verdict: str, *, note: str, wrong_minor: int, as_json: bool) -> None:
    """Judge a drawn hold; --wrong: what should not have been held, in minor units."""
    from openaoc.cli.client import CentreClient

    body = {"verdict": verdict, "note": note, "wrong_minor": wrong_minor}
    view = CentreClient().post(f"/v1/blind-reviews/{quote(review, safe='')}/verdict", body)
    if as_json:
        show_json(view)
    else:
        say(f"{view['review']}  {view['verdict']}")


def _verb(appeal: str, verb: str, body: dict[str, Any], *, as_json: bool) -> None:
    from openaoc.cli.client import CentreClient

    view = CentreClient().post(f"/v1/appeals/{quote(appeal, safe='')}/{verb}", body)
    if as_json:
        show_json(view)
    else:
        _show_view(view)


def _show_view(view: dict[str, Any]) -> None:
    held = format_money(view["held_minor"], view["currency"])
    say(f"{view['appeal']}  {view['state']}  {view['institution']}  held {held}")
    say(f"answer by {view['answer_by']}, at the latest {view['last_at']}")
    if view["persons_needed"] > 1 and view["state"] == "proposed":
        say(f"{view['proposal']['outcome']} proposed; a second person has to agree")
    if view["released_minor"]:
        say(f"given back {format_money(view['released_minor'], view['currency'])}")


def _show_contest(view: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(view)
        return
    say(f"{view['appeal']}  {view['state']}  answer by {view['answer_by']}")
    for reason in view["reasons"]:
        say(f"  {reason['th']} / {reason['en']}")
