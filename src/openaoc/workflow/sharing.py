"""Workflow: builds the exchange with partners: agreements, release, recall, canaries, requests.

Later parts of the exchange, and the stages that publish, are added to it by the wiring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from openaoc.exchange.advisories.publishing import every_advisory
from openaoc.exchange.agreed import AgreedPartners
from openaoc.exchange.agreeing import ENDED_AT_ONCE_MAX, Agreements
from openaoc.exchange.approving import Approving
from openaoc.exchange.beside import institution_of
from openaoc.exchange.campaigns.keeping import Campaigns
from openaoc.exchange.campaigns.publishing import every_campaign
from openaoc.exchange.canaries import Canaries
from openaoc.exchange.catalogue import Catalogue
from openaoc.exchange.context import FORGOTTEN_AT_ONCE_MAX, Context
from openaoc.exchange.few import FewPublisher
from openaoc.exchange.indicators import IndicatorPublisher
from openaoc.exchange.objects import SharedObject
from openaoc.exchange.protection.marking import Marking
from openaoc.exchange.protection.referring import Referring
from openaoc.exchange.protection.shield import Shield
from openaoc.exchange.publishing import OFFERED_PER_ROUND, Publishing
from openaoc.exchange.recalling import EXPIRED_AT_ONCE_MAX
from openaoc.exchange.requests import Requests
from openaoc.exchange.service import Exchange
from openaoc.indicators.service import Indicators
from openaoc.parties.model import Institution
from openaoc.parties.service import Parties
from openaoc.practice.redact import redact
from openaoc.storage.keyring import Keyring
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from openaoc.storage.vault import Vault
from openaoc.workflow.duties import Duty, on_time


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange with partners, and what of it the clock asks for."""

    agreements: Agreements
    catalogue: Catalogue
    exchange: Exchange
    approving: Approving
    canaries: Canaries
    context: Context
    requests: Requests
    publishing: Publishing
    agreed: AgreedPartners
    marking: Marking
    referring: Referring
    duties: tuple[Duty, ...]


def build_sharing(
    *, uow: UnitOfWork, parties: Parties, keys: Keyring, home: str, exercise: bool = False
) -> Sharing:
    """Build it. Nothing is published before a publisher registers in its catalogue."""
    agreements = Agreements(parties=parties, home=home, exercise=exercise)
    catalogue = Catalogue()
    shield = Shield(keys=keys)
    exchange = Exchange(agreements=agreements, catalogue=catalogue, keys=keys, shield=shield)
    agreed, vault = AgreedPartners(exchange), Vault(keys=keys, uow=uow)
    marking = Marking(shield=shield, recalling=exchange.recalling, vault=vault, region=home)
    canaries, context = Canaries(agreements=agreements, keys=keys), Context()
    publishing = Publishing(uow=uow, exchange=exchange, canaries=canaries)
    return Sharing(
        agreements=agreements,
        catalogue=catalogue,
        exchange=exchange,
        approving=Approving(exchange),
        canaries=canaries,
        context=context,
        requests=Requests(agreements),
        publishing=publishing,
        agreed=agreed,
        marking=marking,
        referring=Referring(
            uow=uow, exchange=exchange, marking=marking, vault=vault, agreed=agreed
        ),
        duties=(
            Duty(call=on_time(uow, agreements.end_due), full=ENDED_AT_ONCE_MAX),
            Duty(call=on_time(uow, exchange.recalling.expire_due), full=EXPIRED_AT_ONCE_MAX),
            Duty(call=on_time(uow, context.forget_due), full=FORGOTTEN_AT_ONCE_MAX),
            Duty(call=publishing.publish_due, full=OFFERED_PER_ROUND),
        ),
    )


def publish_from(
    sharing: Sharing,
    indicators: Indicators,
    *,
    institutions: Callable[[Transaction], Sequence[Institution]],
    key: bytes,
) -> None:
    """Say what partners may have; what is referred to is offered before what refers to it.

    `key`: of the ids of institutions.
    """

    def named(tx: Transaction) -> list[SharedObject]:
        return [institution_of(one, key=key, now=tx.now) for one in institutions(tx)]

    for publisher in (
        FewPublisher("institutions", named),
        FewPublisher("campaigns", every_campaign),
        IndicatorPublisher(indicators, key=key),
        FewPublisher("advisories", every_advisory),
    ):
        sharing.catalogue.register(publisher)


def build_campaigns(indicators: Indicators) -> Campaigns:
    """What persons do about campaigns. What has the form of personal data is no word of one."""
    return Campaigns(indicators, personal=lambda text: redact(text).removed)
