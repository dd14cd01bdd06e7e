"""Channels: a batch of messages as the bytes of one request: signed JSON, or an ISO 20022 document.

What ISO 20022 has no message for (a notice to the holder, a check of control) goes as JSON always.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Final

import msgspec

from openaoc.channels.model import Delivery, Message, OutboxMessage
from openaoc.parties.model import MessageFormat

JSON_PATH: Final = "/v1/holds"
ISO_PATH: Final = "/v1/iso20022"
_ISO_KINDS: Final = {
    "hold.order": "HoldRequest",
    "hold.withdrawal": "EndRequest",
    "hold.release": "EndRequest",
}
"""Kinds that have a form in ISO 20022, and the request each becomes."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """One request: where under the endpoint, of which type, and its bytes.

    The reply to JSON may hold answers; an ISO 20022 answer is a message of its own.
    """

    path: str
    content_type: str
    body: bytes


def format_of(message: OutboxMessage, *, spoken: MessageFormat) -> MessageFormat:
    """The form in which this message goes to an institution that speaks `spoken`."""
    return spoken if message.kind in _ISO_KINDS else MessageFormat.JSON


def alike(batch: Sequence[OutboxMessage], *, spoken: MessageFormat) -> list[OutboxMessage]:
    """The messages from the start of the batch that go in one form, so that order is kept."""
    if not batch:
        return []
    first = format_of(batch[0], spoken=spoken)
    return list(takewhile(lambda one: format_of(one, spoken=spoken) is first, batch))


def carry(
    messages: Sequence[Message],
    *,
    form: MessageFormat,
    institution: str,
    centre: str,
    epoch: int,
    now: datetime,
) -> Carried:
    """The request for messages of one form. Raises NotValid for an invalid ISO 20022 document."""
    if form is MessageFormat.JSON:
        body = msgspec.json.encode(Delivery(messages=list(messages), epoch=epoch))
        return Carried(path=JSON_PATH, content_type="application/json", body=body)
    from openaoc.channels.iso20022 import camt056

    requests = [
        msgspec.json.decode(one.body, type=getattr(camt056, _ISO_KINDS[one.kind]))
        for one in messages
    ]
    document = camt056.write(
        camt056.Requests(
            message_id=messages[0].id,
            centre=centre,
            institution=institution,
            at=now,
            requests=requests,
        )
    )
    return Carried(path=ISO_PATH, content_type="application/xml", body=document)
