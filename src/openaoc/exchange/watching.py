"""Exchange: a canary that comes back from a partner shows who passed it on, at once.

What came back is not kept: it is our own invention. Everything else goes on to who receives it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from openaoc.exchange.agreement import Agreement
from openaoc.exchange.canaries import Canaries, CanarySeen
from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.receiving import NotTaken, Receiver
from openaoc.storage.unit_of_work import Transaction

_LOG = structlog.get_logger(__name__)


class CanaryWatch:
    """A receiver in front of another one."""

    def __init__(self, receiver: Receiver, *, canaries: Canaries) -> None:
        self._receiver = receiver
        self._canaries = canaries

    def receive(
        self, tx: Transaction, *, agreement: Agreement, objects: Sequence[ReleasedObject]
    ) -> Sequence[NotTaken]:
        """Note what is a canary, hand on the rest.

        The sender is told of a canary the same as of any object that is taken.
        """
        others = [one for one in objects if not self._note(tx, agreement.partner, one)]
        return self._receiver.receive(tx, agreement=agreement, objects=others)

    def _note(self, tx: Transaction, sender: str, one: ReleasedObject) -> bool:
        value = one.fields.get("value")
        if not isinstance(value, str) or self._canaries.whose(tx, value) is None:
            return False
        said = CanarySeen(value=value, where=f"sent by {sender}")
        leak = self._canaries.seen(tx, said)
        _LOG.warning("exchange.canary.seen", given_to=leak.partner, sent_by=sender)
        return True
