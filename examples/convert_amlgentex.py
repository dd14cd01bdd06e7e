"""Convert the transactions of AMLGentex (github.com/aidotse/AMLGentex) to our transfers format.

    python examples/convert_amlgentex.py tx.parquet OUT

writes OUT/transfers.parquet, OUT/accounts.csv (opening balances) and OUT/origins.txt (the ids of
the transfers that the simulator marks as laundering). Nothing of the dataset comes with OpenAOC.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ["ts", "type", "amount", "nameOrig", "bankOrig", "nameDest", "bankDest", "isSAR"]
OPENING = "INITALBALANCE"
SOURCE, SINK = "source", "sink"
"""The world outside: salaries come from `source`, spending goes to `sink`."""
HUNDREDTH = 1e-6
"""A double that is this close to a whole number of hundredths was written as one."""


def to_minor(amount: pa.ChunkedArray) -> np.ndarray:
    """Hundredths of the amounts, which the dataset stores as doubles with two decimals.

    OpenAOC itself never reads money from a float; whoever converts decides, once, that it is exact.
    """
    values = amount.to_numpy() * 100
    minor = np.rint(values)
    wrong = np.flatnonzero(np.abs(values - minor) > HUNDREDTH)
    if len(wrong):
        raise SystemExit(f"row {wrong[0] + 1}: {values[wrong[0]] / 100} has more than two decimals")
    whole: np.ndarray = minor.astype(np.int64)
    return whole


def number_text(column: pa.ChunkedArray, mask: pa.ChunkedArray | None = None) -> pa.Array:
    """Account numbers as text; null where the mask says that there is no account."""
    text = pc.cast(column, pa.string())
    return text if mask is None else pc.if_else(mask, pa.scalar(None, pa.string()), text)


def convert(path: Path, out: Path, *, currency: str) -> None:
    """Write the three files."""
    table = pq.read_table(path, columns=COLUMNS)
    minor = to_minor(table["amount"])
    opening = pc.equal(table["type"], OPENING).to_numpy()
    write_accounts(table.filter(pa.array(opening)), minor[opening], out, currency=currency)
    empty = ~opening & (minor == 0)
    kept = np.flatnonzero(~opening & ~empty)
    rows = table.take(pa.array(kept))
    spent = pc.equal(rows["bankDest"], SINK)
    ids = pa.array([f"G{number}" for number in kept.tolist()])
    none = pa.scalar(None, pa.string())
    transfers = pa.table(
        {
            "transfer_id": ids,
            # The simulator knows days; within a day the order of the rows stands.
            "booked_at": pc.cast(pc.cast(rows["ts"], pa.date32()), pa.timestamp("us", "UTC")),
            "debtor_bank": rows["bankOrig"],
            "debtor_account": pc.replace_substring(number_text(rows["nameOrig"]), "-", "OUTSIDE"),
            "creditor_bank": pc.if_else(spent, none, pc.cast(rows["bankDest"], pa.string())),
            "creditor_account": number_text(rows["nameDest"], spent),
            "amount_minor": pa.array(minor[kept]),
            "currency": pa.array([currency] * len(kept)),
            "channel": pc.if_else(spent, "card_purchase", "transfer"),
        }
    )
    pq.write_table(transfers, out / "transfers.parquet", compression="zstd")
    marked = ids.filter(pc.equal(rows["isSAR"], 1).combine_chunks())
    (out / "origins.txt").write_text("".join(f"{one}\n" for one in marked.to_pylist()), "utf-8")
    print(
        f"{len(kept)} transfers, {int(opening.sum())} opening balances, {len(marked)} marked as"
        f" laundering; {int(empty.sum())} rows of amount 0 left out"
    )


def write_accounts(rows: pa.Table, minor: np.ndarray, out: Path, *, currency: str) -> None:
    """Opening balances, which the dataset writes as first transactions from `source`."""
    with (out / "accounts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["bank", "account", "opening_minor", "currency"])
        names = zip(rows["bankDest"].to_pylist(), rows["nameDest"].to_pylist(), strict=True)
        for (bank, account), amount in zip(names, minor.tolist(), strict=True):
            writer.writerow([bank, account, amount, currency])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transactions", type=Path, help="tx.parquet of an AMLGentex run")
    parser.add_argument("out", type=Path, help="folder for the converted files")
    parser.add_argument("--currency", default="SEK", help="ISO 4217 (default: SEK)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    convert(arguments.transactions, arguments.out, currency=arguments.currency)


if __name__ == "__main__":
    main()
