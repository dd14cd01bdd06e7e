"""Matching: when is what matched? All of it once a day, with the day's set; what is new at once.

Keeps nothing over a restart: then all of it is matched once more, and finds the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from openaoc.exchange.line import Agreed
from openaoc.exchange.matching.answering import Holdings
from openaoc.exchange.matching.asking import Asking
from openaoc.exchange.matching.model import epoch_of
from openaoc.exchange.objects import ObjectKind
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import OpenAOCError
from openaoc.storage.unit_of_work import UnitOfWork

_LOG = structlog.get_logger("openaoc.matching")
AGAIN: Final = timedelta(minutes=2)
"""A partner that did not answer is left alone so long."""


class Schedule:
    """One instance per centre."""

    def __init__(
        self, *, uow: UnitOfWork, agreed: Agreed, holdings: Holdings, asking: Asking
    ) -> None:
        self._uow = uow
        self._agreed = agreed
        self._holdings = holdings
        self._asking = asking
        self._done: dict[str, tuple[int, int]] = {}
        """By partner: the epoch that was matched, and up to which change."""
        self._not_before: dict[str, datetime] = {}

    def run(self) -> int:
        """Match what is due with every partner that agreed to it; how many identifiers."""
        with self._uow.read(SYSTEM, purpose="what is to be matched") as tx:
            now = tx.now
            partners = self._agreed.partners_with(tx, ObjectKind.MATCH)
            mark = self._holdings.mark(tx)
        asked = 0
        for partner in partners:
            epoch, upto = self._done.get(partner, (-1, 0))
            after = upto if epoch == epoch_of(now) else 0
            if mark <= after or now < self._not_before.get(partner, now):
                continue
            try:
                asked += self._asking.match_known(partner, after=after).asked
            except OpenAOCError as error:
                _LOG.warning("match_put_off", partner=partner, error=error.code)
                self._not_before[partner] = now + AGAIN
            else:
                self._done[partner] = (epoch_of(now), mark)
        return asked
