"""CLI: `openaoc db migrate`: bring the database to what this version knows, without serving."""

from __future__ import annotations

import rich_click as click

from openaoc.cli.output import json_option, say, show_json


@click.group(help="Prepare the database.")
def command() -> None:
    """The database."""


@command.command("migrate")
@json_option
def migrate(*, as_json: bool) -> None:
    """Apply what is missing. `serve` does it too; refused while a centre uses the data folder."""
    from openaoc.bootstrap import data_folder
    from openaoc.cli.logs import configure
    from openaoc.kernel.clock import SystemClock
    from openaoc.kernel.settings import load_settings
    from openaoc.storage.database import open_database

    configure()
    settings = load_settings()
    with data_folder(settings):
        database = open_database(settings, clock=SystemClock())
        try:
            before, after = database.migrate()
        finally:
            database.close()
    if as_json:
        show_json({"before": before, "after": after})
    else:
        say(f"database at revision {after}" + (f" (was {before})" if before != after else ""))
