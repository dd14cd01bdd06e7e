"""Partners' collections are read on schedule: nothing is lost, doubled, or believed unseen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from openaoc.exchange.misp.client import MispClient
from openaoc.exchange.misp.polling import EventFeeds
from openaoc.exchange.stix.model import Profile
from openaoc.exchange.taxii import forgotten
from openaoc.exchange.taxii.client import REPLY_BYTES_MAX, TaxiiClient
from openaoc.exchange.taxii.model import MEDIA_TYPE, CollectionKind, taxii_time
from openaoc.exchange.taxii.polling import FeedView, NewFeed, NoSuchFeed, Polling
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput, Refused
from openaoc.storage.postgres import EmbeddedPostgres
from tests.exchange.sharing_site import ADMINISTRATOR, SUPERVISOR, partner_user
from tests.exchange.taxii_site import TaxiiSite, stix_indicator, taxii_site

EARLY = "2026-01-05T03:00:00.000000Z"
NEW = NewFeed(
    partner="?", url="http://partner.example/root", collection="c1", secret="s3cret", every_s=60
)
_codes = iter(f"F{number}" for number in range(1, 100))


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    with taxii_site(postgres) as made:
        yield made


class Remote:
    """A partner's server that does as a test says."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)


def answered(
    *objects: Any, last: str | None = EARLY, status: int = 200, **envelope: Any
) -> httpx.Response:
    headers = {"content-type": MEDIA_TYPE} | ({"x-taxii-date-added-last": last} if last else {})
    return httpx.Response(status, json={"objects": objects} | envelope, headers=headers)


class Reader:
    """One feed of a partner of its own, read from a server that a test plays."""

    def __init__(
        self,
        site: TaxiiSite,
        answer: Callable[[httpx.Request], httpx.Response],
        new: NewFeed = NEW,
    ) -> None:
        self.site, self.code = site, next(_codes)
        site.agree(self.code)
        self.remote = Remote(answer)
        transport = httpx.MockTransport(self.remote)
        events = EventFeeds(
            uow=site.uow,
            agreements=site.agreements,
            client=MispClient(transport),
            receiver=site.desk,
            country="TH",
        )
        self.polling = Polling(
            uow=site.uow,
            agreements=site.agreements,
            client=TaxiiClient(transport),
            events=events,
            keys=site.keys,
        )
        with site.uow.begin(ADMINISTRATOR) as tx:
            added = msgspec.structs.replace(new, partner=self.code)
            self.id = self.polling.add(tx, added).id

    def poll(self) -> FeedView:
        """Let a minute pass and read; the feed afterwards."""
        self.site.clock.advance(timedelta(minutes=1))
        self.polling.poll_due()
        with self.site.uow.read(SUPERVISOR) as tx:
            (found,) = [one for one in self.polling.list(tx).feeds if one.id == self.id]
        return found

    def got(self) -> list[str]:
        """Ids of what reached the receiver."""
        self.site.hand()
        got = [one.id for one in self.site.desk.got]
        self.site.desk.got.clear()
        return got

    def end(self) -> None:
        """Read it no more."""
        with self.site.uow.begin(ADMINISTRATOR) as tx:
            self.polling.remove(tx, self.id)


@pytest.fixture(autouse=True)
def _no_feed_left(site: TaxiiSite) -> Iterator[None]:
    """What one test reads, another's server is not asked for."""
    yield
    polling = site.collecting.polling
    with site.uow.read(SUPERVISOR) as tx:
        left = [one.id for one in polling.list(tx).feeds]
    with site.uow.begin(ADMINISTRATOR) as tx:
        for number in left:
            polling.remove(tx, number)


@pytest.fixture
def reader(site: TaxiiSite) -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(answer: Callable[[httpx.Request], httpx.Response]) -> Reader:
        made.append(Reader(site, answer))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_what_is_read_reaches_its_receiver_once(reader: Callable[..., Reader]) -> None:
    objects = [stix_indicator(number) for number in range(3)]
    feed = reader(lambda _: answered(*objects))
    after = feed.poll()
    assert after.failures == 0
    assert feed.got() == [one["id"] for one in objects]
    feed.poll()
    assert feed.got() == []
    assert feed.remote.asked[0].headers["accept"] == MEDIA_TYPE
    assert feed.remote.asked[0].headers["authorization"].startswith("Basic ")


def test_objects_of_one_moment_that_come_later_are_not_skipped(
    reader: Callable[..., Reader],
) -> None:
    """A server that gives many objects one moment, and shows some of them later."""
    objects = [stix_indicator(number) for number in range(4)]
    shown = 2

    def answer(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("added_after", "")
        return answered(*objects[:shown]) if after < EARLY else answered(last=None)

    feed = reader(answer)
    feed.poll()
    shown = 4
    feed.poll()
    assert sorted(feed.got()) == sorted(one["id"] for one in objects)


def test_a_clock_that_ran_ahead_hides_nothing(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    """A server a day ahead is set right: what it adds then is earlier than what was read."""
    first, second = stix_indicator(1), stix_indicator(2)
    shown = {taxii_time(site.clock.now() + timedelta(days=1)): first}

    def answer(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("added_after", "")
        found = sorted(at for at in shown if at > after)
        return answered(*(shown[at] for at in found), last=found[-1] if found else None)

    feed = reader(answer)
    feed.poll()
    shown[taxii_time(site.clock.now() + timedelta(seconds=30))] = second
    feed.poll()
    assert feed.got() == [first["id"], second["id"]]


def test_pages_are_followed_by_next_and_without_it_by_the_last_moment(
    reader: Callable[..., Reader],
) -> None:
    objects = [stix_indicator(number) for number in range(3)]
    days = [f"2026-01-0{day}T00:00:00.000000Z" for day in (5, 6, 7)]

    def by_next(request: httpx.Request) -> httpx.Response:
        place = int(request.url.params.get("next", "0"))
        more: dict[str, Any] = {"more": True, "next": str(place + 1)} if place < 2 else {}
        return answered(objects[place], last=days[place], **more)

    def by_moment(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("added_after", "")
        place = next((n for n, day in enumerate(days) if day > after), None)
        if place is None:
            return answered(last=None)
        return answered(objects[place], last=days[place], more=place < 2)

    for answer in (by_next, by_moment):
        feed = reader(answer)
        found = feed.poll()
        assert found.last_error is None
        assert feed.got() == [one["id"] for one in objects]


def test_a_server_whose_pages_do_not_go_on_is_left(reader: Callable[..., Reader]) -> None:
    one = stix_indicator()
    feed = reader(lambda _: answered(one, more=True, next="0"))
    found = feed.poll()
    assert found.failures == 1
    assert len(feed.remote.asked) <= 4
    assert feed.got() == [one["id"]]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(301, headers={"location": "http://elsewhere.example/"}),
        httpx.Response(200, content=b"{}", headers={"content-type": "application/json"}),
        httpx.Response(200, content=b"{", headers={"content-type": MEDIA_TYPE}),
        httpx.Response(200, content=b"[]", headers={"content-type": MEDIA_TYPE}),
        httpx.Response(401, headers={"content-type": MEDIA_TYPE}),
        answered(last="yesterday"),
        answered(more=True, next="x" * 3_000),
        httpx.Response(200, content=b" " * (REPLY_BYTES_MAX + 1),
                       headers={"content-type": MEDIA_TYPE}),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_tried_later_and_later(
    reader: Callable[..., Reader], site: TaxiiSite, answer: httpx.Response
) -> None:
    def give(_: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    feed = reader(give)
    first = feed.poll()
    assert first.failures == 1
    assert first.last_error
    assert "s3cret" not in first.last_error
    assert first.next_at == site.clock.now() + timedelta(minutes=2)
    feed.poll()
    second = feed.poll()
    assert second.failures == 2
    assert second.next_at == site.clock.now() + timedelta(minutes=4)
    assert feed.got() == []


def test_a_broken_connection_loses_nothing(reader: Callable[..., Reader]) -> None:
    objects = [stix_indicator(number) for number in range(2)]
    broken = True

    def answer(request: httpx.Request) -> httpx.Response:
        if "next" not in request.url.params:
            return answered(objects[0], more=True, next="1")
        if broken:
            raise httpx.ReadError("gone")
        return answered(objects[1], last="2026-01-06T00:00:00Z")

    feed = reader(answer)
    assert feed.poll().failures == 1
    broken = False
    feed.poll()
    feed.poll()
    assert sorted(feed.got()) == sorted(one["id"] for one in objects)


def test_what_is_no_object_is_reported_and_the_rest_kept(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    good = stix_indicator()
    feed = reader(lambda _: answered({"type": "malware"}, good, 7))
    feed.poll()
    assert feed.got() == [good["id"]]
    with site.uow.read(SUPERVISOR) as tx:
        found = site.collecting.handing.received(tx, partner=feed.code).receipts
    assert [lost.path for lost in found[0].report] == ["$.type", "$"]


def test_without_an_agreement_nobody_is_asked(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    feed = reader(lambda _: answered(stix_indicator()))
    with site.uow.begin(SUPERVISOR) as tx:
        (one,) = site.agreements.list(tx, partner=feed.code).agreements
        site.agreements.suspend(tx, one.id, reason="it is looked into")
    feed.poll()
    assert feed.remote.asked == []


def test_secrets_are_sealed(reader: Callable[..., Reader], site: TaxiiSite) -> None:
    from openaoc.exchange.taxii import feed_store

    feed = reader(lambda _: answered())
    with site.uow.read(SUPERVISOR) as tx:
        kept = feed_store.find_feed(tx.connection, feed.id)
    assert kept is not None
    assert b"s3cret" not in kept.secret


def test_feeds_are_for_administrators_and_of_known_addresses(site: TaxiiSite) -> None:
    site.agree("HK")
    polling = site.collecting.polling
    new = NewFeed(partner="HK", url="file:///etc/passwd", collection="c", secret="s")
    with pytest.raises(BadInput), site.uow.begin(ADMINISTRATOR) as tx:
        polling.add(tx, new)
    with pytest.raises(Refused), site.uow.begin(partner_user("HK")) as tx:
        polling.add(tx, new)
    with pytest.raises(NoSuchFeed), site.uow.begin(ADMINISTRATOR) as tx:
        polling.remove(tx, "nothing")


def test_two_centres_exchange_over_http(site: TaxiiSite) -> None:
    """Ours is read by one partner's programme, and written into another's inbox."""
    giver, taker = next(_codes), next(_codes)
    key = site.join(giver)
    site.join(taker)
    shared = [site.indicator() for _ in range(3)]
    site.publish(giver, *shared)
    site.publish(taker, site.indicator())
    root = f"{site.url}/taxii2/centre"
    with site.uow.begin(ADMINISTRATOR) as tx:
        for publish, kind in ((False, CollectionKind.RELEASED), (True, CollectionKind.INBOX)):
            number = site.collection(giver, kind)
            new = NewFeed(partner=taker, url=root, collection=number, secret=key, publish=publish)
            site.collecting.polling.add(tx, new)
    site.hand()
    site.desk.got.clear()
    site.collecting.polling.poll_due()
    site.hand()
    got = {one.id for one in site.desk.got}
    assert {one.id for one in shared} <= got
    inbox = site.collection(giver, CollectionKind.INBOX)
    with site.client(giver) as client:
        sent = client.get(f"collections/{inbox}/objects/?match[type]=indicator").json()
    assert len(sent["objects"]) == 1
    assert "+66812345678" in json.dumps(sent)
    site.desk.got.clear()
    site.clock.advance(timedelta(minutes=2))
    site.collecting.polling.poll_due()
    site.hand()
    assert site.desk.got == []
    with site.uow.begin(SYSTEM) as tx:
        tx.connection.execute(
            sa.text("DELETE FROM taxii_objects WHERE collection = :one"), {"one": inbox}
        )
        site.collecting.polling.begin_again(tx, taker)
    site.collecting.polling.poll_due()
    with site.client(giver) as client:
        again = client.get(f"collections/{inbox}/objects/?match[type]=indicator").json()
    assert again == sent, "what a restored partner forgot is written once more"


def _do(site: TaxiiSite, statement: str, values: dict[str, str]) -> None:
    with site.uow.begin(SYSTEM) as tx:
        tx.connection.execute(sa.text(statement), values)


def test_a_restored_partner_that_does_not_answer_loses_nothing_of_its_own(
    reader: Callable[..., Reader],
) -> None:
    known = [stix_indicator(number) for number in range(3)]
    listed = {"id": known[1]["id"]}
    manifests = [
        httpx.Response(404),
        answered(more=True, last=None),
        answered(more=True, next="2"),
        httpx.Response(503),
        answered(more=True, next="2"),
        answered(listed),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/manifest/"):
            return answered(*known)
        return manifests.pop(0)

    one = reader(answer)
    one.got()  # what others left
    one.poll()
    assert len(one.got()) == 3
    with one.site.uow.begin(SYSTEM) as tx:
        one.polling.begin_again(tx, one.code)
    for failures in (1, 2, 3):
        one.site.clock.advance(timedelta(hours=7))
        assert one.poll().failures == failures
        assert one.got() == []
    one.site.clock.advance(timedelta(hours=7))
    assert one.poll().failures == 0
    one.site.hand()
    got = {got.id: got.revoked for got in one.site.desk.got}
    assert got == {known[0]["id"]: True, known[2]["id"]: True}


def test_what_a_restored_partner_does_not_know_is_taken_back_until_it_says_it_again(
    site: TaxiiSite,
) -> None:
    giver, taker = next(_codes), next(_codes)
    key = site.join(giver)
    site.agree(taker)
    shared = [site.indicator() for _ in range(3)]
    site.publish(giver, *shared)
    number = site.collection(giver, CollectionKind.RELEASED)
    new = NewFeed(partner=taker, url=f"{site.url}/taxii2/centre", collection=number, secret=key)
    with site.uow.begin(ADMINISTRATOR) as tx:
        site.collecting.polling.add(tx, new)
    site.collecting.polling.poll_due()
    site.hand()
    site.desk.got.clear()
    released = {"one": number, "origin": shared[0].id}
    _do(site, "DELETE FROM taxii_objects WHERE collection = :one AND origin = :origin", released)
    for _ in range(2):
        with site.uow.begin(SYSTEM) as tx:
            site.collecting.polling.begin_again(tx, taker)
        for _ in range(3):
            site.collecting.polling.poll_due()
        site.hand()
    got = [(one.id, one.revoked) for one in site.desk.got]
    assert got == [(shared[0].id, True)], "what it does not know any more is taken back, once"
    site.desk.got.clear()
    _do(site, "UPDATE taxii_collections SET cursor = 0 WHERE id = :one", released)
    site.fill()
    site.clock.advance(timedelta(minutes=2))
    site.collecting.polling.poll_due()
    site.hand()
    got = [(one.id, one.revoked) for one in site.desk.got]
    assert got == [(shared[0].id, False)], "said again, it stands again"


def test_what_is_too_long_to_compare_is_read_on_and_said(
    reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgotten, "KNOWN_MAX", 1)
    known = [stix_indicator(number) for number in range(2)]
    one = reader(lambda _: answered(*known))
    one.poll()
    with one.site.uow.begin(SYSTEM) as tx:
        one.polling.begin_again(tx, one.code)
    one.got()
    assert one.poll().added_after is None
    assert one.poll().added_after is not None
    assert one.got() == []
    with one.site.uow.read(SUPERVISOR) as tx:
        receipts = one.site.collecting.handing.received(tx, partner=one.code).receipts
    assert "not compared" in receipts[-1].report[0].reason


def test_what_a_profile_has_no_place_for_is_counted_by_field(site: TaxiiSite) -> None:
    code = next(_codes)
    site.join(code, profile=Profile.MISP)
    site.publish(code, *(site.indicator() for _ in range(2)))
    with site.uow.read(SUPERVISOR) as tx:
        (told,) = site.collecting.handing.received(tx, partner=code).receipts
    assert (told.released, told.objects, told.kept) == (True, 2, 2)
    counts = {part.path: part.reason for part in told.report}
    assert told.lost == 2 * len(counts) > 0
    assert all(path.startswith("indicator.fields.") for path in counts)
    assert set(counts.values()) == {"the profile misp has no place for it (2 objects)"}
