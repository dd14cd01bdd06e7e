"""Stage ledger, files: raw columns to the canonical table, a million rows at a time.

Answers which rows are refused and in which column; `plain` says why. Never loops over good rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from openaoc.kernel.limits import ACCOUNT_CHARACTERS_MAX, TRANSFER_ID_CHARACTERS_MAX
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger import plain
from openaoc.ledger.byte_classes import is_digit
from openaoc.ledger.columns import (
    Coded,
    as_text,
    buffers,
    check_accounts,
    check_ids,
    code,
    from_buffers,
    recode,
)
from openaoc.ledger.schema import SCHEMA
from openaoc.ledger.times import Times, from_timestamps, parse_times

_DIGITS_MAX: Final = 19
Flags = NDArray[np.bool_]


class Validated(NamedTuple):
    """What became of a batch.

    `table`: every row in SCHEMA, refused ones with arbitrary content; `bad`: which are refused;
    `cut`: how many times were finer than a microsecond.
    """

    table: pa.Table
    bad: Flags
    cut: int


def validate(columns: Mapping[str, pa.Array], *, assume_utc: bool) -> Validated:
    """Check and normalise equally long raw columns.

    Text columns are string or dictionary arrays, `amount_minor` and `revision` int64 or text,
    `booked_at` timestamp of any unit or text; absent optional columns are missing from `columns`.
    """
    count = len(columns["transfer_id"])
    ids = check_ids(
        as_text(columns["transfer_id"]),
        rule=plain.transfer_id_rule,
        characters_max=TRANSFER_ID_CHARACTERS_MAX,
        required=True,
    )
    times = _times(columns["booked_at"], assume_utc=assume_utc)
    amount, bad_amount = _amounts(columns["amount_minor"])
    debtor_bank, bad_bank = recode(code(columns["debtor_bank"]), plain.bank_rule)
    debtor = check_accounts(
        as_text(columns["debtor_account"]),
        rule=plain.account_rule,
        characters_max=ACCOUNT_CHARACTERS_MAX,
        required=True,
    )
    currency, bad_currency = recode(code(columns["currency"]), plain.currency_rule)
    bad = ids.bad | times.bad | bad_amount | bad_bank | debtor.bad | bad_currency
    channel = _optional(columns, "channel", count)
    channel, bad_channel = recode(channel, plain.channel_rule)
    creditor_bank, creditor, bad_creditor = _creditor(columns, channel)
    reporter, bad_reporter = _reporter(columns, debtor_bank)
    corrects, revision, bad_revision = _correction(columns, count)
    bad |= bad_channel | bad_creditor | bad_reporter | bad_revision
    arrays = [
        ids.array,
        reporter,
        pa.array(times.us).view(pa.timestamp("us", "UTC")),
        debtor_bank.decode(),
        debtor.array,
        creditor_bank,
        creditor,
        amount,
        currency.decode(),
        channel.decode(),
        corrects,
        revision,
    ]
    return Validated(pa.table(arrays, schema=SCHEMA), bad, int(times.cut.sum()))


def _optional(columns: Mapping[str, pa.Array], name: str, count: int) -> Coded:
    """The column coded; an absent one is empty text throughout."""
    if name in columns:
        return code(columns[name])
    return Coded(np.zeros(count, np.int32), [""], None)


def _times(array: pa.Array, *, assume_utc: bool) -> Times:
    if pa.types.is_timestamp(array.type):
        return from_timestamps(array)
    text = buffers(as_text(array))
    return parse_times(offsets=text.offsets, data=text.data, assume_utc=assume_utc)


def whole_numbers(array: pa.Array, *, empty: int) -> tuple[NDArray[np.int64], Flags]:
    """int64 from int64 or text of digits, and which are neither; `empty` for null or no text."""
    if array.type == pa.int64():
        values = pc.fill_null(array, empty).to_numpy(zero_copy_only=False)
        return values, np.zeros(len(array), bool)
    array = as_text(array)
    text = buffers(array)
    lengths = text.lengths
    bad = lengths > _DIGITS_MAX
    strange = ~is_digit(text.region)
    if strange.any():
        bad[
            np.searchsorted(text.offsets, np.flatnonzero(strange) + text.offsets[0], "right") - 1
        ] = True
    spoilt = bad | (lengths == 0)
    if spoilt.any():
        array = pc.if_else(pa.array(spoilt), pa.scalar("0"), array)
    # Nineteen digits may pass 2^63: unsigned never overflows, and what is above is refused.
    values = array.cast(pa.uint64()).to_numpy()
    bad |= values > np.uint64(AMOUNT_MINOR_MAX)
    numbers = np.where(bad, 0, values).astype(np.int64)
    numbers[lengths == 0] = empty
    return numbers, bad


def _amounts(array: pa.Array) -> tuple[pa.Array, Flags]:
    values, bad = whole_numbers(array, empty=0)
    bad = bad | (values <= 0) | (values > AMOUNT_MINOR_MAX)
    return pa.array(values), bad


def _creditor(columns: Mapping[str, pa.Array], channel: Coded) -> tuple[pa.Array, pa.Array, Flags]:
    """Bank and account, null for none: both or neither, neither only for an exit."""
    bank, bad = recode(code(columns["creditor_bank"]), plain.optional_bank_rule)
    account = check_accounts(
        as_text(columns["creditor_account"]),
        rule=plain.optional_account_rule,
        characters_max=ACCOUNT_CHARACTERS_MAX,
        required=False,
    )
    bad = bad | account.bad
    text = buffers(account.array)
    has_account = text.lengths > 0
    has_bank = np.array([bool(value) for value in bank.values], bool)[bank.codes]
    exits = np.array([value != plain.DEFAULT_CHANNEL for value in channel.values], bool)
    bad |= (has_account != has_bank) | (~has_account & ~exits[channel.codes])
    accounts = account.array if has_account.all() else from_buffers(text, present=has_account)
    return bank.decode(empty_is_null=True), accounts, bad


def _reporter(columns: Mapping[str, pa.Array], debtor_bank: Coded) -> tuple[pa.Array, Flags]:
    """Who told us; the debtor's bank where nobody is named."""
    if "reported_by" not in columns:
        return debtor_bank.decode(), np.zeros(len(debtor_bank.codes), bool)
    reporter, bad = recode(code(columns["reported_by"]), plain.optional_bank_rule)
    if "" not in reporter.values:
        return reporter.decode(), bad
    named = reporter.decode(empty_is_null=True)
    return pc.coalesce(named, debtor_bank.decode()), bad


def _correction(columns: Mapping[str, pa.Array], count: int) -> tuple[pa.Array, pa.Array, Flags]:
    """`corrects` and `revision`, null for none; a correction names a revision of 1 or more."""
    none = -1
    bad = np.zeros(count, bool)
    values = np.full(count, none, np.int64)
    if "revision" in columns:
        array = columns["revision"]
        empty = np.zeros(count, bool)
        if array.type != pa.int64():
            empty = buffers(as_text(array)).lengths == 0
        else:
            empty = array.is_null().to_numpy(zero_copy_only=False)
        values, bad = whole_numbers(array, empty=0)
        bad = bad | (values < 0) | (values > plain.REVISION_MAX)
        values = np.where(empty, none, values)
    revision = pa.array(values, mask=values == none)
    if "corrects" not in columns:
        return pa.nulls(count, pa.string()), revision, bad
    corrects = check_ids(
        as_text(columns["corrects"]),
        rule=plain.corrects_rule,
        characters_max=TRANSFER_ID_CHARACTERS_MAX,
        required=False,
    )
    text = buffers(corrects.array)
    named = text.lengths > 0
    bad |= corrects.bad | (named & (values < 1))
    return from_buffers(text, present=named), revision, bad
