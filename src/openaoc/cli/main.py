"""CLI: the entry point `openaoc`: which command lives where, and what an error becomes.

Imports nothing but the terminal library: help must be there at once.
"""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Final, NamedTuple

import rich_click as click

from openaoc import __version__
from openaoc.cli.output import report_error
from openaoc.kernel.errors import BadInput


class Place(NamedTuple):
    """Where a command is defined (`module:name`) and its one line in the overview."""

    target: str
    help: str


COMMANDS: Final[dict[str, Place]] = {
    "demo": Place("openaoc.cli.demo:command", "Run a centre with a simulated nation around it."),
    "serve": Place("openaoc.cli.serve:command", "Run the centre."),
    "report": Place("openaoc.cli.report:command", "Submit a victim's report."),
    "case": Place("openaoc.cli.case:command", "Look at a case; close, drop or reopen it."),
    "hold": Place("openaoc.cli.hold:command", "List, approve, answer and release hold orders."),
    "restitution": Place(
        "openaoc.cli.restitution:command", "Give held money back: propose, publish, decide, pay."
    ),
    "indicator": Place(
        "openaoc.cli.indicator:command", "What the centre holds an opinion on; confirm, withdraw."
    ),
    "suspicion": Place(
        "openaoc.cli.suspicion:command", "Holds that institutions made on their own suspicion."
    ),
    "appeal": Place("openaoc.cli.appeal:command", "Contest a hold; decide and review contests."),
    "breaker": Place("openaoc.cli.breaker:command", "Stop automatic orders, or let them go."),
    "undo": Place("openaoc.cli.undo:command", "Take back everything a fault caused."),
    "exchange": Place(
        "openaoc.cli.exchange:command", "Share with partners by agreement; see what left, recall."
    ),
    "centre": Place(
        "openaoc.cli.centre:command", "Follow money into other countries; match without showing."
    ),
    "operation": Place(
        "openaoc.cli.operation:command", "Joint operations with other centres: timeline, results."
    ),
    "protection": Place(
        "openaoc.cli.protection:command", "Protect possible victims of trafficking; refer them."
    ),
    "takedown": Place(
        "openaoc.cli.takedown:command", "Ask partners to take down sites, apps, accounts, numbers."
    ),
    "advisory": Place(
        "openaoc.cli.advisory:command", "Warn critical sectors; report the centre's own incidents."
    ),
    "campaign": Place(
        "openaoc.cli.campaign:command", "Which indicators are one scam's; under which name."
    ),
    "practice": Place(
        "openaoc.cli.practice:command", "Playbooks and typologies: try, share, take on."
    ),
    "script": Place(
        "openaoc.cli.script:command", "What scammers say: share it, find it in other words."
    ),
    "trace": Place("openaoc.cli.trace:command", "Follow money through files of transfers."),
    "ledger": Place("openaoc.cli.ledger:command", "Bring transfers and openings into the centre."),
    "journal": Place("openaoc.cli.journal:command", "Verify the journal of every change."),
    "rules": Place("openaoc.cli.rules:command", "Show and compare the legal rules of holds."),
    "user": Place("openaoc.cli.user:command", "Add users and their keys."),
    "institution": Place(
        "openaoc.cli.institution:command", "Add institutions; switch them live or to shadow."
    ),
    "backup": Place("openaoc.cli.backup:command", "Back up a running or a stopped centre."),
    "restore": Place("openaoc.cli.restore:command", "Make a centre from a backup."),
    "reconcile": Place(
        "openaoc.cli.reconcile:command", "After a restore: decide what is sent, deliver again."
    ),
    "standby": Place("openaoc.cli.standby:command", "Keep a warm standby, and take over with it."),
    "witness": Place(
        "openaoc.cli.witness:command", "Run an outside witness of a centre's journal."
    ),
    "prove": Place("openaoc.cli.prove:command", "Show that what must always hold does."),
    "db": Place("openaoc.cli.db:command", "Prepare the database."),
    "simulate": Place(
        "openaoc.cli.simulate:command", "Live a simulated nation with and without a centre."
    ),
    "exercise": Place(
        "openaoc.cli.exercise:command", "Practise with another centre; a result sheet by layer."
    ),
    "bench": Place("openaoc.cli.bench:command", "Measure this machine."),
}


def load(name: str) -> click.Command:
    """The command itself, imported now."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class LazyGroup(click.RichGroup):
    """Shows names and one-line helps from COMMANDS and imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, in the order of the work."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """A stand-in that carries the overview's line; see resolve_command for the real one."""
        place = COMMANDS.get(cmd_name)
        return None if place is None else click.RichCommand(name=cmd_name, help=place.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to run, imported."""
        name = args[0]
        if name not in COMMANDS:
            return super().resolve_command(ctx, args)
        return name, load(name), args[1:]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="openaoc", message="%(prog)s %(version)s")
def cli() -> None:
    """Open operation centre against online scams.

    Commands that need a running centre find it by OPENAOC_URL (default http://127.0.0.1:8441) and
    sign in with OPENAOC_API_KEY; on the centre's own machine the administrator's key file is used.
    """


def main() -> None:
    """Run, and exit 0 when done, 1 when refused or failed, 2 on wrong usage."""
    # Told to end is as by Ctrl-C: what a command made in temporary places is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        sys.exit(report_error(BadInput(error.format_message())))
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("stopped\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the edge: everything becomes one line
        sys.exit(report_error(error))
    sys.exit(code if isinstance(code, int) else 0)
