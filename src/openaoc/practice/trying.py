"""Practice: typologies are tried on accounts that cases' traces reached.

In shadow it is put on record what each would have done. Live, an account that shows one is proposed
as an indicator, for a person to look at; nothing is held. Outcomes come from persons' decisions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import structlog

from openaoc.indicators.model import Said, SourceKind, Status
from openaoc.indicators.service import Indicators
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Identifier, Kind, account_parts, account_value
from openaoc.kernel.offences import Offence
from openaoc.practice import store
from openaoc.practice.model import (
    OBSERVATIONS_MAX,
    TRIED,
    Observation,
    Package,
    Standing,
)
from openaoc.practice.service import LOCK, Packages
from openaoc.practice.typology import Typology, shows
from openaoc.storage.unit_of_work import Transaction
from openaoc.tracing.flows import Flows

SOURCE: Final = "typology:{id}"
TOLD_AT_ONCE_MAX: Final = 200
FORGOTTEN_AT_ONCE_MAX: Final = 2_000
_LOG = structlog.get_logger(__name__)


class Reached(NamedTuple):
    """An account that a case's money reached, and what went through it."""

    institution: str
    account: str
    currency: str
    case_id: str
    flows: Flows

    @property
    def place(self) -> tuple[str, str]:
        """Institution and account."""
        return self.institution, self.account


class Trying:
    """Tries typologies. One instance per centre."""

    def __init__(self, *, packages: Packages, indicators: Indicators) -> None:
        self._packages = packages
        self._indicators = indicators

    def tried(self, tx: Transaction, *, partners: Collection[str]) -> list[Package]:
        """What is in shadow or live: our own, and of those partners whose agreement is in force."""
        found = store.tried(tx.connection, TRIED)
        return [one for one in found if one.partner is None or one.partner in partners]

    def try_on(
        self, tx: Transaction, packages: Sequence[Package], reached: Sequence[Reached]
    ) -> int:
        """Try each on each account and keep what it shows; how many it named."""
        if not packages or not reached:
            return 0
        tx.lock(LOCK)
        known = self._known(tx, reached)
        figures = store.figures_of(tx.connection, [one.id for one in packages])
        named = 0
        for package in packages:
            mine = figures.get(package.id)
            looked = 0 if mine is None else mine.looked
            room = OBSERVATIONS_MAX - looked
            if room < len(reached):
                self._full(tx, package)
                continue
            typology = package.bundle.typology
            assert typology is not None, "only typologies are tried"
            fresh = [_observed(package, typology, one, at=tx.now) for one in reached]
            store.observe(tx.connection, fresh)
            named += sum(one.named for one in fresh)
        for place, mule in known.items():
            store.known(tx.connection, institution=place[0], account=place[1], mule=mule, at=tx.now)
        return named

    @staticmethod
    def _full(tx: Transaction, package: Package) -> None:
        if not package.full:
            store.save(tx.connection, msgspec.structs.replace(package, full=True))
            _LOG.warning("practice.trial.full", package=package.id, accounts=OBSERVATIONS_MAX)

    def _known(self, tx: Transaction, reached: Iterable[Reached]) -> dict[tuple[str, str], bool]:
        """What persons have found of these accounts already."""
        wanted = {}
        for one in reached:
            identifier = _identifier(one.institution, one.account)
            if identifier is not None:
                wanted[identifier] = one.place
        found = self._indicators.find(tx, list(wanted))
        return {
            wanted[one.identifier]: mule
            for one in found
            if (mule := _outcome(one.status, decided=one.decided_at is not None)) is not None
        }

    # Live: what it names is proposed for a person to look at.

    def propose_due(
        self, tx: Transaction, *, partners: Collection[str], pursued: Collection[str] = ()
    ) -> int:
        """Propose indicators for what live typologies named; how many.

        `pursued`: cases whose holds are not answered, for which public answers wait.
        """
        told = 0
        for package in self.tried(tx, partners=partners):
            if package.standing is not Standing.LIVE:
                continue
            found = store.untold(tx.connection, package.id, limit=TOLD_AT_ONCE_MAX - told)
            said = []
            for one in found:
                store.set_told(tx.connection, one, told=True)
                word = _said(package, one, now=tx.now, held_back=one.case_id in pursued)
                said += [] if word is None else [word]
            self._indicators.hear(tx, said)
            told += len(found)
            if told >= TOLD_AT_ONCE_MAX:
                break
        return told

    def cases_to_tell(self, tx: Transaction, *, partners: Collection[str]) -> list[str]:
        """Cases of what would be proposed now."""
        live = [one for one in self.tried(tx, partners=partners) if one.standing is Standing.LIVE]
        return sorted(
            {
                seen.case_id
                for one in live
                for seen in store.untold(tx.connection, one.id, limit=TOLD_AT_ONCE_MAX)
            }
        )

    def take_back_due(self, tx: Transaction) -> int:
        """What a package proposed while it was live is taken back when it is so no more.

        How many packages.
        """
        gone = store.not_live_any_more(tx.connection)
        for package_id in gone:
            source = SOURCE.format(id=package_id)
            self._indicators.take_back(tx, source=source, ref=package_id, said_at=tx.now)
            store.forget_told(tx.connection, package_id)
        return len(gone)

    # What persons find.

    def indicator_decided(self, tx: Transaction, indicator_id: str) -> None:
        """A person confirmed or withdrew an indicator: what the account was is known now."""
        for view in self._indicators.views(tx, [indicator_id]):
            one = view.indicator
            if one.kind is not Kind.BANK_ACCOUNT:
                continue
            institution, account = account_parts(one.value)
            store.known(
                tx.connection,
                institution=institution,
                account=account,
                mule=_outcome(one.status, decided=True),
                at=tx.now,
            )

    def holder_was_right(self, tx: Transaction, *, institution: str, account: str) -> None:
        """A contest of a hold on the account was upheld: its holder is no mule."""
        store.known(tx.connection, institution=institution, account=account, mule=False, at=tx.now)

    def forget_due(self, tx: Transaction) -> int:
        """Delete accounts seen too long ago; how many."""
        before = tx.now - timedelta(days=self._packages.rules.keeping.days)
        return store.forget_before(tx.connection, before, limit=FORGOTTEN_AT_ONCE_MAX)


def _observed(package: Package, typology: Typology, one: Reached, *, at: datetime) -> Observation:
    shown = shows(typology, one.flows)
    return Observation(
        package_id=package.id,
        institution=one.institution,
        account=one.account,
        currency=one.currency,
        case_id=one.case_id,
        named=shown is not None,
        payers=0 if shown is None else shown.payers,
        received_minor=0 if shown is None else shown.received_minor,
        passed_on_minor=0 if shown is None else shown.passed_on_minor,
        first_at=at,
        seen_at=at,
    )


def _identifier(institution: str, account: str) -> Identifier | None:
    try:
        value = account_value(bank=institution, account=account)
    except BadInput:
        return None
    return Identifier(kind=Kind.BANK_ACCOUNT, value=value)


def _outcome(status: Status, *, decided: bool) -> bool | None:
    """A person confirmed it: a mule's. A person withdrew it: not. Else nothing is known."""
    if not decided:
        return None
    return {Status.CONFIRMED: True, Status.WITHDRAWN: False}.get(status)


def _said(package: Package, one: Observation, *, now: datetime, held_back: bool) -> Said | None:
    identifier = _identifier(one.institution, one.account)
    if identifier is None:
        return None
    return Said(
        identifier=identifier,
        kind=SourceKind.TYPOLOGY,
        source=SOURCE.format(id=package.id),
        ref=package.id,
        at=min(one.seen_at, now),
        said_at=now,
        offence=next(iter(package.bundle.offences), Offence.MULE_ACCOUNT),
        marking=package.marking,
        case=one.case_id,
        held_back=held_back,
    )
