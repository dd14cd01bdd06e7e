"""Proofs: everything is bounded: at the bound it works, above it says so, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import timedelta
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from openaoc.api.rates import CITIZEN_REPORTS
from openaoc.kernel.actor import Role
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput
from openaoc.kernel.limits import (
    INDICATORS_PER_REPORT_MAX,
    NARRATIVE_CHARACTERS_MAX,
    ONWARD_PER_ANSWER_MAX,
    PAGE_MAX,
    PAYMENTS_PER_REPORT_MAX,
    REPORT_BODY_BYTES_MAX,
    TRANSFER_ID_CHARACTERS_MAX,
)
from openaoc.kernel.money import AMOUNT_MINOR_MAX
from openaoc.ledger.table import transfers_from_rows
from openaoc.proofs.frame import Steps
from openaoc.proofs.http import client_of
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import ADMINISTRATOR, SmallCentre, small_centre
from openaoc.tracing.model import Rule, TraceLimits
from openaoc.tracing.service import CaseClaim, Tracing
from openaoc.web.rates import RateLimits

HOPS: Final = 30
HOPS_MAX: Final = 10
REFUSED: Final = (400, 413)
TOO_MANY: Final = 429
CREATED: Final = 201
Document = dict[str, Any]


class Bound(NamedTuple):
    """A limit, and what is sent at it and above it."""

    name: str
    limit: int
    at: Document
    above: Document


def prove(scratch: Scratch, steps: Steps) -> None:
    """Send what is just allowed and what is just too much; count what is on disk afterwards."""
    with small_centre(scratch) as small:
        key = _key(small)
        asyncio.run(_over_http(small, steps, key))
        _transfers(small, steps)
        _trace(small, steps)


def _key(small: SmallCentre) -> str:
    parties = small.centre.parties
    return small.does(
        ADMINISTRATOR,
        lambda tx: parties.add_user(tx, name="K", role=Role.MACHINE, institution="KBANK"),
    )[1]


async def _over_http(small: SmallCentre, steps: Steps, key: str) -> None:
    # On a slow machine a minute's limit would be there anew before it is used up.
    async with client_of(small, limits=RateLimits(lambda: 0.0)) as client:
        taken = await _reports(small, steps, client, key)
        await _lists(small, steps, client, key)
        taken += await _flood(small, steps, client)
        ((reports,),) = small.query("SELECT count(*) FROM reports")
        steps.check(
            "counted the reports on disk against the answers that said 201",
            found=f"{reports} on disk, {taken} acknowledged",
            ok=reports == taken > 0,
        )


def _report(small: SmallCentre, **changes: object) -> Document:
    payment = {
        "booked_at": format_time(small.clock.now() - timedelta(minutes=5)),
        "debtor_bank": "KBANK",
        "debtor_account": "1",
        "creditor_bank": "SCB",
        "creditor_account": "2",
        "amount_minor": 100_000,
        "currency": "THB",
    }
    plain = {
        "channel": "institution",
        "reported_at": format_time(small.clock.now()),
        "narrative": "They said they were from the police.",
        "payments": [payment],
    }
    return plain | changes


def _bounds(small: SmallCentre) -> list[Bound]:
    """Every limit on a report that a sender can reach."""
    (payment,) = _report(small)["payments"]
    one = {"kind": "phone", "value": "+66812345678"}

    def sent(**changes: object) -> Document:
        return _report(small, **changes)

    return [
        Bound(
            "characters of narrative",
            NARRATIVE_CHARACTERS_MAX,
            sent(narrative="ก" * NARRATIVE_CHARACTERS_MAX),
            sent(narrative="ก" * (NARRATIVE_CHARACTERS_MAX + 1)),
        ),
        Bound(
            "payments of a report",
            PAYMENTS_PER_REPORT_MAX,
            sent(payments=[payment] * PAYMENTS_PER_REPORT_MAX),
            sent(payments=[payment] * (PAYMENTS_PER_REPORT_MAX + 1)),
        ),
        Bound(
            "indicators of a report",
            INDICATORS_PER_REPORT_MAX,
            sent(indicators=[one] * INDICATORS_PER_REPORT_MAX),
            sent(indicators=[one] * (INDICATORS_PER_REPORT_MAX + 1)),
        ),
        Bound(
            "minor units of a payment",
            AMOUNT_MINOR_MAX,
            sent(payments=[payment | {"amount_minor": AMOUNT_MINOR_MAX}]),
            sent(payments=[payment | {"amount_minor": AMOUNT_MINOR_MAX + 1}]),
        ),
    ]


async def _reports(small: SmallCentre, steps: Steps, client: httpx.AsyncClient, key: str) -> int:
    """How many reports were acknowledged."""
    taken = 0
    for bound in _bounds(small):
        at = await _post(client, bound.at, key=key)
        above = await _post(client, bound.above, key=key)
        taken += (at.status_code == CREATED) + (above.status_code == CREATED)
        steps.check(
            f"sent {bound.limit} and {bound.limit + 1} {bound.name}",
            found=f"HTTP {at.status_code}; HTTP {above.status_code}: {_detail(above)}",
            ok=at.status_code == CREATED and above.status_code in REFUSED and bool(_detail(above)),
        )
    kept = small.query("SELECT max(length(narrative)) FROM reports")
    steps.check(
        "read the longest narrative back",
        found=f"{kept[0][0]} characters, nothing cut off",
        ok=kept == [(NARRATIVE_CHARACTERS_MAX,)],
    )
    body = json.dumps(_report(small)).encode().ljust(REPORT_BODY_BYTES_MAX)
    at = await _post(client, body, key=key)
    above = await _post(client, body + b" ", key=key)
    taken += (at.status_code == CREATED) + (above.status_code == CREATED)
    steps.check(
        f"sent a body of {REPORT_BODY_BYTES_MAX} bytes and one of a byte more",
        found=f"HTTP {at.status_code}; HTTP {above.status_code}: {_detail(above)}",
        ok=at.status_code == CREATED and above.status_code in REFUSED,
    )
    return taken


async def _post(
    client: httpx.AsyncClient, document: Document | bytes, *, key: str = ""
) -> httpx.Response:
    headers = {"Idempotency-Key": secrets.token_hex(8), "Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await client.post("/v1/reports", content=content, headers=headers)


def _detail(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return ""
    return str(told.get("detail") or told.get("title") or "")[:100]


async def _lists(small: SmallCentre, steps: Steps, client: httpx.AsyncClient, key: str) -> None:
    """Pages, and the onward rows of an answer."""
    headers = {"Authorization": f"Bearer {key}"}
    at = await client.get("/v1/holds", params={"limit": PAGE_MAX}, headers=headers)
    above = await client.get("/v1/holds", params={"limit": PAGE_MAX + 1}, headers=headers)
    steps.check(
        f"asked for pages of {PAGE_MAX} and of {PAGE_MAX + 1} orders",
        found=f"HTTP {at.status_code}; HTTP {above.status_code}: {_detail(above)}",
        ok=at.is_success and above.status_code in REFUSED,
    )
    order = small.orders(small.file(small.pay("BBL:1", "KBANK:70", 5_000)).case)[0].order
    row = {
        "transfer_id": "on",
        "booked_at": format_time(small.clock.now()),
        "debtor_bank": "KBANK",
        "debtor_account": "70",
        "creditor_bank": "SCB",
        "creditor_account": "71",
        "amount_minor": 1,
        "currency": "THB",
    }
    rows = [row | {"transfer_id": f"on-{n}"} for n in range(ONWARD_PER_ANSWER_MAX + 1)]
    said = {"outcome": "refused", "reason": "gone on"}
    path = f"/v1/holds/{order}/answers"
    above = await client.post(path, json=said | {"onward": rows}, headers=headers)
    still = small.query(f"SELECT state FROM hold_orders WHERE id = '{order}'")  # noqa: S608 - ours
    at = await client.post(path, json=said | {"onward": rows[:-1]}, headers=headers)
    steps.check(
        f"answered with {ONWARD_PER_ANSWER_MAX + 1} transfers onward, then with one less",
        found=f"HTTP {above.status_code}: {_detail(above)}, the order still {still[0][0]};"
        f" HTTP {at.status_code}",
        ok=above.status_code in REFUSED and still == [("issued",)] and at.is_success,
    )


async def _flood(small: SmallCentre, steps: Steps, client: httpx.AsyncClient) -> int:
    """One address without a key; how many reports were acknowledged."""
    sent = CITIZEN_REPORTS.burst + 10
    answers = [await _post(client, _report(small, channel="web")) for _ in range(sent)]
    taken = sum(one.status_code == CREATED for one in answers)
    told = [_detail(one) for one in answers if one.status_code == TOO_MANY]
    steps.check(
        f"sent {sent} reports at once from one address, without a key",
        found=f"{taken} taken, {len(told)} told to come again: {told[0] if told else ''}",
        ok=taken + len(told) == sent and bool(told) and taken >= CITIZEN_REPORTS.burst,
    )
    return taken + 1  # and the one of the bank's order above


def _transfers(small: SmallCentre, steps: Steps) -> None:
    """A batch with one row too long is refused whole, by name; the ledger is as it was."""
    ledger = small.centre.ledger
    small.tell([small.row("SCB:1", "BBL:1", 1, name="i" * TRANSFER_ID_CHARACTERS_MAX)])
    before = ledger.stats().transfers
    rows = [small.row("SCB:1", "BBL:1", 1) for _ in range(5)]
    rows[3] = msgspec.structs.replace(rows[3], transfer_id="i" * (TRANSFER_ID_CHARACTERS_MAX + 1))
    steps.refused(
        f"told five transfers, one with an id of {TRANSFER_ID_CHARACTERS_MAX + 1} characters",
        lambda: ledger.ingest(transfers_from_rows(rows), live=True),
        by=BadInput,
    )
    steps.check(
        "counted the ledger",
        found=f"{before} before and after",
        ok=ledger.stats().transfers == before,
    )


def _trace(small: SmallCentre, steps: Steps) -> None:
    """A chain longer than a trace may follow: it says which limit, and the sum still holds."""
    origin = small.pay("KBANK:900", "SCB:1000", 77_000, ago=timedelta(hours=2))
    small.tell(
        [
            small.row(f"SCB:{1000 + n}", f"SCB:{1001 + n}", 77_000, ago=timedelta(minutes=100 - n))
            for n in range(HOPS)
        ]
    )
    row = small.centre.ledger.find(reported_by="KBANK", transfer_id=origin)
    assert row is not None, "it was just told"
    for rule in Rule:
        for hops_max in (HOPS_MAX, 10 * HOPS):
            tracing = Tracing(
                small.centre.ledger, rule=rule, limits=TraceLimits(transfers_max=hops_max)
            )
            tracing.register("chain", [CaseClaim(row=row, filed=1)])
            trace = tracing.look("chain").numbers
            cut = hops_max < HOPS
            steps.check(
                f"{rule}: followed {HOPS} transfers where a trace may visit {hops_max}",
                found=f"{len(trace.transfers)} followed, {trace.truncated or 'nothing'} cut it off,"
                f" {trace.accounted_minor()} of {trace.loss_minor} accounted for",
                ok=trace.accounted_minor() == trace.loss_minor and bool(trace.truncated) == cut,
            )
