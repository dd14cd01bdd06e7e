"""Workflow: what is put right now and then, by nobody's order.

Pooled accounts, identities nobody uses, transfers that are too old. Each may run at any time, and
twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import EPOCH
from openaoc.kernel.ids import REPORT_PREFIX
from openaoc.reports.service import Reports
from openaoc.storage.ticker import Ticker
from openaoc.storage.unit_of_work import UnitOfWork
from openaoc.storage.vault import Vault
from openaoc.workflow.pooling import Pooling
from openaoc.workflow.retention import Retention

EVERY_SECONDS: Final = 60.0
UNUSED_AGE: Final = timedelta(hours=1)
"""An identity is sealed just before its report is committed; so long later none will be."""
IDENTITIES_PER_LOOK_MAX: Final = 1_000

_LOG = structlog.get_logger(__name__)


class Housekeeping:
    """The thread and its work. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        reports: Reports,
        vault: Vault,
        pooling: Pooling,
        retention: Retention,
    ) -> None:
        self._uow = uow
        self._reports = reports
        self._vault = vault
        self._pooling = pooling
        self._retention = retention
        self._looked: tuple[datetime, str] = (EPOCH, "")
        self._ticker = Ticker("housekeeping", self.run_due, every_s=EVERY_SECONDS)

    def start(self) -> None:
        """Set the pooled accounts, then begin."""
        self._pooling.refresh()
        self._ticker.start()

    def stop(self) -> None:
        """End."""
        self._ticker.stop()

    def run_due(self) -> None:
        """Do all of it once."""
        self._pooling.refresh()
        while self.shred_unused():
            pass
        self._retention.run_due()

    def shred_unused(self) -> bool:
        """Destroy identities of reports that were never filed; whether there is more to look at.

        A crash between sealing and committing leaves one. Each is looked at once in the life of
        the process: what has a report keeps it.
        """
        with self._uow.begin(SYSTEM, purpose="identities without a report") as tx:
            sealed = self._vault.sealed_before(
                tx,
                tx.now - UNUSED_AGE,
                prefix=REPORT_PREFIX,
                after=self._looked,
                limit=IDENTITIES_PER_LOOK_MAX,
            )
            filed = self._reports.filed(tx, [subject for _, subject in sealed])
            unused = [subject for _, subject in sealed if subject not in filed]
            for subject in unused:
                self._vault.shred(tx, subject, reason="no report was filed under it")
        if sealed:
            self._looked = sealed[-1]
        if unused:
            _LOG.warning("workflow.identity.unused", shredded=len(unused))
        return len(sealed) == IDENTITIES_PER_LOOK_MAX
