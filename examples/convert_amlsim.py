"""Convert the sample data of AMLSim (github.com/IBM/AMLSim) to our transfers format.

    python examples/convert_amlsim.py transactions.csv[.gz] nodes.csv[.gz] OUT

writes OUT/transfers.csv, OUT/accounts.csv (opening balances) and OUT/origins.txt (the ids of the
transfers between two accounts marked as fraudulent). Nothing of the dataset comes with OpenAOC.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

BANK = "AMLSIM"
"""The samples know no banks: all accounts are at one."""
FIRST_DAY = datetime(2017, 1, 1, tzinfo=UTC)
"""Time 0 of the simulator, which counts days."""
HEADER = [
    "transfer_id",
    "booked_at",
    "debtor_bank",
    "debtor_account",
    "creditor_bank",
    "creditor_account",
    "amount_minor",
    "currency",
]


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, every field as text."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def to_minor(text: str) -> int:
    """Cents of a decimal text such as 147.8; no float comes near it."""
    minor = Decimal(text) * 100
    if minor != int(minor):
        raise SystemExit(f"{text} has more than two decimals")
    return int(minor)


def convert(transactions: Path, nodes: Path, out: Path, *, currency: str) -> None:
    """Write the three files."""
    suspects: set[str] = set()
    with (out / "accounts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["bank", "account", "opening_minor", "currency"])
        for node in rows(nodes):
            writer.writerow([BANK, node["nodeid"], to_minor(node["init_balance"]), currency])
            if node["isFraud"] == "1":
                suspects.add(node["nodeid"])
    count, origins = 0, []
    with (out / "transfers.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number, row in enumerate(rows(transactions), start=1):
            day = FIRST_DAY + timedelta(days=int(row["time"]))
            source, target = row["sourceNodeId"], row["targetNodeId"]
            writer.writerow(
                [
                    f"A{number}",
                    day.isoformat().replace("+00:00", "Z"),
                    BANK,
                    source,
                    BANK,
                    target,
                    to_minor(row["value"]),
                    currency,
                ]
            )
            count += 1
            if source in suspects and target in suspects and source != target:
                origins.append(f"A{number}\n")
    (out / "origins.txt").write_text("".join(origins), "utf-8")
    print(f"{count} transfers, {len(origins)} of them between accounts marked as fraudulent")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transactions", type=Path, help="…_transactions.csv or .csv.gz")
    parser.add_argument("nodes", type=Path, help="…_nodes.csv or .csv.gz of the same sample")
    parser.add_argument("out", type=Path, help="folder for the converted files")
    parser.add_argument("--currency", default="USD", help="ISO 4217 (default: USD)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    convert(arguments.transactions, arguments.nodes, arguments.out, currency=arguments.currency)


if __name__ == "__main__":
    main()
