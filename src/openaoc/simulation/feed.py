"""Simulation: what the institutions report of their transfers, as Arrow IPC streams.

Each institution reports the payments its own customers make. Knows what a bank knows: no word of
which payment is a scam's.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.arrays import CHANNELS
from openaoc.simulation.population import Population, account_numbers
from openaoc.simulation.world import Tick

SCHEMA = pa.schema(
    [
        ("transfer_id", pa.string()),
        ("reported_by", pa.string()),
        ("booked_at", pa.timestamp("us", tz="UTC")),
        ("debtor_bank", pa.string()),
        ("debtor_account", pa.string()),
        ("creditor_bank", pa.string()),
        ("creditor_account", pa.string()),
        ("amount_minor", pa.int64()),
        ("currency", pa.string()),
        ("channel", pa.string()),
    ]
)

TERMINALS = 500
"""Cash machines of the ATM network."""


def transfer_id(number: int) -> str:
    """The id under which the debtor's institution reports transfer `number`."""
    return f"T{number:011d}"


class Feed:
    """Writes batches; holds the account numbers as text once."""

    def __init__(self, population: Population, *, machines: str | None) -> None:
        """`machines` is the code of the ATM network, named as creditor of machine withdrawals."""
        self._population = population
        self._numbers = account_numbers(population.size)
        self._codes = pa.array([*population.codes], pa.string())
        self._channels = pa.array(CHANNELS, pa.string())
        self._machines = machines
        self._terminals = pa.array([f"ATM{n:04d}" for n in range(TERMINALS)], pa.string())

    def encode(self, tick: Tick) -> list[tuple[str, int, bytes]]:
        """One batch per institution that has something to report: code, rows, IPC stream."""
        table = self.table(tick)
        reporter = self._population.institution[tick.rows.debtor]
        batches: list[tuple[str, int, bytes]] = []
        for number in np.unique(reporter).tolist():
            rows = table.take(pa.array(np.flatnonzero(reporter == number)))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, SCHEMA) as writer:
                writer.write_table(rows)
            body = sink.getvalue().to_pybytes()
            batches.append((self._population.codes[number], rows.num_rows, body))
        return batches

    def table(self, tick: Tick) -> pa.Table:
        """The rows of a tick, under ids that count on from its first transfer."""
        rows = tick.rows
        count = len(rows.debtor)
        numbers = range(tick.first_transfer, tick.first_transfer + count)
        debtor_bank = self._bank(rows.debtor, np.ones(count, bool))
        stays = rows.creditor >= 0
        creditor_bank = self._bank(np.where(stays, rows.creditor, 0), stays)
        creditors = self._numbers.take(pa.array(np.where(stays, rows.creditor, 0), mask=~stays))
        if self._machines is not None:
            machine = pa.array(tick.at_machine)
            creditor_bank = pc.if_else(machine, self._machines, creditor_bank)
            terminals = self._terminals.take(pa.array(rows.debtor % TERMINALS))
            creditors = pc.if_else(machine, terminals, creditors)
        return pa.table(
            [
                pa.array([transfer_id(number) for number in numbers], pa.string()),
                debtor_bank,
                pa.array(rows.time_us, pa.timestamp("us", tz="UTC")),
                debtor_bank,
                self._numbers.take(pa.array(rows.debtor)),
                creditor_bank,
                creditors,
                pa.array(rows.amount_minor, pa.int64()),
                pa.repeat(pa.scalar(self._population.currency, pa.string()), count),
                self._channels.take(pa.array(rows.channel)),
            ],
            schema=SCHEMA,
        )

    def _bank(
        self,
        accounts: NDArray[np.int32],
        known: NDArray[np.bool_],
    ) -> pa.Array:
        places = self._population.institution[accounts]
        return self._codes.take(pa.array(places, mask=~known))
