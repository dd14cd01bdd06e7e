"""Workflow: a report in; case, trace and orders committed before the answer goes out.

Never answers before everything the answer names is on disk.
"""

from __future__ import annotations

from openaoc.kernel.actor import Actor
from openaoc.reports.model import Report, ReportReceipt


class Intake:
    """The first verb of the centre: `receive`."""

    def receive(
        self, report: Report, *, sender: Actor, idempotency_key: str
    ) -> tuple[ReportReceipt, bool]:
        """The receipt, and whether the report was new.

        The same `source_ref` from the same sender, or the same idempotency key with the same
        body, gives the same receipt. Raises RepeatedDifferently for the same key with another
        body, BadInput for what cannot be a report.
        """
        raise NotImplementedError
