"""Statistics: the same question asked of several centres, and their answers in one table.

Each centre answers for itself, under its agreement, without small counts. Never carries a case.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.channels.transport import NotReached
from openaoc.exchange.line import Agreed, BadAnswer, Line, PeerBusy, PeerRefused
from openaoc.exchange.model import NoAgreement, VolumeReached
from openaoc.exchange.objects import (
    Fields,
    ObjectKind,
    ReleasedObject,
    SharedObject,
    keyed_object_id,
)
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.kernel.errors import NotFound
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence, offence_of
from openaoc.kernel.settings import Settings
from openaoc.kernel.small_cells import CELL_MIN, hidden_cells
from openaoc.kernel.small_cells import Line as TableLine
from openaoc.parties.permissions import Permission, require
from openaoc.statistics import joint_store
from openaoc.statistics.service import CURRENCIES
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

PATH: Final = "/v1/centre/statistics"
MONTHS_DEFAULT: Final = 12
MONTHS_MAX: Final = 24
ROWS_MAX: Final = 1_000
COUNTED: Final = ("reports", "lost_minor", "held_minor", "returned_minor", "wrong_holds")
_MONTHS: Final = 12
Months = Annotated[int, Meta(ge=1, le=MONTHS_MAX)]


class StatisticsAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last so many closed months (UTC)."""

    months: Months


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave of the answer: one object a row."""

    rows: Annotated[list[ReleasedObject], Meta(max_length=ROWS_MAX)]


class JointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One centre's month, kind of scam and corridor (`TH>VN`: where the money was followed to).

    A number is null where it is too small to be told, or not granted. Amounts are of `currency`.
    """

    centre: str
    month: str
    scam_type: str
    corridor: str
    currency: str
    reports: int | None = None
    lost_minor: int | None = None
    held_minor: int | None = None
    returned_minor: int | None = None
    wrong_holds: int | None = None


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A centre that did not answer, and why."""

    partner: str
    why: str


class JointTable(msgspec.Struct, frozen=True, kw_only=True):
    """All answers in one table, by month, kind and corridor; who answered, and who did not."""

    months: int
    cell_min: int
    answered: list[str]
    silent: list[Silent]
    rows: list[JointRow]


class JointStatistics:
    """One instance per centre."""

    def __init__(self, *, uow: UnitOfWork, agreed: Agreed, settings: Settings, key: bytes) -> None:
        """`key`: of the ids of rows, so that the same row is the same object."""
        self._uow = uow
        self._agreed = agreed
        self._name = settings.centre_code
        self._home = settings.jurisdiction
        self._currency = CURRENCIES.get(settings.jurisdiction, "USD")
        self._key = key

    def answer(self, tx: Transaction, partner: str, asked: StatisticsAsked) -> StatisticsAnswer:
        """What may leave to the partner. Raises NoAgreement."""
        self._agreed.grant(tx, partner, ObjectKind.STATISTICS)
        left = []
        for row in self._own(tx, months=asked.months):
            try:
                shared = self._shared(tx, partner, row)
                left.append(self._agreed.release(tx, shared, partner=partner))
            except NoAgreement:
                continue  # a kind of scam that is no purpose of the agreement, for instance
            except VolumeReached:
                break
        return StatisticsAnswer(rows=left)

    def for_partner(self, actor: Actor, *, months: int) -> StatisticsAnswer:
        """What the partner of this user may have: how researchers receive aggregates.

        Raises NotPermitted, NoAgreement, NotFound for who is no partner's.
        """
        require(actor, Permission.EXCHANGE_RECEIVE)
        if actor.partner is None:
            raise NotFound("this is for partners")
        with self._uow.begin(SYSTEM, purpose="statistics for a partner") as tx:
            return self.answer(tx, actor.partner, StatisticsAsked(months=months))

    def table(self, actor: Actor, *, months: int, line: Line) -> JointTable:
        """Ask everybody who agreed to it, and put it beside our own. Raises NotPermitted."""
        require(actor, Permission.STATISTICS_READ)
        with self._uow.read(SYSTEM, purpose="whom to ask for statistics") as tx:
            rows = self._own(tx, months=months)
            partners = self._agreed.partners_with(tx, ObjectKind.STATISTICS)
        answered, silent = [self._name], []
        for partner in partners:
            try:
                rows += self._ask(partner, months=months, line=line)
            except (NotReached, PeerBusy, PeerRefused, BadAnswer, NoAgreement) as error:
                silent.append(Silent(partner=partner, why=f"{error.code}: {error}"[:300]))
            else:
                answered.append(partner)
        rows.sort(key=lambda row: (row.month, row.scam_type, row.corridor, row.centre))
        return JointTable(
            months=months, cell_min=CELL_MIN, answered=answered, silent=silent, rows=rows
        )

    def _ask(self, partner: str, *, months: int, line: Line) -> list[JointRow]:
        with self._uow.read(SYSTEM, purpose="ask for statistics") as tx:
            peer = self._agreed.peer(tx, partner)
        heard = line.ask(peer, PATH, StatisticsAsked(months=months), StatisticsAnswer)
        return [found for one in heard.rows if (found := _told(one, partner)) is not None]

    def _own(self, tx: Transaction, *, months: int) -> list[JointRow]:
        """Our rows, without what is too small, and without what a month's total would tell."""
        begins, ends = _span(tx.now, months=months)
        sums: dict[tuple[str, str, str], list[int]] = {}
        for row in joint_store.cases(
            tx.connection, begins=begins, ends=ends, home=self._home, currency=self._currency
        ):
            key = (row.month, offence_of(row.scam_type).value, f"{self._home}>{row.to_country}")
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 5), row[3:], strict=True)]
        hidden = _hidden(sums)
        return [
            JointRow(
                centre=self._name,
                month=month,
                scam_type=scam_type,
                corridor=corridor,
                currency=self._currency,
                reports=counts[0],
                lost_minor=counts[1],
                held_minor=counts[2],
                returned_minor=counts[3],
                wrong_holds=counts[4] if counts[4] >= CELL_MIN else None,
            )
            for (month, scam_type, corridor), counts in sorted(sums.items())
            if (month, scam_type, corridor) not in hidden
        ][:ROWS_MAX]

    def _shared(self, tx: Transaction, partner: str, row: JointRow) -> SharedObject:
        fields: Fields = {
            name: value
            for name, value in msgspec.structs.asdict(row).items()
            if value is not None and name != "centre"
        }
        name = f"{partner}\0{row.month}\0{row.scam_type}\0{row.corridor}"
        return SharedObject(
            id=keyed_object_id(ObjectKind.STATISTICS, key=self._key, name=name),
            kind=ObjectKind.STATISTICS,
            created=tx.now,
            modified=tx.now,
            marking=Marking.GREEN,
            offences=(Offence(row.scam_type),),
            fields=fields,
        )


def _span(now: datetime, *, months: int) -> tuple[datetime, datetime]:
    """The first moments of the first month and of the present one, which is not closed yet."""
    ends = datetime(now.year, now.month, 1, tzinfo=UTC)
    number = now.year * _MONTHS + now.month - 1 - months
    return datetime(number // _MONTHS, number % _MONTHS + 1, 1, tzinfo=UTC), ends


def _hidden(sums: dict[tuple[str, str, str], list[int]]) -> frozenset[tuple[str, str, str]]:
    counts = {key: found[0] for key, found in sums.items()}
    months = sorted({key[0] for key in sums})
    lines = []
    for month in months:
        parts = [key for key in sums if key[0] == month]
        total = (month, "", "")
        counts[total] = sum(counts[part] for part in parts)
        lines.append(TableLine(parts, total))
    return hidden_cells(counts, lines)


def _told(one: ReleasedObject, partner: str) -> JointRow | None:
    """A partner's row; None where it says not of what it is."""
    texts = {name: one.fields.get(name) for name in ("month", "scam_type", "corridor", "currency")}
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    counted = {
        name: value
        for name in COUNTED
        if isinstance(value := one.fields.get(name), int) and value >= 0
    }
    return msgspec.convert({**texts, **counted, "centre": partner}, JointRow)
