"""CLI: `openaoc prove`: show that what must always hold does, on a scratch centre of its own."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Final

import rich_click as click

from openaoc.cli.output import REFUSED, json_option, say, show_json, show_table, working

ALL: Final = "all"


@click.command(help="Show that what must always hold does, on a scratch centre.")
@click.argument("names", nargs=-1)
@json_option
def command(names: tuple[str, ...], *, as_json: bool) -> None:
    """Run the proofs named NAMES, or `all`; without a name, list them with what they show.

    Each makes a scratch centre in a temporary folder, tries to break what it claims, and says what
    it did and found; exit 1 when one does not hold. No running centre is touched.
    """
    from openaoc.cli.logs import configure
    from openaoc.proofs.frame import PROOFS, Step, find_proof, run_proof
    from openaoc.proofs.scratch import ScratchServer

    configure(level="critical")
    if not names:
        _list(as_json=as_json)
        return

    def tell(step: Step) -> None:
        if not as_json:
            say(f"  {'ok ' if step.ok else 'NOT'} {step.did}: {step.found}")

    wanted = [*PROOFS] if names == (ALL,) else [*dict.fromkeys(names)]
    for name in wanted:
        find_proof(name)
    results: list[Any] = []
    with contextlib.closing(ScratchServer()) as server:
        for name in wanted:
            if not as_json:
                say(f"{name}: {PROOFS[name].claim}")
            with working(name):
                results.append(run_proof(name, tell=tell, fresh_dsn=server.fresh_dsn))
            if not as_json:
                verdict = "holds" if results[-1].holds else "DOES NOT HOLD"
                say(f"  {verdict}, {results[-1].seconds} s")
    if as_json:
        show_json({"proofs": results, "hold": all(one.holds for one in results)})
    if not all(one.holds for one in results):
        sys.exit(REFUSED)


def _list(*, as_json: bool) -> None:
    """Name the proofs with what they show."""
    from openaoc.proofs.frame import PROOFS

    if as_json:
        show_json([{"name": name, "claim": place.claim} for name, place in PROOFS.items()])
    else:
        show_table(("proof", "claim"), [(name, p.claim) for name, p in PROOFS.items()])
