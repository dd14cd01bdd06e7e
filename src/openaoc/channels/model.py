"""Channels: the wire form of messages to institutions, and every limit of delivery by name."""

from __future__ import annotations

import enum
import ipaddress
from datetime import datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.ids import random_text

MESSAGES_PER_BATCH_MAX: Final = 100
"""One request to an institution carries at most so many messages."""
BATCHES_PER_RUN_MAX: Final = 50
"""One delivery run sends at most so many batches, then lets other institutions have the thread."""
BODY_BYTES_MAX: Final = 64 << 10
"""One message's body."""
REPLY_BYTES_MAX: Final = 1 << 20
"""An institution's whole reply to a batch."""
CONNECT_SECONDS_MAX: Final = 3.0
REPLY_SECONDS_MAX: Final = 10.0
"""From the last byte sent to the last byte received."""
BACKOFF_FIRST: Final = timedelta(milliseconds=500)
BACKOFF_MAX: Final = timedelta(minutes=2)
REFUSALS_MAX: Final = 8
"""A message the institution itself refuses (4xx, alone in its batch) is sent at most so often."""
KEEP_TRYING: Final = timedelta(hours=72)
"""A message nobody could deliver for so long is given up, with an event that says so."""
FAILURES_BEFORE_ESCALATION: Final = 5
ESCALATION_SHARE: Final = 0.5
"""A message still undelivered after this share of its time to answer is escalated."""
ENDPOINT_CHARACTERS_MAX: Final = 512
SIGNED_PER_KEY_AND_MINUTE_MAX: Final = 30_000
"""Bounds the replay store: keys times window times this."""
KEPT_AFTER_DELIVERY: Final = timedelta(days=7)
"""Delivered and settled messages are deleted after this; what they said stays in holds/."""
DELETED_PER_SWEEP_MAX: Final = 5_000
LISTED_INSTITUTIONS_MAX: Final = 1_000


class BadEndpoint(BadInput):
    """The endpoint is not a usable http or https address."""


class MessageTooLarge(BadInput):
    """The message is larger than a channel carries."""


class RepeatedDifferently(Conflict):
    """The same Idempotency-Key came with another request."""


class MessageState(enum.StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    """To be delivered; for an institution without a system it waits at the liaison's desk."""
    DELIVERED = "delivered"
    """The institution's system said it has it."""
    SETTLED = "settled"
    """Answered some other way (the liaison's desk) before it was delivered."""
    GIVEN_UP = "given_up"
    """Refused too often or undeliverable for too long; escalated, a person must act."""
    UNCERTAIN = "uncertain"
    """Waiting when the data was backed up that the centre was restored with: it may have been sent
    since, and answered, and ended. A person decides whether it goes out."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it goes over the wire; `body` is the order, its end or the holder's notice.

    The receiver keeps `idempotency_key` and does nothing when it comes again.
    """

    id: str
    kind: str
    idempotency_key: str
    body: msgspec.Raw


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """`POST {endpoint}/v1/holds`: oldest message first.

    `epoch` counts the centre's lives: a receiver refuses one that is below the highest it has seen,
    for it comes from a server that was replaced.
    """

    messages: list[Message]
    epoch: int = 1


class InlineAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer given in the reply itself; `answer` has the form of a later answer."""

    order: Annotated[str, Meta(min_length=1, max_length=64)]
    answer: msgspec.Raw


class DeliveryReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an institution may reply to a delivery; an empty body is the same as no answers."""

    answers: Annotated[list[InlineAnswer], Meta(max_length=MESSAGES_PER_BATCH_MAX)] = []


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be put into the outbox."""

    institution: str
    kind: str
    subject: str
    body: msgspec.Struct
    answer_by: datetime
    not_before: datetime | None = None
    """It rests in the outbox until then; default: it goes out at once."""


class OutboxMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the centre keeps it."""

    id: str
    sequence: int
    institution: str
    kind: str
    subject: str
    idempotency_key: str
    body: bytes
    state: MessageState
    created_at: datetime
    answer_by: datetime
    due_at: datetime
    escalate_at: datetime
    attempts: int
    refusals: int
    escalated_at: datetime | None
    last_error: str | None


class Uncertain(msgspec.Struct, frozen=True, kw_only=True):
    """A message of which nobody here knows whether it was sent."""

    message: str
    institution: str
    kind: str
    subject: str
    created_at: datetime
    answer_by: datetime


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the line to one institution is: for the status page and the liaison."""

    institution: str
    waiting: int
    oldest_at: datetime | None
    failures: int
    next_attempt_at: datetime | None
    last_error: str | None


def new_message_id() -> str:
    """A fresh message id: 100 random bits."""
    return "msg_" + random_text(20).lower()


def check_endpoint(url: str, *, where: str = "endpoint") -> str:
    """The address without a trailing slash. Raises BadEndpoint for anything but plain http(s).

    A name and password in the address, a query or a fragment are refused, and so are addresses
    that no institution can have: link-local (where clouds keep their secrets), multicast, 0.0.0.0.
    """
    if len(url) > ENDPOINT_CHARACTERS_MAX or not url.isascii() or not url.isprintable():
        raise BadEndpoint(
            f"must be printable ASCII of at most {ENDPOINT_CHARACTERS_MAX} characters", where=where
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadEndpoint(str(error), where=where) from error
    if parts.scheme not in ("http", "https"):
        raise BadEndpoint("must begin with http:// or https://", where=where)
    if not host or port == 0 or " " in url:
        raise BadEndpoint("names no host", where=where)
    if parts.username is not None or parts.password is not None:
        raise BadEndpoint("must not carry a name or password", where=where)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise BadEndpoint("must not have a query or a fragment", where=where)
    _refuse_special_address(host, where=where)
    return url.rstrip("/")


def _refuse_special_address(host: str, *, where: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise BadEndpoint("is an address no institution can have", where=where)
