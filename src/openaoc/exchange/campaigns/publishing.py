"""Campaigns: as partners may see them, and that an indicator indicates one.

Of its cases there is a number, and none where it is small. Which agreement lets any of it leave is
the exchange's to say; a relationship leaves only where both its ends have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from openaoc.exchange import release_store
from openaoc.exchange.campaigns import store
from openaoc.exchange.campaigns.model import Belonging, Campaign
from openaoc.exchange.objects import Fields, ObjectKind, SharedObject
from openaoc.indicators.gathered import InCases, in_cases
from openaoc.kernel.clock import format_time
from openaoc.kernel.limits import PAGE_MAX
from openaoc.kernel.markings import strictest
from openaoc.kernel.paging import Asked
from openaoc.kernel.small_cells import CELL_MIN
from openaoc.storage.unit_of_work import Transaction

INDICATES: Final = "indicates"
NEWEST_MAX: Final = PAGE_MAX
"""Of those without an indicator that changed: the others go out with their indicators."""


def every_campaign(tx: Transaction) -> list[SharedObject]:
    """The campaigns that changed last, revoked ones too."""
    found = store.newest(tx.connection, Asked(limit=NEWEST_MAX))
    return _campaigns(tx, [one for one in found if one.published_at is not None])


def linked(tx: Transaction, ids: Sequence[str]) -> list[str]:
    """The indicators of those ids that are of a relationship to a campaign."""
    return [one.indicator for one in store.of_links(tx.connection, ids)]


def beside(tx: Transaction, shared: Sequence[SharedObject]) -> dict[str, list[SharedObject]]:
    """By indicator, its campaigns that were published, and that it indicates them."""
    rows = store.of_indicators(tx.connection, [one.id for one in shared])
    if not rows:
        return {}
    named = store.by_ids(tx.connection, sorted({row.campaign for row in rows}))
    campaigns = {one.id: one for one in named if one.published_at is not None}
    objects = {one.id: one for one in _campaigns(tx, list(campaigns.values()))}
    indicators = {one.id: one for one in shared}
    found: dict[str, list[SharedObject]] = {}
    for row in rows:
        campaign = campaigns.get(row.campaign)
        if campaign is not None:
            link = link_of(row, campaign, indicators[row.indicator])
            found.setdefault(row.indicator, []).extend([objects[campaign.id], link])
    return found


def _campaigns(tx: Transaction, found: Sequence[Campaign]) -> list[SharedObject]:
    ids = [one.id for one in found]
    of: dict[str, list[Belonging]] = {one: [] for one in ids}
    for row in store.of_campaigns(tx.connection, ids):
        of[row.campaign].append(row)
    known = in_cases(tx, sorted({row.indicator for rows in of.values() for row in rows}))
    recalled = release_store.recalled(tx.connection, ids)
    return [
        campaign_of(one, of[one.id], known=known, recalled_at=recalled.get(one.id)) for one in found
    ]


def cases_of(rows: Sequence[Belonging], known: Mapping[str, InCases]) -> int:
    """How many cases name an indicator that belongs to it and was not withdrawn."""
    standing = [known[row.indicator] for row in rows if row.attached and row.indicator in known]
    return len({case for one in standing if not one.withdrawn for case in one.cases})


def campaign_of(
    one: Campaign,
    rows: Sequence[Belonging],
    *,
    known: Mapping[str, InCases],
    recalled_at: datetime | None,
) -> SharedObject:
    """The campaign as the centre sees it; revoked when it does not stand.

    `recalled_at`: when a person took it back from everybody; that its indicators go on changing
    does not give it out again.
    """
    words = one.words
    assert words is not None, "it was published once"
    fields: Fields = {
        "name": words.name,
        "description": words.description,
        "scam_types": tuple(offence.value for offence in words.scam_types),
        "first_seen": format_time(words.first_seen),
    }
    if words.last_seen is not None:
        fields["last_seen"] = format_time(words.last_seen)
    cases = cases_of(rows, known)
    if cases >= CELL_MIN:
        fields["cases"] = cases
    changes = [known[row.indicator].changed_at for row in rows if row.indicator in known]
    back = recalled_at is not None and recalled_at >= one.changed_at
    return SharedObject(
        id=one.id,
        kind=ObjectKind.CAMPAIGN,
        created=one.named_at,
        modified=one.changed_at if back else max(one.changed_at, *changes, one.named_at),
        marking=words.marking,
        offences=words.scam_types,
        fields=fields,
        revoked=not one.stands,
    )


def link_of(row: Belonging, campaign: Campaign, indicator: SharedObject) -> SharedObject:
    """That the indicator indicates the campaign: as far as both may go, as long as both stand."""
    words = campaign.words
    assert words is not None, "it was published once"
    return SharedObject(
        id=row.id,
        kind=ObjectKind.RELATIONSHIP,
        created=max(indicator.created, campaign.named_at),
        modified=max(row.at, indicator.modified, campaign.changed_at),
        marking=strictest(words.marking, indicator.marking),
        offences=words.scam_types,
        fields={"relationship_type": INDICATES},
        refs={"source": (indicator.id,), "target": (campaign.id,)},
        revoked=indicator.revoked or not campaign.stands or not row.attached,
        about=((str(indicator.fields["identifier_kind"]), str(indicator.fields["value"])),),
    )
