"""Simulation: what of a moment's payments went next door, as the neighbour's banks hear it."""

from __future__ import annotations

from openaoc.simulation.feed import transfer_id
from openaoc.simulation.neighbour import Arrival, is_abroad, number_of, there
from openaoc.simulation.population import Population, account_number
from openaoc.simulation.world import Move, Tick


def crossed(tick: Tick, population: Population, *, country: str) -> list[tuple[Move, Arrival]]:
    """Every movement of scam money to next door; `country`: ours, named before our banks' codes."""
    found = []
    for move in tick.moves:
        row = move.transfer - tick.first_transfer
        if not move.amount_minor or row < 0:
            continue  # nothing moved, or it came from next door itself
        creditor, debtor = int(tick.rows.creditor[row]), int(tick.rows.debtor[row])
        if not is_abroad(creditor):
            continue
        bank = population.codes[population.institution[debtor]]
        arrival = Arrival(
            number=number_of(scam=move.scam, payment=move.payment, step=move.step),
            bank=f"{country}.{bank}",
            account=account_number(debtor),
            creditor=there(creditor),
            amount_minor=move.amount_minor,
            reference=transfer_id(move.transfer),
        )
        found.append((move, arrival))
    return found
