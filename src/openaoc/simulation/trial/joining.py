"""Simulation, trials: which institutions of a nation take part, and which runs the machines."""

from __future__ import annotations

from openaoc.simulation.trial.life import Life


def members(life: Life, *, coverage: float) -> tuple[str, ...]:
    """The institutions that take part: the smallest number, largest first, with that share.

    One without accounts of its own always does.
    """
    found: list[str] = []
    covered = 0.0
    for one in sorted(life.parameters.institutions, key=lambda one: (-one.share, one.code)):
        if covered < coverage - 1e-9 or not one.share:
            found.append(one.code)
            covered += one.share
    return tuple(sorted(found))


def machines_of(life: Life) -> str | None:
    """The code of the ATM network, where there is one."""
    return next((o.code for o in life.parameters.institutions if o.kind == "atm_network"), None)
