"""A centre that keeps one day in memory follows money through days that are on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from tests.cli.server import Server, end_left_behind
from tests.cli.world import World, moment, report, tell, transfer

DAY_MINUTES = 24 * 60
WAIT_SECONDS = 120.0


class OneDayServer(Server):
    """Keeps one day in memory."""

    def environment(self, **extra: str) -> dict[str, str]:
        return super().environment(**{"OPENAOC_LEDGER_HOT_DAYS": "1", **extra})

    def cold_transfers(self) -> int:
        """What the manifest of cold days counts."""
        path = self.data / "ledger" / "cold" / "cold.json"
        if not path.exists():
            return 0
        return sum(part["transfers"] for part in msgspec.json.decode(path.read_bytes())["segments"])


def hop(number: str, debtor: str, creditor: str, *, days_ago: float, amount: int) -> dict[str, Any]:
    """A transfer between two accounts at SCB, or from the victim's at KBANK."""
    return transfer(
        number,
        amount_minor=amount,
        booked_at=moment(days_ago * DAY_MINUTES + 30),
        debtor_bank="KBANK" if debtor == "VICTIM" else "SCB",
        debtor_account=debtor,
        creditor_account=creditor,
        reported_by="SWITCH",
    )


def test_money_is_followed_through_cold_days(tmp_path: Path) -> None:
    server = OneDayServer(tmp_path)
    server.start()
    try:
        world = World(server).fill()
        origin = hop("C1", "VICTIM", "MULE1", days_ago=6, amount=500_000)
        rows = [
            origin,
            hop("C2", "MULE1", "MULE2", days_ago=5, amount=400_000),
            hop("C3", "MULE2", "MULE3", days_ago=4, amount=300_000),
            hop("C4", "MULE3", "MULE4", days_ago=0, amount=250_000),
        ]
        assert tell(world.as_("feed"), *rows).json()["accepted"] == 4
        until = time.monotonic() + WAIT_SECONDS
        while server.cold_transfers() < 3 and time.monotonic() < until:
            time.sleep(0.1)
        assert server.cold_transfers() == 3

        assert tell(world.as_("feed"), *rows).json()["repeated"] == 4
        other = {**origin, "amount_minor": 1}
        assert tell(world.as_("feed"), other).status_code == 409

        paper = msgspec.json.encode(report(origin))
        made = server.run_json(
            "report", "submit", "-", key=world.keys["KBANK-machine"], stdin=paper
        )
        assert made["payments"][0]["matched"] == "T-C1"
        assert made["located_minor"] == 500_000
        orders = {order["amount_minor"] for order in made["orders"]}
        assert orders == {100_000, 50_000, 250_000}

        world.close()
        server.kill()
        server.start()
        view = server.run_json("case", "show", made["case"])
        assert view["located_minor"] == 500_000
        assert server.cold_transfers() == 3
    finally:
        server.stop()
        end_left_behind(server)
