"""Advisories: as reports and courses of action, for partners who read STIX or MISP and no letters.

Only what is marked clear or green: it was written for more than those it is addressed to. Which
agreement lets it leave is the exchange's to say.
"""

from __future__ import annotations

from typing import Final

from openaoc.exchange.advisories import store
from openaoc.exchange.advisories.model import Advisory, Content, Sort, State
from openaoc.exchange.beside import twin_id
from openaoc.exchange.objects import Fields, ObjectKind, Refs, SharedObject
from openaoc.kernel.clock import format_time
from openaoc.kernel.markings import Marking
from openaoc.storage.unit_of_work import Transaction

LAST_MAX: Final = 200
"""What changes, an old one that is corrected or over too, is among them; each makes two objects."""
REPORT_TYPES: Final = ("threat-report",)
WIDEST: Final = Marking.GREEN


def every_advisory(tx: Transaction) -> list[SharedObject]:
    """What the last changed say, each what to do before the report that refers to it.

    Warnings that were published once; what went wrong at the centre is told by letter alone.
    """
    return [
        part
        for one in store.last_changed(tx.connection, limit=LAST_MAX)
        if one.content is not None and one.content.sort is Sort.ADVISORY
        for part in shared_of(one)
    ]


def shared_of(one: Advisory) -> tuple[SharedObject, SharedObject]:
    """What to do, and the report that refers to it; both revoked when it does not stand."""
    content = one.content
    assert content is not None, "it was published once"
    action = _part(
        one,
        content,
        ObjectKind.COURSE_OF_ACTION,
        fields={"description": f"{content.action_en}\n\n{content.action_th}"},
        refs={},
    )
    assert one.published_at is not None, "it was published once"
    report = _part(
        one,
        content,
        ObjectKind.REPORT,
        fields={
            "description": f"{content.happening_en}\n\n{content.happening_th}",
            "report_types": REPORT_TYPES,
            "published": format_time(one.published_at),
        },
        refs={"objects": (action.id, *content.indicators)},
    )
    return action, report


def _part(
    one: Advisory, content: Content, kind: ObjectKind, *, fields: Fields, refs: Refs
) -> SharedObject:
    stands = one.state is State.PUBLISHED and content.marking.within(WIDEST)
    return SharedObject(
        id=twin_id(one.id, kind=kind, of=kind),
        kind=kind,
        created=one.drafted_at,
        modified=max(one.changed_at, one.drafted_at),
        marking=content.marking,
        offences=content.scam_types,
        fields={
            "name": f"{content.title_en} / {content.title_th}",
            "scam_types": tuple(offence.value for offence in content.scam_types),
            **fields,
        },
        refs=refs,
        revoked=not stands,
    )
