"""Proofs: the ledger is not browsable: nobody reads a transfer but through a case's trace.

Asks every route of the real application, as every role, for transfers no case has touched.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NamedTuple

import httpx
import msgspec
import sqlalchemy as sa

from openaoc.exchange.model import Contact, NewPartner, PartnerKind
from openaoc.kernel.actor import SYSTEM, Role
from openaoc.kernel.clock import format_time
from openaoc.ledger.table import TransferRow
from openaoc.parties.service import UNADDABLE
from openaoc.proofs.frame import Steps
from openaoc.proofs.http import client_of
from openaoc.proofs.scratch import Scratch
from openaoc.proofs.small_centre import (
    ADMINISTRATOR,
    SUPERVISOR,
    SmallCentre,
    machine,
    small_centre,
)
from openaoc.storage.unit_of_work import BOUND_ROLES

FOREIGN: Final = 25
SCHEMA: Final = "/schema/openapi.json"
METHODS: Final = ("get", "post", "put", "delete")
"""Reading first: what changes something may take away what there is to read."""
LOOKED: Final = "cases.case.shown"


class Operation(NamedTuple):
    """One route of the description."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    """(name, path or query)."""
    bodies: tuple[str, ...]


class Asked(NamedTuple):
    """One request and its answer."""

    who: str
    what: str
    sent: str
    status: int
    text: str


class Secret(NamedTuple):
    """A transfer no case has touched: words that only who has read it knows."""

    transfer: str
    debtor: str
    creditor: str


def prove(scratch: Scratch, steps: Steps) -> None:
    """Fill the ledger, open one case, give every role a key, and ask for everything."""
    with small_centre(scratch) as small:
        hidden = _fill(small)
        origin = small.pay("KBANK:100200", "SCB:300400", 100_000)
        case = small.file(origin).case
        keys = _keys(small)
        asked = asyncio.run(_ask_everything(small, keys, case=case, hidden=hidden))
        _nothing_came_back(steps, asked, hidden, roles=len(keys))
        _through_a_case(small, steps, asked, case)
        _not_in_the_database(small, steps, hidden)
        _rows_of_others(small, steps)


def _fill(small: SmallCentre) -> list[Secret]:
    hidden = [
        Secret(f"unseen-{n}-{secrets.token_hex(4)}", f"77{n:02}555{n:03}", f"88{n:02}666{n:03}")
        for n in range(FOREIGN)
    ]
    small.tell(
        [
            TransferRow(
                transfer_id=one.transfer,
                booked_at=format_time(small.clock.now() - timedelta(minutes=number + 1)),
                debtor_bank="BBL",
                debtor_account=one.debtor,
                creditor_bank="WALLET",
                creditor_account=one.creditor,
                amount_minor=1_000 + number,
                currency="THB",
            )
            for number, one in enumerate(hidden)
        ]
    )
    return hidden


def _keys(small: SmallCentre) -> dict[str, str]:
    """A key for every role that can be given; institutions' people for each of two banks."""
    keys = {"nobody": ""}
    parties = small.centre.parties
    for role in sorted(set(Role) - UNADDABLE - {Role.PARTNER}):
        for bank in ("BBL", "SCB") if role in BOUND_ROLES else (None,):
            who = role.value if bank is None else f"{role.value} of {bank}"
            keys[who] = small.does(
                ADMINISTRATOR,
                functools.partial(parties.add_user, name=who, role=role, institution=bank),
            )[1]
    partners = small.matter.sharing.agreements.partners
    desk = Contact(name="desk", email="desk@centre.example")
    new = NewPartner(
        code="ABROAD", name="Abroad", kind=PartnerKind.CENTRE, jurisdiction="SG", contact=desk
    )
    code = small.does(ADMINISTRATOR, lambda tx: partners.add(tx, new)).code
    who = Role.PARTNER.value
    keys[who] = small.does(ADMINISTRATOR, lambda tx: partners.add_user(tx, code, name=who))[1]
    return keys


async def _ask_everything(
    small: SmallCentre, keys: dict[str, str], *, case: str, hidden: list[Secret]
) -> list[Asked]:
    async with client_of(small) as client:
        described = (await client.get(SCHEMA)).json()
        found = [
            await _ask(client, operation, words, who=who, key=key)
            for operation in _operations(described)
            for who, key in keys.items()
            for words in _words(small, operation, case=case, one=hidden[0])
        ]
        found += [await _lure(client, keys[who], who, hidden[0]) for who in keys]
        return found


def _operations(described: dict[str, dict[str, dict[str, object]]]) -> list[Operation]:
    """Every operation of the description, those that read first."""
    found = []
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            about = msgspec.convert(told, _Told, strict=False)
            named = tuple((p.name, p.where) for p in about.parameters if p.where != "header")
            bodies = tuple(about.body.content) if about.body else ()
            found.append(Operation(method, path, named, bodies))
    return sorted(found, key=lambda one: METHODS.index(one.method))


class _Parameter(msgspec.Struct, rename={"where": "in"}):
    name: str
    where: str


class _Body(msgspec.Struct):
    content: dict[str, object]


class _Told(msgspec.Struct, rename={"body": "requestBody"}):
    parameters: list[_Parameter] = []
    body: _Body | None = None


def _words(
    small: SmallCentre, operation: Operation, *, case: str, one: Secret
) -> Iterator[dict[str, str]]:
    """What each parameter is filled with: what there is, and what somebody is after."""
    order = small.orders(case)[0].order
    known = {"case_id": case, "case": case, "order": order, "code": "BBL", "institution": "BBL"}
    plain = {
        name: known.get(name, one.transfer)
        for name, where in operation.parameters
        if where == "path"
    }
    yield plain
    if operation.method != "get":
        return
    asked = [name for name, _ in operation.parameters]
    for name, word in itertools.product(asked, (one.transfer, one.debtor, "%")):
        yield plain | {name: word}


async def _ask(
    client: httpx.AsyncClient, operation: Operation, words: dict[str, str], *, who: str, key: str
) -> Asked:
    inside = {name for name, where in operation.parameters if where == "path"}
    path = operation.path.format(**{name: words[name] for name in inside})
    query = {name: word for name, word in words.items() if name not in inside}
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    body = b"{}" if operation.bodies else b""
    if operation.bodies:
        headers["Content-Type"] = operation.bodies[0]
    answer = await client.request(
        operation.method.upper(), path, params=query, headers=headers, content=body
    )
    what = f"{operation.method.upper()} {operation.path}"
    sent = f"{path} {query}"
    return Asked(who, what, sent, answer.status_code, answer.text)


async def _lure(client: httpx.AsyncClient, key: str, who: str, one: Secret) -> Asked:
    """Tell a transfer under an id that is known, with other content, and hear the refusal."""
    row = {
        "transfer_id": one.transfer,
        "reported_by": "BBL",
        "booked_at": "2026-01-05T03:00:00Z",
        "debtor_bank": "BBL",
        "debtor_account": "1",
        "creditor_bank": "SCB",
        "creditor_account": "2",
        "amount_minor": 1,
        "currency": "THB",
    }
    headers = {"Idempotency-Key": secrets.token_hex(8), "Content-Type": "application/x-ndjson"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    content = msgspec.json.encode(row)
    answer = await client.post("/v1/ledger/transfers", headers=headers, content=content)
    sent = content.decode("utf-8")
    return Asked(who, "tells the id with other content", sent, answer.status_code, answer.text)


def _nothing_came_back(
    steps: Steps, asked: list[Asked], hidden: list[Secret], *, roles: int
) -> None:
    """Words of a hidden transfer in an answer, that were not in the question."""
    leaks = {
        f"{one.what} as {one.who}"
        for one in asked
        for word in itertools.chain.from_iterable(hidden)
        if word in one.text and word not in one.sent
    }
    routes = {one.what for one in asked}
    answered = sum(httpx.codes.is_success(one.status) for one in asked)
    steps.check(
        f"asked all {len(routes)} routes as {roles} roles for {len(hidden)} transfers of no case,"
        " by id, by account and by wildcard",
        found=f"{len(asked)} requests, {answered} answered, {len(leaks)} gave one away"
        + "".join(f"; {leak}" for leak in sorted(leaks)[:3]),
        ok=not leaks and answered > 0 and len(routes) > roles,
    )
    broken = {f"{one.what} as {one.who}: {one.status}" for one in asked if one.status == BROKEN}
    steps.check(
        "looked for requests that broke the centre",
        found=f"{len(broken)}" + "".join(f"; {one}" for one in sorted(broken)[:3]),
        ok=not broken,
    )


BROKEN: Final = 500


def _through_a_case(small: SmallCentre, steps: Steps, asked: list[Asked], case: str) -> None:
    """The other side: through its case the stolen money is seen, and each look is journalled."""
    path = "GET /v1/cases/{case_id}"
    seen = [
        one
        for one in asked
        if one.what == path and httpx.codes.is_success(one.status) and "300400" in one.text
    ]
    steps.check(
        "looked who sees the account that a case's money reached, through the case",
        found=", ".join(sorted({one.who for one in seen})),
        ok=bool(seen) and "nobody" not in {one.who for one in seen},
    )
    looks = f"SELECT who FROM journal_rows WHERE action = '{LOOKED}'"  # noqa: S608 - our word
    rows = small.query(looks)
    steps.check(
        "counted those looks in the journal",
        found=f"{len(rows)} of {len(seen)}, each with who looked",
        ok=len(rows) >= len(seen) and case.isascii(),
    )


def _not_in_the_database(small: SmallCentre, steps: Steps, hidden: list[Secret]) -> None:
    """Every table, read by the role the centre runs as: transfers of no case are in none.

    The first is left out: its words were in the questions, and a question may be kept.
    """
    tables = [
        str(name)
        for (name,) in small.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    ]
    found = []
    with small.centre.uow.read(SYSTEM, purpose="a proof") as tx:
        words = [f"%{word}%" for one in hidden[1:] for word in one]
        for table in tables:
            count = f'SELECT count(*) FROM "{table}" t'  # noqa: S608 - a table of ours
            statement = sa.text(f"{count} WHERE t::text LIKE ANY (:words)")
            count = tx.connection.execute(statement, {"words": words}).scalar_one()
            found += [table] * bool(count)
    steps.check(
        f"read all {len(tables)} tables of the database as the role the centre runs as",
        found=f"{len(found)} hold any of them {' '.join(found)}".rstrip(),
        ok=not found and bool(tables),
    )


def _rows_of_others(small: SmallCentre, steps: Steps) -> None:
    """Row rules: with any SQL at all, a bank's people get their own bank's orders alone."""
    seen = {}
    for actor in (machine("SCB"), machine("BBL"), SUPERVISOR):
        with small.centre.uow.read(actor, purpose="a proof") as tx:
            found = tx.connection.execute(sa.text("SELECT institution FROM hold_orders")).scalars()
            seen[actor.institution or "the centre"] = sorted(set(found))
    steps.check(
        "ran `SELECT … FROM hold_orders` for a bank's people, past every verb",
        found="; ".join(f"{who} sees {orders or 'none'}" for who, orders in seen.items()),
        ok=seen == {"SCB": ["SCB"], "BBL": [], "the centre": ["SCB"]},
    )
