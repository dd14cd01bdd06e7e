"""Messages of a centre to an institution, signed as a centre signs them."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import msgspec

from openaoc.channels.model import Delivery, Message
from openaoc.channels.signing import SigningKey, new_signing_key, sign
from openaoc.holds.model import Order, OrderEnd, Words
from openaoc.simulation.population import Population, account_number

CENTRE_KEY: SigningKey = new_signing_key(kid="centre-1")
_numbers = itertools.count(1)


def order(
    population: Population,
    account: int,
    amount_minor: int,
    *,
    now: datetime,
    name: str = "ord_1",
    revision: int = 1,
    continues: str = "",
) -> Order:
    """A hold order on an account of the nation."""
    return Order(
        order=name,
        revision=revision,
        case="AOC-0000-0000-1",
        institution=population.codes[population.institution[account]],
        account=account_number(account),
        amount_minor=amount_minor,
        currency=population.currency,
        rule="TH-2566-s7-victim",
        legal_basis="ก / a",
        reason=Words(th="ข", en="b"),
        issued_at=now,
        answer_by=now + timedelta(minutes=5),
        ends_at=now + timedelta(hours=72),
        continues=continues,
    )


def end(
    ordered: Order,
    *,
    back_minor: int,
    remaining_minor: int,
    revision: int,
    continued_by: str = "",
) -> OrderEnd:
    """A withdrawal or release of the order."""
    return OrderEnd(
        order=ordered.order,
        revision=revision,
        institution=ordered.institution,
        account=ordered.account,
        amount_minor=back_minor,
        remaining_minor=remaining_minor,
        currency=ordered.currency,
        reason=Words(th="ค", en="c"),
        at=ordered.issued_at,
        continued_by=continued_by,
    )


def delivery(*bodies: Order | OrderEnd, kind: str = "hold.order", key: str | None = None) -> bytes:
    """A delivery of these; each message has a fresh key unless one is given."""
    messages = [
        Message(
            id=f"msg_{number}",
            kind=kind,
            idempotency_key=key or f"key-{number}",
            body=msgspec.Raw(msgspec.json.encode(body)),
        )
        for number, body in ((next(_numbers), body) for body in bodies)
    ]
    return msgspec.json.encode(Delivery(messages=messages))


def signature(body: bytes, *, institution: str, path: str, now: datetime) -> str:
    """The centre's signature for this institution."""
    return sign(body, key=CENTRE_KEY, method="POST", path=path, now=now, audience=institution)
