"""The journal knows every step of the exchange, and no value of what left."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from openaoc.exchange.agreement import Grant
from openaoc.exchange.ledger_model import NewApproval, NewRecall, RecallKind
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM
from openaoc.storage.tables import journal_rows
from tests.exchange.sharing_site import AS_IS, INDICATOR_GRANT, SUPERVISOR, Site

K = ObjectKind


def test_the_journal_knows_every_step_and_no_value(site: Site) -> None:
    grant = Grant(
        fields={**INDICATOR_GRANT.fields, "holder_name": AS_IS}, identifier_kinds=("phone",)
    )
    agreed = site.agree(
        "AA", grants={K.INDICATOR: grant}, personal_basis="Anti-Scam Act, section 14"
    )
    one = site.indicator()
    one = msgspec.structs.replace(one, fields={**one.fields, "holder_name": "Somchai"})
    site.shelf.put(one)
    new = NewApproval(
        object=one.id,
        partner="AA",
        fields=("holder_name",),
        legal_basis="Anti-Scam Act, section 14, paragraph 2",
        reason="their own case needs it",
    )
    with site.uow.begin(SUPERVISOR) as tx:
        site.sharing.approving.approve(tx, new)
        site.exchange.release_published(tx, one.id, partner="AA", why="asked for")
        site.exchange.recalling.recall(
            tx, NewRecall(object=one.id, kind=RecallKind.WITHDRAWN, reason="a shop's")
        )
        site.agreements.end(tx, agreed.id, reason="given up")
    with site.uow.read(SYSTEM) as tx:
        rows = tx.connection.execute(sa.select(journal_rows.c.action, journal_rows.c.body)).all()
    assert [row.action for row in rows] == [
        "exchange.partner.added",
        "exchange.partner_key.added",
        "exchange.partner_key.verified",
        "exchange.agreement.drafted",
        "exchange.agreement.approve_proposed",
        "exchange.agreement.approved",
        "exchange.agreement.active",
        "exchange.personal.approved",
        "exchange.objects.released",
        "exchange.personal.released",
        "exchange.object.recalled",
        "exchange.agreement.ended",
    ]
    told = "".join(row.body for row in rows)
    for value in ("Somchai", "+66812345678", "desk@centre.example"):
        assert value not in told
