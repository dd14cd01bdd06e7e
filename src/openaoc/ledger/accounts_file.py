"""Stage ledger, files: the optional file of opening balances.

Answers what each account held before its first transfer; `opening_minor` 0 or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import ACCOUNT_CHARACTERS_MAX, REFUSED_ROWS_SHOWN_MAX
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger import plain
from openaoc.ledger.columns import as_text, check_accounts, code, recode
from openaoc.ledger.csv_reader import read_csv
from openaoc.ledger.file_limits import ACCOUNTS_MAX, BODY_TABLE_BYTES_MAX, TABLE_BYTES_MAX
from openaoc.ledger.ndjson_reader import read_lines
from openaoc.ledger.open_file import CONTENT_TYPES, FileKind, open_file
from openaoc.ledger.parquet_reader import read_arrow, read_parquet
from openaoc.ledger.raw import Raw
from openaoc.ledger.refusals import RefusedRow, RefusedRows, in_order, refuse_file
from openaoc.ledger.validate import whole_numbers

ACCOUNT_COLUMNS: Final = ("bank", "account", "opening_minor", "currency")
ACCOUNT_SCHEMA: Final = pa.schema(
    [
        pa.field("bank", pa.string(), nullable=False),
        pa.field("account", pa.string(), nullable=False),
        pa.field("opening_minor", pa.int64(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class AccountsTable:
    """Opening balances in ACCOUNT_SCHEMA, each account once."""

    table: pa.Table
    notes: tuple[str, ...] = ()

    @property
    def opening_minor(self) -> NDArray[np.int64]:
        """The balances, in minor units."""
        values: NDArray[np.int64] = self.table["opening_minor"].to_numpy()
        return values


def read_accounts(path: Path) -> AccountsTable:
    """The opening balances of a Parquet, CSV, NDJSON or Arrow file, names normalised.

    An account that is there twice with the same balance counts once; with another it is refused.
    Raises RefusedRows.
    """
    opened = open_file(path)
    return _collect(_raw(opened.data, opened.kind, file=str(path), bytes_max=TABLE_BYTES_MAX))


def parse_accounts(data: bytes, content_type: str, *, name: str = "body") -> AccountsTable:
    """As `read_accounts`, for the body of a request; content types as of `parse_transfers`."""
    kind = CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())
    if kind is None:
        known = ", ".join(sorted(CONTENT_TYPES.keys() - {"application/xml"}))
        raise refuse_file(name, f"{content_type[:80]!r} is not taken; known are {known}")
    if not data:
        raise refuse_file(name, "the file is empty")
    return _collect(_raw(data, kind, file=name, bytes_max=BODY_TABLE_BYTES_MAX))


def _collect(raw: Raw) -> AccountsTable:
    parts: list[pa.Table] = []
    explained = list(raw.refused)
    start = 0
    for columns in raw.batches:
        part, bad = _validate(columns)
        if start + part.num_rows > ACCOUNTS_MAX:
            raise refuse_file(raw.file, f"has more than {ACCOUNTS_MAX} rows")
        explained += _explain(raw, columns, np.flatnonzero(bad), start=start)
        start += part.num_rows
        parts.append(part)
    if explained:
        raise RefusedRows(in_order(explained))
    table = pa.concat_tables(parts) if parts else ACCOUNT_SCHEMA.empty_table()
    return AccountsTable(table=_each_once(raw, table.combine_chunks()), notes=tuple(raw.notes))


def _raw(data: bytes | pa.NativeFile, kind: FileKind, *, file: str, bytes_max: int) -> Raw:
    if kind is FileKind.CSV and isinstance(data, bytes):
        return read_csv(data, file=file, required=ACCOUNT_COLUMNS, optional=())
    if kind is FileKind.NDJSON and isinstance(data, bytes):
        return read_lines(data, file=file, needed=ACCOUNT_COLUMNS, optional=())
    if kind is FileKind.PACS008:
        raise refuse_file(file, "holds payments, not opening balances")
    source = pa.BufferReader(data) if isinstance(data, bytes) else data
    if kind is FileKind.PARQUET:
        return read_parquet(
            source,
            file=file,
            assume_utc=False,
            required=ACCOUNT_COLUMNS,
            optional=(),
            bytes_max=bytes_max,
        )
    return read_arrow(
        source,
        file=file,
        assume_utc=False,
        stream=kind is FileKind.ARROW_STREAM,
        required=ACCOUNT_COLUMNS,
        optional=(),
        bytes_max=bytes_max,
    )


def _validate(columns: Mapping[str, pa.Array]) -> tuple[pa.Table, NDArray[np.bool_]]:
    """The rows in ACCOUNT_SCHEMA, and which are refused."""
    bank, bad = recode(code(columns["bank"]), plain.bank_rule)
    account = check_accounts(
        as_text(columns["account"]),
        rule=plain.account_rule,
        characters_max=ACCOUNT_CHARACTERS_MAX,
        required=True,
    )
    currency, bad_currency = recode(code(columns["currency"]), plain.currency_rule)
    opening, bad_opening = whole_numbers(columns["opening_minor"], empty=-1)
    bad = bad | account.bad | bad_currency | bad_opening
    bad |= (opening < 0) | (opening > AMOUNT_MINOR_MAX)
    arrays = [bank.decode(), account.array, pa.array(opening), currency.decode()]
    return pa.table(arrays, schema=ACCOUNT_SCHEMA), bad


def opening_rule(value: str | int | None) -> int:
    """An opening balance, 0 to 2^62 - 1, from an integer or a text of digits."""
    if value is None or value == "":
        raise BadInput("is empty")
    if isinstance(value, str):
        value = plain.whole_number(value, what="a balance in whole minor units")
    if not 0 <= value <= AMOUNT_MINOR_MAX:
        raise BadInput(f"{value} is not a balance of 0 or more below 2^62")
    return value


def check_account_row(values: Mapping[str, str | int | None]) -> list[tuple[str, str]]:
    """The faults of one row as (column, reason); the plain twin of the fast checks."""
    faults: list[tuple[str, str]] = []
    rules = (("bank", plain.bank_rule), ("account", plain.account_rule))
    for column, rule in (*rules, ("currency", plain.currency_rule)):
        value = values.get(column)
        try:
            rule("" if value is None else str(value))
        except BadInput as error:
            faults.append((column, error.detail))
    try:
        opening_rule(values.get("opening_minor"))
    except BadInput as error:
        faults.append(("opening_minor", error.detail))
    return faults


def _explain(
    raw: Raw, columns: Mapping[str, pa.Array], bad: NDArray[np.int64], *, start: int
) -> list[RefusedRow]:
    chosen = bad[:REFUSED_ROWS_SHOWN_MAX]
    picked = {name: array.take(pa.array(chosen)).to_pylist() for name, array in columns.items()}
    at = chosen + start
    rows = [int(n) for n in (at + 1 if raw.numbers is None else raw.numbers[at])]
    lines = raw.lines(rows)
    explained: list[RefusedRow] = []
    for position, row in enumerate(rows):
        faults = check_account_row({name: values[position] for name, values in picked.items()})
        assert faults, f"the fast and the plain rules disagree about {raw.file}"
        explained += [
            RefusedRow(file=raw.file, row=row, line=lines.get(row), column=column, reason=reason)
            for column, reason in faults
        ]
    return explained


def _each_once(raw: Raw, table: pa.Table) -> pa.Table:
    """Every account once. Raises RefusedRows where its rows contradict each other."""
    keys = ["bank", "account", "currency"]
    numbered = table.append_column("row", pa.array(np.arange(table.num_rows)))
    groups = numbered.group_by(keys).aggregate(
        [("row", "min"), ("opening_minor", "min"), ("opening_minor", "max")]
    )
    if groups.num_rows == table.num_rows:
        return table
    differs = groups.filter(pc.not_equal(groups["opening_minor_min"], groups["opening_minor_max"]))
    if differs.num_rows:
        first = differs.slice(0, 1).to_pylist()[0]
        same = [pc.equal(table[name], first[name]).to_numpy(zero_copy_only=False) for name in keys]
        rows = np.flatnonzero(same[0] & same[1] & same[2]) + 1
        raise RefusedRows(
            [
                RefusedRow(
                    file=raw.file,
                    row=int(rows[1]),
                    column="account",
                    reason=f"is there already in row {rows[0]}, with another opening balance",
                )
            ]
        )
    return table.take(pa.array(np.sort(groups["row_min"].to_numpy())))
