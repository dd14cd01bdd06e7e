"""CLI: `openaoc rules list|show|compare`: the legal rules on this machine; needs no centre."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from openaoc.cli.output import json_option, say, show_json, show_table

if TYPE_CHECKING:
    from openaoc.holds.comparing import Comparison, JurisdictionRules, RuleView

OUT = click.option("--out", type=click.Path(path_type=Path), help="Write a page to print (HTML).")
LANGUAGE = click.option(
    "--language", default="th", type=click.Choice(["th", "en"]), show_default=True
)


@click.group(help="Show and compare the legal rules that holds rest on.")
def command() -> None:
    """Legal rules."""


@command.command("list")
@json_option
def list_rules(*, as_json: bool) -> None:
    """List the jurisdictions there are rules for, and whether each may go live."""
    found = _compare(())
    if as_json:
        show_json({"jurisdictions": found.jurisdictions})
        return
    rows = [
        (
            one.jurisdiction,
            one.name,
            one.currency,
            "yes" if one.may_go_live else "no",
            len(one.rules),
            len(one.unconfirmed),
        )
        for one in found.jurisdictions
    ]
    show_table(("code", "name", "currency", "may go live", "rules", "unconfirmed"), rows)


@command.command("show")
@click.argument("jurisdiction")
@json_option
def show(jurisdiction: str, *, as_json: bool) -> None:
    """Show one jurisdiction's rules in force today, with their sources."""
    (found,) = _compare((jurisdiction,)).jurisdictions
    if as_json:
        show_json(found)
        return
    say_rules(found)


def say_rules(found: JurisdictionRules) -> None:
    """Every rule with its source."""
    live = "may go live" if found.may_go_live else "cannot go live: rules are not confirmed"
    if found.sent is not None:
        live = f"the word of {found.sent.partner}, never acted upon here"
    say(f"{found.jurisdiction}  {found.name}  {found.currency}  {live}")
    for rule in found.rules:
        confirmed = "confirmed" if rule.confirmed else "not confirmed"
        say()
        say(f"{rule.id}  version {rule.version}  {rule.ground}  {confirmed}")
        say(f"  longest {_hours(rule)}, from {rule.counts_from}; in doubt {rule.doubt_hours} h")
        say(f"  {rule.source}")
        for line in (rule.note, *rule.links):
            if line:
                say(f"  {line}")
    back = found.restitution
    say()
    say(
        f"restitution: {back.objection_days} days to object,"
        f" {'confirmed' if back.confirmed else 'not confirmed'}"
    )
    say(f"  {back.source}")


@command.command("compare")
@click.argument("jurisdictions", nargs=-1)
@OUT
@LANGUAGE
@json_option
def compare_rules(
    jurisdictions: tuple[str, ...], *, out: Path | None, language: str, as_json: bool
) -> None:
    """Compare the longest times of jurisdictions side by side; all of them by default."""
    found = _compare(jurisdictions)
    say_comparison(found, out=out, language=language, as_json=as_json)


def say_comparison(found: Comparison, *, out: Path | None, language: str, as_json: bool) -> None:
    """As a table, as JSON, or with `out` as a page to print."""
    if out is not None:
        from openaoc.web.law import render_law

        out.write_text(render_law(found, language=language, whole=True), "utf-8")
    if as_json:
        show_json(found)
        return
    if out is not None:
        say(f"{out}: a page to print, A4")
        return
    codes = [one.column for one in found.jurisdictions]
    rows = [
        (row.ground, *(_hours(rule) if rule else "none" for rule in row.rules.values()))
        for row in found.grounds
    ]
    days = [f"{one.restitution.objection_days} days" for one in found.jurisdictions]
    marks = ["" if one.restitution.confirmed else " (not confirmed)" for one in found.jurisdictions]
    rows.append(("objections", *(f"{d}{m}" for d, m in zip(days, marks, strict=True))))
    rows.append(("may go live", *("yes" if j.may_go_live else "no" for j in found.jurisdictions)))
    show_table(("", *codes), rows)


def _hours(rule: RuleView) -> str:
    """The longest time with what is to be known of it."""
    if rule.longest_from == "measure":
        text = "by measure"
    elif rule.longest_from == "provisional":
        return f"{rule.longest_hours} h (provisional)"
    else:
        text = f"{rule.longest_hours} h"
    return text if rule.confirmed else f"{text} (not confirmed)"


def _compare(codes: tuple[str, ...]) -> Comparison:
    from openaoc.holds.comparing import compare
    from openaoc.kernel.clock import SystemClock

    return compare(codes, on=SystemClock().now().date())
