"""Channels: what is committed arrives, once in effect, whatever the line does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from openaoc.channels import store
from openaoc.channels.backoff import backoff, backoff_bound
from openaoc.channels.keys import CentreKeys
from openaoc.channels.model import (
    BACKOFF_MAX,
    BODY_BYTES_MAX,
    REFUSALS_MAX,
    BadEndpoint,
    InlineAnswer,
    MessageState,
    MessageTooLarge,
    NewMessage,
    check_endpoint,
)
from openaoc.channels.service import Channels
from openaoc.channels.signing import HEADER, BadSignature, Verified, new_signing_key, sign
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.clock import ManualClock
from openaoc.kernel.errors import OpenAOCError
from openaoc.kernel.events import Event
from openaoc.parties.model import InstitutionKind
from openaoc.parties.service import Parties
from openaoc.storage.unit_of_work import Transaction, UnitOfWork
from tests.channels.institution import Stub
from tests.row_order import check_rows_are_taken_by_id

WAIT_SECONDS_MAX = 60.0
FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Body(msgspec.Struct, frozen=True, kw_only=True):
    order: str
    amount_minor: int
    text: str = ""


def wait_for(what: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.02)
    return what()


def enqueue(channels: Channels, tx: Transaction, **message: Any) -> str:
    return channels.enqueue_many(tx, [NewMessage(**message)])[0]


def send(
    channels: Channels,
    uow: UnitOfWork,
    *,
    orders: range = range(1),
    institution: str = "KBANK",
    kind: str = "hold.order",
    answer_after: timedelta = timedelta(minutes=10),
) -> list[str]:
    with uow.begin(SYSTEM) as tx:
        return [
            enqueue(
                channels,
                tx,
                institution=institution,
                kind=kind,
                subject=f"ord_{number}",
                body=Body(order=f"ord_{number}", amount_minor=100 + number),
                answer_by=tx.now + answer_after,
            )
            for number in orders
        ]


def listen(uow: UnitOfWork, name: str) -> list[Event]:
    seen: list[Event] = []

    def note(_: Transaction, event: Event) -> None:
        seen.append(event)

    uow.subscribe(name, note)
    return seen


def waiting(channels: Channels, uow: UnitOfWork) -> int:
    with uow.read(SYSTEM) as tx:
        return sum(line.waiting for line in channels.lines(tx))


def failures(channels: Channels, uow: UnitOfWork) -> int:
    with uow.read(SYSTEM) as tx:
        return sum(line.failures for line in channels.lines(tx))


def test_committed_message_arrives_signed_and_in_order(
    channels: Channels, uow: UnitOfWork, bank: Stub
) -> None:
    delivered = listen(uow, "channels.message.delivered")
    channels.start()
    keys = send(channels, uow, orders=range(250))
    assert wait_for(lambda: len(bank.effects) == 250)
    assert wait_for(lambda: waiting(channels, uow) == 0)
    assert list(bank.effects) == keys
    assert bank.bad_signatures == 0
    assert max(len(batch) for batch in bank.batches) <= 100
    assert {event.subject for event in delivered} == {f"ord_{n}" for n in range(250)}


def test_rolled_back_message_is_never_sent(channels: Channels, uow: UnitOfWork, bank: Stub) -> None:
    channels.start()

    def fail() -> None:
        with uow.begin(SYSTEM) as tx:
            enqueue(
                channels,
                tx,
                institution="KBANK",
                kind="hold.order",
                subject="ord_x",
                body=Body(order="ord_x", amount_minor=1),
                answer_by=tx.now,
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    send(channels, uow)
    assert wait_for(lambda: len(bank.effects) == 1)
    assert [m["body"]["order"] for m in bank.effects.values()] == ["ord_0"]


def test_messages_that_end_together_are_taken_by_id(channels: Channels, uow: UnitOfWork) -> None:
    def end(tx: Transaction, ids: Sequence[str]) -> None:
        store.end_messages(tx.connection, ids, state=MessageState.DELIVERED, now=tx.now)

    def settle(tx: Transaction, _: Sequence[str]) -> None:
        channels.settle_many(tx, subjects=[f"ord_{number}" for number in range(5)])

    def escalate(tx: Transaction, ids: Sequence[str]) -> None:
        store.mark_escalated(tx.connection, ids, now=tx.now)

    for number, change in enumerate((settle, end, escalate)):
        send(channels, uow, orders=range(5 * number, 5 * number + 5))
        with uow.read(SYSTEM) as tx:
            waiting = sa.select(store.messages.c.id).where(store.messages.c.state == "waiting")
            ids = tx.connection.execute(waiting).scalars().all()
        check_rows_are_taken_by_id(uow, store.messages, ids, change)


def test_same_content_enqueued_twice_is_one_message(
    channels: Channels, uow: UnitOfWork, bank: Stub
) -> None:
    assert send(channels, uow) == send(channels, uow)
    channels.start()
    assert wait_for(lambda: waiting(channels, uow) == 0)
    assert sum(len(batch) for batch in bank.batches) == 1


def test_what_was_committed_before_the_start_is_delivered(
    channels: Channels, uow: UnitOfWork, bank: Stub
) -> None:
    send(channels, uow, orders=range(3))
    channels.start()
    assert wait_for(lambda: len(bank.effects) == 3)


def test_a_stop_waits_for_the_batch_under_way_and_for_no_other(
    channels: Channels, uow: UnitOfWork, bank: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openaoc.channels.delivery.MESSAGES_PER_BATCH_MAX", 1)
    under_way, told = threading.Event(), threading.Event()

    def slowly(_: object) -> None:
        under_way.set()
        assert told.wait(WAIT_SECONDS_MAX)

    bank.on_batch = slowly
    send(channels, uow, orders=range(20))
    channels.start()
    assert under_way.wait(WAIT_SECONDS_MAX)
    dispatcher = channels._dispatcher
    assert dispatcher is not None
    stopping = threading.Thread(target=channels.stop)
    stopping.start()
    assert wait_for(lambda: dispatcher.stopping)
    told.set()
    stopping.join(WAIT_SECONDS_MAX)
    assert not stopping.is_alive()
    assert len(bank.batches) == 1
    assert waiting(channels, uow) == 19


def test_failing_line_is_tried_again_with_growing_pauses(
    channels: Channels, uow: UnitOfWork, bank: Stub, clock: ManualClock
) -> None:
    bank.status = 503
    channels.start()
    send(channels, uow)
    for count in range(1, 7):
        assert wait_for(lambda: failures(channels, uow) == count)  # noqa: B023 - called at once
        clock.advance(BACKOFF_MAX)
    bank.status = 202
    clock.advance(BACKOFF_MAX)
    assert wait_for(lambda: waiting(channels, uow) == 0)
    assert len(bank.effects) == 1


def test_one_refused_message_does_not_hold_up_the_others(
    channels: Channels, uow: UnitOfWork, bank: Stub, clock: ManualClock
) -> None:
    given_up = listen(uow, "channels.message.given_up")
    bank.refuse = lambda message: message["body"]["order"] == "ord_2"

    def refusals() -> int:
        with uow.read(SYSTEM) as tx:
            left = store.waiting(tx.connection, institution="KBANK", now=FAR, limit=10)
        return left[0].refusals if left else REFUSALS_MAX

    send(channels, uow, orders=range(5))
    channels.start()
    assert wait_for(lambda: len(bank.effects) == 4 and refusals() >= 1)
    for count in range(2, REFUSALS_MAX + 1):
        clock.advance(BACKOFF_MAX)
        assert wait_for(lambda: refusals() >= count)  # noqa: B023 - called at once
    assert [event.subject for event in given_up] == ["ord_2"]
    assert waiting(channels, uow) == 0


def test_late_message_is_escalated_once(
    channels: Channels, uow: UnitOfWork, clock: ManualClock, parties: Parties
) -> None:
    escalated = listen(uow, "channels.message.escalated")
    with uow.begin(SYSTEM) as tx:
        parties.add_institution(
            tx, code="DESK", name="D", kind=InstitutionKind.BANK, jurisdiction="TH"
        )
    send(channels, uow, institution="DESK", answer_after=timedelta(minutes=10))
    assert channels.sweep() == ["DESK"]
    assert escalated == []
    clock.advance(timedelta(minutes=6))
    channels.sweep()
    channels.sweep()
    assert [(e.subject, e.facts["institution"]) for e in escalated] == [("ord_0", "DESK")]


def test_settled_order_is_not_sent_when_the_desk_gets_a_system(
    channels: Channels, uow: UnitOfWork, bank: Stub, parties: Parties
) -> None:
    with uow.begin(SYSTEM) as tx:
        parties.set_endpoint(tx, code="KBANK", endpoint=None)
    send(channels, uow, orders=range(2))
    with uow.begin(SYSTEM) as tx:
        channels.settle(tx, subject="ord_0")
        parties.set_endpoint(tx, code="KBANK", endpoint=bank.url)
    channels.start()
    assert wait_for(lambda: len(bank.effects) == 1)
    assert [m["body"]["order"] for m in bank.effects.values()] == ["ord_1"]


def test_message_nobody_could_deliver_for_three_days_is_given_up(
    channels: Channels, uow: UnitOfWork, bank: Stub, clock: ManualClock
) -> None:
    given_up = listen(uow, "channels.message.given_up")
    send(channels, uow)
    clock.advance(timedelta(hours=73))
    channels.sweep()
    assert [event.facts["reason"] for event in given_up] == ["undeliverable"]
    assert waiting(channels, uow) == 0


@pytest.mark.parametrize("signed", ["not", "rightly", "wrongly"])
def test_answer_in_the_reply_counts_only_when_rightly_signed(
    channels: Channels,
    uow: UnitOfWork,
    bank: Stub,
    parties: Parties,
    clock: ManualClock,
    signed: str,
) -> None:
    key = new_signing_key(kid="bank")
    with uow.begin(SYSTEM) as tx:
        jwk = msgspec.json.encode(key.public()).decode()
        parties.register_public_key(tx, code="KBANK", jwk=jwk)
    bank.reply = msgspec.json.encode(
        {"answers": [{"order": "ord_0", "answer": {"outcome": "applied"}}]}
    )
    if signed != "not":
        signer = key if signed == "rightly" else new_signing_key(kid="bank")
        bank.reply_headers = {
            HEADER: sign(bank.reply, key=signer, method="REPLY", path="/v1/holds", now=clock.now())
        }
    answers: list[tuple[str, InlineAnswer]] = []

    def take(
        code: str, given: Sequence[InlineAnswer], verified: Verified | None
    ) -> list[tuple[str, OpenAOCError]]:
        assert verified is not None
        answers.extend((code, one) for one in given)
        return []

    channels.start(on_answer=take)
    send(channels, uow)
    assert wait_for(lambda: waiting(channels, uow) == 0)
    channels.stop()
    assert [(code, a.order) for code, a in answers] == (
        [("KBANK", "ord_0")] if signed == "rightly" else []
    )


def test_unreadable_reply_does_not_undo_the_delivery(
    channels: Channels, uow: UnitOfWork, bank: Stub
) -> None:
    bank.reply = b"<html>thank you</html>"
    channels.start(on_answer=lambda *_: [])
    send(channels, uow)
    assert wait_for(lambda: waiting(channels, uow) == 0)
    assert len(bank.effects) == 1


def test_redirect_is_a_failure_and_not_followed(
    channels: Channels, uow: UnitOfWork, bank: Stub
) -> None:
    bank.status = 307
    bank.reply_headers = {"Location": bank.url + "/elsewhere"}
    channels.start()
    send(channels, uow)
    assert wait_for(lambda: _last_error(channels, uow) == "HTTP 307")


def _last_error(channels: Channels, uow: UnitOfWork) -> str | None:
    with uow.read(SYSTEM) as tx:
        lines = channels.lines(tx)
    return lines[0].last_error if lines else None


def test_incoming_signature_is_accepted_once(
    channels: Channels, uow: UnitOfWork, bank: Stub, parties: Parties, clock: ManualClock
) -> None:
    key = new_signing_key(kid="bank")
    with uow.begin(SYSTEM) as tx:
        assert not channels.verify_incoming(
            tx, institution="KBANK", header=None, body=b"{}", method="POST", path="/v1/x"
        )
        jwk = msgspec.json.encode(key.public()).decode()
        parties.register_public_key(tx, code="KBANK", jwk=jwk)
    header = sign(b"{}", key=key, method="POST", path="/v1/x", now=clock.now())

    def verify_once(header: str | None) -> bool:
        with uow.begin(SYSTEM) as tx:
            return channels.verify_incoming(
                tx, institution="KBANK", header=header, body=b"{}", method="POST", path="/v1/x"
            )

    with pytest.raises(BadSignature, match="no signature"):
        verify_once(None)
    assert verify_once(header)
    with pytest.raises(BadSignature, match="already"):
        verify_once(header)


def test_nonce_of_a_failed_change_is_free_again(
    channels: Channels, uow: UnitOfWork, bank: Stub, parties: Parties, clock: ManualClock
) -> None:
    key = new_signing_key(kid="bank")
    header = sign(b"{}", key=key, method="POST", path="/v1/x", now=clock.now())
    with uow.begin(SYSTEM) as tx:
        jwk = msgspec.json.encode(key.public()).decode()
        parties.register_public_key(tx, code="KBANK", jwk=jwk)

    def take(*, fail: bool) -> bool:
        with uow.begin(SYSTEM) as tx:
            signed = channels.verify_incoming(
                tx, institution="KBANK", header=header, body=b"{}", method="POST", path="/v1/x"
            )
            if fail:
                raise ZeroDivisionError
            return signed

    with pytest.raises(ZeroDivisionError):
        take(fail=True)
    assert take(fail=False)


def test_old_nonces_and_requests_are_forgotten(
    channels: Channels, uow: UnitOfWork, clock: ManualClock
) -> None:
    with uow.begin(SYSTEM) as tx:
        expires = tx.now + timedelta(minutes=10)
        assert store.add_nonce(tx.connection, kid="k", nonce="n", expires_at=expires)
        assert not store.add_nonce(tx.connection, kid="k", nonce="n", expires_at=expires)
    clock.advance(timedelta(minutes=11))
    channels.sweep()
    with uow.begin(SYSTEM) as tx:
        assert store.add_nonce(tx.connection, kid="k", nonce="n", expires_at=tx.now)


def test_message_larger_than_a_channel_carries_is_refused(
    channels: Channels, uow: UnitOfWork
) -> None:
    with pytest.raises(MessageTooLarge), uow.begin(SYSTEM) as tx:
        enqueue(
            channels,
            tx,
            institution="KBANK",
            kind="hold.order",
            subject="ord_1",
            body=Body(order="o", amount_minor=1, text="x" * BODY_BYTES_MAX),
            answer_by=tx.now,
        )


@given(failures=st.integers(min_value=1, max_value=10**6), seed=st.integers())
def test_pauses_grow_and_are_bounded(failures: int, seed: int) -> None:
    pause = backoff(failures, random=Random(seed))  # noqa: S311 - not for secrets
    assert timedelta(0) <= pause <= backoff_bound(failures) <= BACKOFF_MAX
    assert backoff_bound(failures) <= backoff_bound(failures + 1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://bank/",
        "file:///etc/passwd",
        "http://",
        "https://user:pw@bank.example/",
        "http://bank.example/?x=1",
        "http://bank.example/#x",
        "http://bank.example:99999/",
        "http://bank.example:0/",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://0.0.0.0:80",
        "http://bank example/",
        "http://bänk.example/",
        "http://bank.example/" + "x" * 600,
        "http://bank\0.example/",
        "javascript:alert(1)",
    ],
)
def test_endpoint_that_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(BadEndpoint):
        check_endpoint(url)


def test_plain_web_address_is_kept() -> None:
    assert check_endpoint("https://Bank.example:8443/aoc/") == "https://Bank.example:8443/aoc"


def test_old_signing_key_stays_published_for_its_overlap(
    centre_keys: CentreKeys, clock: ManualClock, tmp_path: object
) -> None:
    first = centre_keys.current().kid
    clock.advance(timedelta(days=1))
    second = centre_keys.rotate(clock.now()).kid
    assert [key.kid for key in centre_keys.jwks(clock.now()).keys] == [second, first]
    clock.advance(timedelta(days=8))
    assert [key.kid for key in centre_keys.jwks(clock.now()).keys] == [second]
    again = CentreKeys(centre_keys._folder.parent).open(clock.now())
    assert again.current().kid == second
    modes = {path.stat().st_mode & 0o777 for path in centre_keys._folder.iterdir()}
    assert modes == {0o600}
