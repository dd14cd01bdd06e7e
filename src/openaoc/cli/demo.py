"""CLI: `openaoc demo`: a centre with a simulated nation around it, on this machine.

Starts and stops everything it needs as children of its own; touches nothing else.
"""

from __future__ import annotations

import signal
from typing import Final

import rich_click as click

from openaoc.cli.ending import told_to_end
from openaoc.cli.output import json_option, show_json

ACCOUNTS_DEFAULT: Final = 200_000
ACCOUNTS_DEFAULT_TWO: Final = 50_000
"""Of each of two countries, so that two cores are enough for both."""
COUNTRIES_MAX: Final = 2
SPEED_DEFAULT: Final = 60.0
SEED_DEFAULT: Final = 1441


@click.command("demo")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1),
    help="Stop by itself after so many minutes; without it, Ctrl-C stops.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1, max=3600),
    default=SPEED_DEFAULT,
    show_default=True,
    help="Simulated seconds per second. People and mules are sped up, machines are not.",
)
@click.option(
    "--accounts",
    type=click.IntRange(2_000, 5_000_000),
    show_default="200,000; 50,000 in each of two countries",
    help="Accounts of the nation, or of each.",
)
@click.option(
    "--countries",
    type=click.IntRange(1, COUNTRIES_MAX),
    default=1,
    show_default=True,
    help="2: a second centre with a nation of its own; money crosses, and the centres exchange.",
)
@click.option("--seed", type=click.IntRange(0), default=SEED_DEFAULT, show_default=True)
@json_option
def command(
    *,
    minutes: float | None,
    speed: float,
    accounts: int | None,
    countries: int,
    seed: int,
    as_json: bool,
) -> None:
    """Run a centre with a simulated nation around it.

    Six banks, two wallets, an exchange and an ATM network answer the centre over signed HTTP from
    a process of their own and really block the amounts they are ordered to; people, shops and
    mules move money all the time; victims report. The page is http://127.0.0.1:8441.

    Everything lives in openaoc-data/demo (or OPENAOC_DATA_DIR); a second start goes on with it.
    Two countries live in openaoc-data/demo-two, the second centre on the next port.
    """
    from openaoc.cli.demo_country import DemoPlan
    from openaoc.cli.demo_run import Demo
    from openaoc.cli.demo_screen import open_screen

    usual = ACCOUNTS_DEFAULT if countries == 1 else ACCOUNTS_DEFAULT_TWO
    plan = DemoPlan(
        minutes=minutes, speed=speed, accounts=accounts or usual, seed=seed, countries=countries
    )
    with told_to_end(signal.SIGHUP) as stop:
        with open_screen(quiet=as_json) as screen:
            summary = Demo(plan, screen=screen, stop=stop).run()
        if as_json:
            show_json(summary)
        else:
            screen.summary(summary)
