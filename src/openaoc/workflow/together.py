"""Workflow: builds joint work of centres: operations, told between them by themselves.

Also takes referrals of possible victims from partners' centres at the gate.
"""

from __future__ import annotations

from typing import Final

from openaoc.exchange.gate import Gate
from openaoc.exchange.line import Line
from openaoc.exchange.operations.model import CHANGED, PATH, OperationWord
from openaoc.exchange.operations.service import Operations
from openaoc.exchange.operations.telling import Telling
from openaoc.exchange.protection.model import PATH as REFERRALS_PATH
from openaoc.exchange.protection.model import ReferralMessage
from openaoc.exchange.recalling import OBJECT_RECALLED
from openaoc.kernel.events import Event
from openaoc.kernel.settings import Settings
from openaoc.statistics.joint import PATH as STATISTICS_PATH
from openaoc.statistics.joint import JointStatistics, StatisticsAsked
from openaoc.storage.database import Database
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import Transaction
from openaoc.workflow.sharing import Sharing

OPERATIONS_LABEL: Final = "openaoc operations v1"
STATISTICS_LABEL: Final = "openaoc joint statistics v1"
TELL_SECONDS: Final = 2.0
"""How often it is looked whether a joint operation is to be told of."""


class Together:
    """Joint work. One instance per centre."""

    def __init__(
        self, *, line: Line, operations: Operations, telling: Telling, joint: JointStatistics
    ) -> None:
        self.line = line
        self.operations = operations
        self.telling = telling
        self.joint = joint
        self._ticker = Ticker("operations", telling.tell_due, every_s=TELL_SECONDS)

    def start(self) -> None:
        """Begin to tell by itself."""
        self._ticker.start()

    def stop(self) -> None:
        """Let what is under way end."""
        self._ticker.stop()


def build_together(
    *, database: Database, sharing: Sharing, line: Line, gate: Gate, settings: Settings
) -> Together:
    """Build it, open it at the gate; nothing is said before `start`."""
    name, agreed = settings.centre_code, sharing.agreed
    telling = Telling(
        uow=database.uow,
        agreed=agreed,
        line=line,
        name=name,
        key=database.keys.derived(OPERATIONS_LABEL),
    )
    gate.open(PATH, OperationWord, telling.take)
    joint = JointStatistics(
        uow=database.uow,
        agreed=agreed,
        settings=settings,
        key=database.keys.derived(STATISTICS_LABEL),
    )
    gate.open(STATISTICS_PATH, StatisticsAsked, joint.answer)
    gate.open(REFERRALS_PATH, ReferralMessage, sharing.referring.take)

    def changed(tx: Transaction, event: Event) -> None:
        assert event.subject, "an operation, or what was withdrawn and may be an entry"
        tx.after_commit(telling.changed)

    for what in (CHANGED, OBJECT_RECALLED):
        database.uow.subscribe(what, changed)
    return Together(
        line=line, operations=Operations(agreed=agreed, name=name), telling=telling, joint=joint
    )
