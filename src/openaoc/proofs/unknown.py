"""Proofs: unknown is not safe: a public answer is "confirmed" or "not known", and betrays nobody.

Asks as anybody may, before and after a report, while orders wait for their answers and afterwards.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import httpx

from openaoc.indicators.model import Indicator, Said, SourceKind, Status
from openaoc.kernel.actor import CITIZEN, SYSTEM
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.proofs.frame import Steps
from openaoc.proofs.http import client_of
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import INVESTIGATOR, SUPERVISOR, SmallCentre, small_centre
from openaoc.reports.model import Channel, ReportReceipt

STRANGERS: Final = 500
VOICES: Final = 50
STOLEN: Final = 100_000
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
MULE: Final = "SCB:300400"
ONWARD: Final = "BBL:500600"
NAMED: Final = "WALLET:700800"
PAGES: Final = ("/", "/figures", "/report", "/rules", "/contest", "/case", "/check-order")
OPEN: Final = ("/v1/status", "/v1/restitutions/published", "/v1/restitutions/returned", "/v1/rules")
WRONG_CODE: Final = "AAAA-AAAA-AAAA"


def prove(scratch: Scratch, steps: Steps) -> None:
    """Ask about strangers, about who was only named, and about a mule that is being followed."""
    with small_centre(scratch) as small:
        _strangers(small, steps)
        _only_named(small, steps)
        receipt = _followed(small, steps)
        asyncio.run(_nobody_is_told(small, steps, receipt))
        _answered(small, steps, receipt)
        _withdrawn(small, steps)


def account(name: str) -> Identifier:
    """`BANK:NUMBER` as an identifier."""
    return Identifier(kind=Kind.BANK_ACCOUNT, value=name)


def told(small: SmallCentre, *wanted: Identifier) -> list[Status | None]:
    """What anybody is told of each."""
    ask = small.matter.indicators.public_status
    return small.does(CITIZEN, lambda tx: [ask(tx, one) for one in wanted])


def _say(answers: Sequence[Status | None]) -> str:
    counted = Counter("not known" if one is None else one.value for one in answers)
    return ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))


def _indicator(small: SmallCentre, name: str) -> Indicator:
    find = small.matter.indicators.find
    [found] = small.does(INVESTIGATOR, lambda tx: find(tx, [account(name)]))
    return found


def _confirm(small: SmallCentre, name: str) -> None:
    one = _indicator(small, name).id
    confirm = small.matter.indicators.confirm
    small.does(SUPERVISOR, lambda tx: confirm(tx, one, reason="a person looked"))


def _strangers(small: SmallCentre, steps: Steps) -> None:
    chance = random.Random(14)  # noqa: S311 - a replayable example
    many = [account(f"KBANK:{chance.randrange(10**10):010}") for _ in range(STRANGERS)]
    many += [
        Identifier(kind=Kind.PHONE, value=f"+668{chance.randrange(10**8):08}")
        for _ in range(STRANGERS)
    ]
    answers = told(small, *many)
    steps.check(
        f"asked about {len(many)} accounts and numbers that nobody named",
        found=_say(answers),
        ok=set(answers) == {None},
    )


def _only_named(small: SmallCentre, steps: Steps) -> None:
    """However many name it, and a partner too: nobody has looked."""
    hear = small.matter.indicators.hear
    now = small.clock.now()
    said = [
        Said(
            identifier=account(NAMED),
            kind=kind,
            source=source,
            ref=f"r-{number}",
            at=now,
            said_at=now,
        )
        for number in range(VOICES)
        for kind, source in (
            (SourceKind.CITIZEN, "citizen"),
            (SourceKind.INSTITUTION, "institution:BBL"),
            (SourceKind.PARTNER, "partner:ABROAD"),
        )
    ]
    small.does(SYSTEM, lambda tx: hear(tx, said))
    answers = told(small, account(NAMED))
    steps.check(
        f"{len(said)} voices of citizens, a bank and a partner name an account",
        found=f"{_indicator(small, NAMED).confidence} % sure inside; in public {_say(answers)}",
        ok=answers == [None],
    )


def _followed(small: SmallCentre, steps: Steps) -> ReportReceipt:
    """The payer's bank reports, orders go out, and a person confirms: the money is still moving."""
    origin = small.pay("KBANK:100200", MULE, STOLEN, ago=5 * MINUTE)
    small.pay(MULE, ONWARD, STOLEN // 2, ago=4 * MINUTE)
    receipt = small.file(origin)
    small.turn(MINUTE)
    answers = told(small, account(MULE))
    steps.check(
        "its payer's bank reports a payment and orders go out to both accounts it reached",
        found=f"{len(receipt.orders)} orders; of the mule in public {_say(answers)}",
        ok=len(receipt.orders) > 1 and answers == [None],
    )
    _confirm(small, MULE)
    later = []
    for _ in range(3):
        small.turn(MINUTE)
        later += told(small, account(MULE))
    steps.check(
        "a person confirms it while the orders wait for their answers; asked for minutes",
        found=f"{_indicator(small, MULE).status} inside; in public {_say(later)}",
        ok=set(later) == {None},
    )
    return receipt


async def _nobody_is_told(small: SmallCentre, steps: Steps, receipt: ReportReceipt) -> None:
    """Neither a page nor a wrong guess tells an account that is followed from any other."""
    numbers = [name.partition(":")[2] for name in (MULE, ONWARD)]
    order = receipt.orders[0].order
    async with client_of(small) as client:
        seen = [await client.get(path) for path in (*PAGES, *OPEN)]
        naming = [
            str(answer.url.path)
            for answer in seen
            if any(number in answer.text for number in (*numbers, order, receipt.case))
        ]
        closed = [f"{a.url.path} {a.status_code}" for a in seen if not a.is_success]
        steps.check(
            f"read {len(seen)} pages and figures that are open to anybody",
            found=f"{naming or 'none'} names the accounts, the case or an order; {closed} closed",
            ok=not naming and not closed,
        )
        guesses = functools.partial(_guesses, client)
        there = await guesses(order, receipt.case)
        nowhere = await guesses(f"ord_{'0' * 20}", "AOC-0000-0000-0")
    steps.check(
        "guessed codes and secrets for an order and a case that there are, and for none",
        found=f"{there}; for none {nowhere}",
        ok=there == nowhere,
    )


async def _guesses(client: httpx.AsyncClient, order: str, case: str) -> list[tuple[int, str]]:
    """Status and error code of each way to ask with a number and a wrong word."""
    key = {"order": order, "code": WRONG_CODE}
    contest = {**key, "statement": "mine", "contact": "", "language": "th"}
    secret = {"OpenAOC-Case-Secret": WRONG_CODE}
    once = {"Idempotency-Key": f"guess-{order}"}
    answers = [
        await client.post("/v1/appeals/status", json=key),
        await client.post("/v1/appeals", json=contest, headers=once),
        await client.post("/v1/orders/check", json=key),
        await client.get(f"/v1/cases/{case}", headers=secret),
        await client.get(f"/v1/cases/{case}/complaint-draft", headers=secret),
    ]
    return [
        (answer.status_code, str(answer.json().get("code") or answer.json().get("valid")))
        for answer in answers
    ]


def _answered(small: SmallCentre, steps: Steps, receipt: ReportReceipt) -> None:
    """With the last answer there is nothing left to betray: what a person confirmed may show."""
    first, *others = small.orders(receipt.case)
    small.answer(first, first.amount_minor)
    small.turn(MINUTE)
    early = told(small, account(MULE))
    for order in others:
        small.answer(order, order.amount_minor)
    small.turn(MINUTE)
    late = told(small, account(MULE))
    steps.check(
        "one institution answers, then all of them",
        found=f"after the first {_say(early)}; after the last {_say(late)}",
        ok=early == [None] and late == [Status.CONFIRMED],
    )
    small.turn(HOUR)
    origin = small.pay("KBANK:100201", MULE, STOLEN)
    again = small.file(origin, channel=Channel.INSTITUTION)
    small.turn(MINUTE)
    answers = told(small, account(MULE))
    steps.check(
        "another victim paid it, and new orders wait",
        found=f"{len(again.orders)} orders; in public as before: {_say(answers)}",
        ok=bool(again.orders) and answers == [Status.CONFIRMED],
    )


def _withdrawn(small: SmallCentre, steps: Steps) -> None:
    """A person was wrong: that shows at once, whoever is followed."""
    one = _indicator(small, MULE).id
    withdraw = small.matter.indicators.withdraw
    small.does(SUPERVISOR, lambda tx: withdraw(tx, one, reason="another account"))
    answers = told(small, account(MULE))
    steps.check(
        "a person withdraws it while those orders wait",
        found=_say(answers),
        ok=answers == [None],
    )
