"""CLI: `openaoc restore`: a centre from a backup, in an empty data folder, sending nothing."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from openaoc.cli.output import json_option, note, say, show_json


@click.command(help="Make a centre from a backup.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="First put the sealed keys of this file into the empty keys folder.",
)
@click.option("--check", "only_check", is_flag=True, help="Check the backup and change nothing.")
@json_option
def command(folder: Path, keys_file: Path | None, *, only_check: bool, as_json: bool) -> None:
    """Check the backup in FOLDER, then fill the empty data folder from it.

    The centre then starts in reconciling: it takes reports and sends nothing, until a person has
    looked at what is uncertain (`openaoc reconcile`). Refused for a data folder or a database that
    holds anything.
    """
    from openaoc.bootstrap import data_folder
    from openaoc.cli.logs import configure
    from openaoc.cli.passphrase import keys_passphrase
    from openaoc.continuity.keys_backup import open_keys
    from openaoc.continuity.restore import check, restore
    from openaoc.kernel.clock import SystemClock, format_time
    from openaoc.kernel.settings import load_settings

    configure(level="warning")
    settings = load_settings()
    progress = (lambda _: None) if as_json else note
    if keys_file is not None:
        open_keys(keys_file, settings.keys_path, passphrase=keys_passphrase(fresh=False))
    if only_check:
        manifest = check(folder, settings=settings, progress=progress)
        if as_json:
            show_json({"id": manifest.id, "made_at": manifest.made_at, "whole": True})
        else:
            say(f"{manifest.id} of {format_time(manifest.made_at)} is whole")
        return
    with data_folder(settings):
        receipt = restore(folder, settings=settings, clock=SystemClock(), progress=progress)
    if as_json:
        show_json(receipt)
        return
    say(f"restored {receipt.id} of {format_time(receipt.made_at)} into {receipt.data_dir}")
    say(
        f"  {receipt.ledger_transfers:,} transfers, {receipt.journal_size:,} journal rows,"
        f" epoch {receipt.epoch}"
    )
    say(f"  {receipt.set_aside} messages are uncertain; nothing is sent until a person resumes:")
    say("  openaoc serve, then openaoc reconcile status")
