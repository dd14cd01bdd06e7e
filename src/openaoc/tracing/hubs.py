"""Stage tracing: the file that lists pooled accounts, whose money stays located there.

Answers which accounts are named; whether the ledger knows them is not asked here.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from openaoc.kernel.errors import BadInput, TooLarge
from openaoc.kernel.identifiers.bank_account import normalise_account, normalise_bank
from openaoc.kernel.money import check_currency

HUBS_BYTES_MAX: Final = 64 << 20
_FIELDS_MIN: Final = 2
_FIELDS_MAX: Final = 3


class Hub(NamedTuple):
    """A pooled account; without a currency, in every currency."""

    bank: str
    account: str
    currency: str | None


class _Line(msgspec.Struct, frozen=True):
    bank: str
    account: str
    currency: str | None = None


def read_hubs(path: Path) -> list[Hub]:
    """The accounts of a file: NDJSON objects, or CSV lines `bank,account[,currency]`.

    A first CSV line that names these columns is a header, in any order of columns. Raises BadInput
    naming the line.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(HUBS_BYTES_MAX + 1)
    except OSError as error:
        raise BadInput(error.strerror or str(error), where=str(path)) from error
    if len(content) > HUBS_BYTES_MAX:
        raise TooLarge(f"is larger than {HUBS_BYTES_MAX} bytes", where=str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8", where=str(path)) from error
    if text.lstrip().startswith("{"):
        return _from_json(text, path)
    return _from_csv(text, path)


def _from_json(text: str, path: Path) -> list[Hub]:
    hubs = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            item = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError as error:
            raise BadInput(str(error), where=where) from error
        hubs.append(_hub(item.bank, item.account, item.currency, where=where))
    return hubs


def _from_csv(text: str, path: Path) -> list[Hub]:
    names = ["bank", "account", "currency"]
    hubs = []
    try:
        for number, row in enumerate(csv.reader(text.splitlines(), strict=True), start=1):
            fields = [field.strip() for field in row]
            if not any(fields):
                continue
            if number == 1 and {"bank", "account"} <= {field.lower() for field in fields}:
                names = [field.lower() for field in fields]
                continue
            where = f"{path}, line {number}"
            if not _FIELDS_MIN <= len(fields) <= max(len(names), _FIELDS_MAX):
                raise BadInput("is not `bank,account[,currency]`", where=where)
            named = dict(zip(names, fields, strict=False))
            bank, account = named.get("bank", ""), named.get("account", "")
            hubs.append(_hub(bank, account, named.get("currency"), where=where))
    except csv.Error as error:
        raise BadInput(f"is not CSV: {error}", where=str(path)) from error
    return hubs


def _hub(bank: str, account: str, currency: str | None, *, where: str) -> Hub:
    return Hub(
        normalise_bank(bank, where=where),
        normalise_account(account, where=where),
        check_currency(currency, where=where) if currency else None,
    )
