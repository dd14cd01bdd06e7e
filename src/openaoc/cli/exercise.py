"""CLI: `openaoc exercise`: two centres practise together on simulated nations; the result sheet.

Needs no running centre: it makes two of its own, marked as an exercise, and removes them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json, show_table, working

if TYPE_CHECKING:
    from openaoc.channels.transport import Transport
    from openaoc.kernel.clock import ManualClock
    from openaoc.kernel.settings import Settings
    from openaoc.simulation.trial.actors import OpenCentre

DAYS_MAX: Final = 10.0
LIVED_DAYS_MAX: Final = 60.0
OFFICER_MINUTES_MAX: Final = 10_080.0


@click.command("exercise")
@click.option("--scenario", default="two-countries", show_default=True, help="`list` names them.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--days",
    type=click.FloatRange(0.1, DAYS_MAX),
    default=1.0,
    show_default=True,
    help="Days of new scams.",
)
@click.option(
    "--lived-days",
    type=click.FloatRange(1, LIVED_DAYS_MAX),
    default=12.0,
    show_default=True,
    help="Days lived in all, so that what was held is looked at again, answered and given back.",
)
@click.option(
    "--officer-minutes",
    type=click.FloatRange(0.1, OFFICER_MINUTES_MAX),
    help="How long a person takes to decide, on average; default: as the nation's figures have it.",
)
@click.option("--alone", is_flag=True, help="The centres do not work together: to compare with.")
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result sheet here, as a page; beside it the same as JSON.",
)
@json_option
def command(
    *,
    scenario: str,
    seed: int,
    days: float,
    lived_days: float,
    officer_minutes: float | None,
    alone: bool,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Hold an exercise of two centres, and show by layer what was found, ordered, held and lost.

    Two simulated nations, money that crosses, two real centres that exchange as their agreement
    says; everything they sign is marked EXERCISE. The same options give the same sheet each time.
    """
    from openaoc.cli.logs import configure
    from openaoc.kernel.errors import BadInput
    from openaoc.simulation.exercise.model import ExercisePlan
    from openaoc.simulation.exercise.page import page_of
    from openaoc.simulation.exercise.run import hold_exercise
    from openaoc.simulation.parameters import load_parameters
    from openaoc.simulation.trial.pair_scenario import PAIR, PAIR_SENSITIVITY
    from openaoc.simulation.trial.stage import stage

    known = {one.name: one for one in (PAIR, *PAIR_SENSITIVITY)}
    if scenario == "list":
        if as_json:
            show_json([{"scenario": one.name, "says": one.says} for one in known.values()])
        else:
            show_table(["scenario", "says"], [[one.name, one.says] for one in known.values()])
        return
    if scenario not in known:
        raise BadInput(f"there are {', '.join(known)}", where="scenario")
    if lived_days < days:
        raise BadInput("no day of new scams after the last day lived", where="lived-days")
    if sheet is not None and sheet.suffix == ".json":
        raise BadInput("name the page; its figures are written beside it as .json", where="sheet")
    if sheet is not None and not sheet.absolute().parent.is_dir():
        raise BadInput("there is no such folder", where="sheet")
    configure(level="error")
    plan = ExercisePlan(
        seed=seed,
        days=days,
        lived_days=lived_days,
        officer_minutes=officer_minutes,
        exchange=not alone,
    )
    with working("the exercise is lived"), stage() as made:
        found = hold_exercise(
            load_parameters(), known[scenario], plan, stage=made, open_linked=_open_linked
        )
    if sheet is not None:
        import msgspec

        sheet.write_text(page_of(found), "utf-8")
        figures = sheet.with_suffix(".json")
        figures.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        note(f"{sheet}, {figures}")
    if as_json:
        show_json(found)
    elif sheet is None:
        say(page_of(found))


def _open_linked(
    settings: Settings, clock: ManualClock, line: Transport
) -> AbstractContextManager[OpenCentre]:
    from openaoc.bootstrap import build_centre

    return build_centre(settings, clock=clock, line_to=line).opened()
