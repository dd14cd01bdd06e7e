"""Stage ledger, files: names of accounts to numbers, for a trace over files.

Answers which account (bank, account, currency) has which number; the running ledger has its own
interning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.ledger.accounts_file import AccountsTable
from openaoc.ledger.arrays import CHANNELS, EXIT, SELF
from openaoc.ledger.columns import as_text, code
from openaoc.ledger.schema import TransferTable


class BulkColumns(NamedTuple):
    """What `bulk.build_arrays` takes: one entry per transfer in arrival order.

    `opening` has one entry per account, in minor units.
    """

    time_us: NDArray[np.int64]
    debtor: NDArray[np.int32]
    creditor: NDArray[np.int32]
    amount: NDArray[np.int64]
    flags: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    opening: NDArray[np.int64]


class FileAccount(NamedTuple):
    """One account by name."""

    bank: str
    account: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class AccountNames:
    """The names of accounts 0 … n-1."""

    bank: pa.Array
    account: pa.Array
    currency: pa.Array

    def __len__(self) -> int:
        return len(self.account)

    def __getitem__(self, index: int) -> FileAccount:
        return FileAccount(
            self.bank[index].as_py(), self.account[index].as_py(), self.currency[index].as_py()
        )

    def index(self, *, bank: str, account: str, currency: str) -> int | None:
        """The number of an account (normalised names), None when no transfer knows it."""
        same = pc.and_(pc.equal(self.account, account), pc.equal(self.bank, bank))
        places = np.flatnonzero(
            pc.and_(same, pc.equal(self.currency, currency)).to_numpy(zero_copy_only=False)
        )
        return int(places[0]) if len(places) else None


def intern(
    table: TransferTable, accounts: AccountsTable | None = None
) -> tuple[BulkColumns, AccountNames]:
    """Number every account of the table, and take over the opening balances of `accounts`.

    An exit's creditor is -1 though one be named. An account nobody gave an opening balance starts
    at 0; accounts of `accounts` without a transfer are numbered too.
    """
    data = table.table.combine_chunks()
    count = data.num_rows
    channel = _channels(data["channel"])
    exits = channel != 0
    has_creditor = ~exits
    opening = accounts.table if accounts is not None else None
    key, names = _number(data, has_creditor, opening)
    debtor = key[:count]
    creditor = np.full(count, -1, np.int32)
    ends = count + int(has_creditor.sum())
    creditor[has_creditor] = key[count:ends]
    balance = np.zeros(len(names), np.int64)
    if accounts is not None and opening is not None:
        balance[key[ends:]] = accounts.opening_minor
    flags = np.where(exits, EXIT, np.where(debtor == creditor, SELF, 0)).astype(np.uint8)
    columns = BulkColumns(
        time_us=table.numpy("booked_at"),
        debtor=debtor,
        creditor=creditor,
        amount=table.numpy("amount_minor"),
        flags=flags,
        channel=channel,
        opening=balance,
    )
    return columns, names


def _channels(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    coded = code(_one(column))
    numbers = np.array([CHANNELS.index(value) for value in coded.values], np.uint8)
    return numbers[coded.codes] if len(coded.codes) else np.zeros(0, np.uint8)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole


def _number(
    data: pa.Table, has_creditor: NDArray[np.bool_], opening: pa.Table | None
) -> tuple[NDArray[np.int32], AccountNames]:
    """One number per debtor, then per creditor in the ledger, then per opening balance.

    Numbers go by first appearance.
    """
    kept = pa.array(np.flatnonzero(has_creditor))
    triples = [
        (data["debtor_bank"], data["debtor_account"], data["currency"]),
        tuple(data[name].take(kept) for name in ("creditor_bank", "creditor_account", "currency")),
    ]
    if opening is not None:
        triples.append((opening["bank"], opening["account"], opening["currency"]))
    bank, account, currency = (
        pa.concat_arrays([as_text(_one(triple[part])) for triple in triples]).dictionary_encode()
        for part in range(3)
    )
    banks, currencies = max(len(bank.dictionary), 1), max(len(currency.dictionary), 1)
    wide = _indices(account) * banks + _indices(bank)
    encoded = pa.array(wide * currencies + _indices(currency)).dictionary_encode()
    number = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    unique = encoded.dictionary.to_numpy(zero_copy_only=False)
    rest, currency_code = np.divmod(unique, currencies)
    account_code, bank_code = np.divmod(rest, banks)
    names = AccountNames(
        bank=bank.dictionary.take(pa.array(bank_code)),
        account=account.dictionary.take(pa.array(account_code)),
        currency=currency.dictionary.take(pa.array(currency_code)),
    )
    return number, names


def _indices(coded: pa.DictionaryArray) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
