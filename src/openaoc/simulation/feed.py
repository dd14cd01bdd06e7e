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
from openaoc.simulation.background import NOWHERE
from openaoc.simulation.neighbour import Neighbour, bank_abroad, there
from openaoc.simulation.population import Population, account_number, account_numbers
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


def arrival_id(number: int) -> str:
    """The id under which the creditor's institution reports money from next door."""
    return f"I{number:015d}"


class Feed:
    """Writes batches; holds the account numbers as text once."""

    def __init__(
        self, population: Population, *, machines: str | None, neighbour: Neighbour | None = None
    ) -> None:
        """`machines`: the code of the ATM network, named as creditor of machine withdrawals.

        `neighbour`: whose institutions and accounts are named where money goes there.
        """
        self._population = population
        self._neighbour = neighbour
        self._numbers = account_numbers(population.size)
        self._codes = pa.array([*population.codes], pa.string())
        self._channels = pa.array(CHANNELS, pa.string())
        self._machines = machines
        self._terminals = pa.array([f"ATM{n:04d}" for n in range(TERMINALS)], pa.string())

    def encode(self, tick: Tick) -> list[tuple[str, int, bytes]]:
        """One batch per institution that has something to report: code, rows, IPC stream."""
        table = self.table(tick)
        reporter = self._population.institution[
            np.concatenate([tick.rows.debtor, [one.creditor for _, one in tick.arrived]]).astype(
                np.int64
            )
        ]
        if tick.arrived:
            table = pa.concat_tables([table, self.arrivals(tick)])
        batches: list[tuple[str, int, bytes]] = []
        for number in np.unique(reporter).tolist():
            rows = table.take(pa.array(np.flatnonzero(reporter == number)))
            rows = rows.combine_chunks()
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
        creditor_bank, creditors = self._next_door(rows.creditor, creditor_bank, creditors)
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

    def arrivals(self, tick: Tick) -> pa.Table:
        """What came from next door, as the institution reports it that booked it."""
        population = self._population
        codes = [population.codes[population.institution[one.creditor]] for _, one in tick.arrived]
        found = [one for _, one in tick.arrived]
        count = len(found)
        times = [at_us for at_us, _ in tick.arrived]
        return pa.table(
            [
                pa.array([arrival_id(one.number) for one in found], pa.string()),
                pa.array(codes, pa.string()),
                pa.array(times, pa.timestamp("us", tz="UTC")),
                pa.array([one.bank for one in found], pa.string()),
                pa.array([one.account for one in found], pa.string()),
                pa.array(codes, pa.string()),
                pa.array([account_number(one.creditor) for one in found], pa.string()),
                pa.array([one.amount_minor for one in found], pa.int64()),
                pa.repeat(pa.scalar(population.currency, pa.string()), count),
                pa.repeat(pa.scalar("transfer", pa.string()), count),
            ],
            schema=SCHEMA,
        )

    def _next_door(
        self, creditor: NDArray[np.int32], banks: pa.Array, accounts: pa.Array
    ) -> tuple[pa.Array, pa.Array]:
        """Banks and accounts with those next door in their places."""
        where = np.flatnonzero(creditor < NOWHERE)
        if self._neighbour is None or not len(where):
            return banks, accounts
        bank_list, account_list = banks.to_pylist(), accounts.to_pylist()
        for row in where:
            named = bank_abroad(self._neighbour, there(int(creditor[row])))
            bank_list[row], account_list[row] = named
        return pa.array(bank_list, pa.string()), pa.array(account_list, pa.string())

    def _bank(
        self,
        accounts: NDArray[np.int32],
        known: NDArray[np.bool_],
    ) -> pa.Array:
        places = self._population.institution[accounts]
        return self._codes.take(pa.array(places, mask=~known))
