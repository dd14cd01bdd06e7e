"""Stage tracing: traces over a ledger whose older days are cold.

Where every origin is hot, the hot arrays are enough: each line begins where its cold days left it.
Else the accounts that money reached in cold days are laid out whole, and traced as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from openaoc.ledger.archive import Archive, Moves
from openaoc.ledger.arrays import LedgerArrays
from openaoc.ledger.bulk import build_arrays
from openaoc.tracing.model import CaseTrace

ROUNDS_MAX: Final = 1_000
"""Each round follows the money by at least one layer."""


class View:
    """Arrays in which a trace is made, and what the ledger calls their rows and accounts.

    `sequences`: the arrival number of each row; `accounts`: the ledger's number of each account;
    None where they are the same.
    """

    def __init__(
        self,
        arrays: LedgerArrays,
        *,
        archive: Archive | None = None,
        sequences: NDArray[np.int64] | None = None,
        accounts: NDArray[np.int64] | None = None,
    ) -> None:
        self.arrays = arrays
        self._archive, self._sequences, self._accounts = archive, sequences, accounts

    def row(self, sequence: int) -> int:
        """The row of a transfer, -1 where it is not here."""
        if self._sequences is None:
            if self._archive is None:
                return sequence
            return int(self._archive.rows(np.array([sequence]), self.arrays)[0])
        if self._archive is not None:
            sequence = self._archive.standing(sequence)
        row = int(np.searchsorted(self._sequences, sequence))
        known = row < self._sequences.size and int(self._sequences[row]) == sequence
        return row if known else -1

    def number(self, account: int) -> int:
        """The account here that the ledger has under this number."""
        if self._accounts is None:
            return account
        return int(np.searchsorted(self._accounts, account))

    def numbers(self, accounts: Collection[int]) -> frozenset[int]:
        """Those of the accounts that are here."""
        if self._accounts is None:
            return frozenset(accounts)
        known = np.isin(self._accounts, np.fromiter(accounts, np.int64, len(accounts)))
        return frozenset(np.flatnonzero(known).tolist())

    def account(self, number: int) -> int:
        """The ledger's number of an account here."""
        return number if self._accounts is None else int(self._accounts[number])

    def accounts(self, numbers: NDArray[np.integer]) -> NDArray[np.integer]:
        """The ledger's numbers of accounts here."""
        return numbers if self._accounts is None else self._accounts[numbers]

    def lift(self, trace: CaseTrace) -> CaseTrace:
        """The trace with the ledger's numbers."""
        if self._archive is None and self._sequences is None:
            return trace
        carried, accounts = trace.carried.copy(), trace.accounts.copy()
        if self._sequences is not None:
            carried[:, 0] = self._sequences[carried[:, 0]]
        elif self._archive is not None:
            carried[:, 0] = self._archive.numbers(carried[:, 0])
        accounts[:, 0] = self.accounts(accounts[:, 0])
        return msgspec.structs.replace(trace, carried=carried, accounts=accounts)


class Asked(NamedTuple):
    """What a trace is asked about, in the ledger's numbers."""

    origins: Sequence[int]
    """Arrival numbers of origins and of transfers that pay restitutions."""
    accounts: Collection[int]
    """Accounts with hold events."""
    hubs: frozenset[int]


Trace = Callable[[View], list[CaseTrace]]


def follow(
    arrays: LedgerArrays, archive: Archive | None, asked: Asked, trace: Trace, *, accounts_max: int
) -> tuple[View, list[CaseTrace]]:
    """Trace over hot and cold days as over one ledger; the view, and its traces as they are there.

    Inside a reading. Raises NotAtHand for what must be fetched first: then ask again. Past
    `accounts_max` the last round stands, `truncated`.
    """
    if archive is None or archive.plain:
        return (view := View(arrays)), trace(view)
    origins = np.array(asked.origins, np.int64)
    rows = archive.rows(origins, arrays)
    if (rows >= 0).all() and (arrays.time_us[rows] >= archive.cut_us).all():
        return (view := View(arrays, archive=archive)), trace(view)
    return _cross(arrays, archive, asked, trace, accounts_max=accounts_max)


def origins_view(arrays: LedgerArrays, archive: Archive | None, origins: Sequence[int]) -> View:
    """A view in which these transfers stand, on whichever lines. As `follow`."""
    if archive is None or archive.plain:
        return View(arrays)
    if (archive.rows(np.array(origins, np.int64), arrays) >= 0).all():
        return View(arrays, archive=archive)
    moves = archive.everything(arrays, deep=(), sequences=origins)
    return lay_out(moves, arrays, archive, deep=(), shallow=())


def _cross(
    arrays: LedgerArrays, archive: Archive, asked: Asked, trace: Trace, *, accounts_max: int
) -> tuple[View, list[CaseTrace]]:
    """Lay out what is needed, trace, and again until the money reached nothing that is not there.

    An account that money reached in cold days needs all its transfers; one that it reached later,
    those since the cut; a pooled one without holds, where money rests, none.
    """
    single = archive.everything(arrays, deep=(), sequences=asked.origins)
    deep, shallow = _reached(single, cut_us=archive.cut_us)
    shallow |= set(asked.accounts)
    rest = asked.hubs - set(asked.accounts)
    for _ in range(ROUNDS_MAX):
        deep, shallow = deep - rest, shallow - deep - rest
        moves = archive.everything(arrays, deep=deep, shallow=shallow, sequences=asked.origins)
        view = lay_out(moves, arrays, archive, deep=deep, shallow=shallow)
        traces = trace(view)
        rows = np.unique(np.concatenate([case.carried[:, 0] for case in traces]))
        old, new = _reached(moves.take(rows), cut_us=archive.cut_us)
        old, new = old - rest - deep, new - rest - deep - shallow
        if not old and not new:
            return view, traces
        if len(deep) + len(shallow) + len(old) + len(new) > accounts_max + len(asked.origins):
            return view, _truncated(traces, "accounts")
        deep, shallow = deep | old, shallow | new
    return view, _truncated(traces, "rounds")


def _truncated(traces: list[CaseTrace], limit: str) -> list[CaseTrace]:
    return [msgspec.structs.replace(case, truncated=case.truncated or limit) for case in traces]


def _reached(moves: Moves, *, cut_us: int) -> tuple[set[int], set[int]]:
    """The accounts that these transfers touched in cold days, and those they touched since."""
    old = moves.time_us < cut_us
    touched = []
    for part in (old, ~old):
        numbers = np.concatenate((moves.debtor[part], moves.creditor[part]))
        touched.append(set(numbers[numbers >= 0].tolist()))
    return touched[0], touched[1]


def lay_out(
    moves: Moves,
    arrays: LedgerArrays,
    archive: Archive,
    *,
    deep: Collection[int],
    shallow: Collection[int],
) -> View:
    """A ledger of these transfers: `deep` accounts from their beginning, `shallow` from the cut."""
    whole, since = (np.fromiter(some, np.int64, len(some)) for some in (deep, shallow))
    named = (moves.debtor, moves.creditor[moves.creditor >= 0], whole, since)
    accounts = np.unique(np.concatenate(named)).astype(np.int64)
    opening, line_from = np.zeros(accounts.size, np.int64), np.zeros(accounts.size, np.int64)
    bare = np.zeros(accounts.size, np.int64)
    at = np.searchsorted(accounts, whole)
    line_from[at], opening[at] = archive.openings(whole)
    bare[at] = archive.known_without_openings(whole)
    at = np.searchsorted(accounts, since)
    line_from[at] = np.maximum(archive.openings(since)[0], archive.cut_us)
    opening[at] = np.maximum(arrays.base_in[since] - arrays.base_out[since], 0)
    bare[at] = arrays.bare[since]
    inside = moves.creditor >= 0
    built = build_arrays(
        time_us=moves.time_us,
        debtor=np.searchsorted(accounts, moves.debtor).astype(np.int32),
        creditor=np.where(inside, np.searchsorted(accounts, moves.creditor), -1).astype(np.int32),
        amount=moves.amount,
        flags=moves.flags,
        channel=moves.channel,
        opening=opening,
        line_from=line_from,
    )
    built = built._replace(bare=bare)
    return View(built, archive=archive, sequences=moves.sequence, accounts=accounts)


def account_view(
    arrays: LedgerArrays, archive: Archive | None, account: int, *, rows_max: int, before_us: int
) -> tuple[LedgerArrays, int]:
    """Arrays in which an account's newest `rows_max` transfers each way before a moment stand.

    And its number there. Inside a reading. Raises NotAtHand.
    """
    if archive is None or not archive.divided or not arrays.unseen[account]:
        return arrays, account
    enough = True
    for pool, offsets, lengths in (
        (arrays.in_rows, arrays.in_off, arrays.in_len),
        (arrays.out_rows, arrays.out_off, arrays.out_len),
    ):
        rows = pool[int(offsets[account]) :][: int(lengths[account])]
        times = arrays.time_us[rows]
        enough &= int(np.searchsorted(times, before_us)) > rows_max
    if enough:
        return arrays, account
    moves = archive.everything(arrays, deep=[account])
    view = lay_out(moves, arrays, archive, deep=[account], shallow=())
    return view.arrays, view.number(account)
