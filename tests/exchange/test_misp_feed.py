"""MISP feeds over HTTP: what a partner may have, fetched as MISP does; others' feeds read."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from pymisp import MISPEvent

from openaoc.api import misp
from openaoc.exchange.ledger_model import NewRecall, RecallKind
from openaoc.exchange.misp import feed as feeds
from openaoc.exchange.misp import polling as misp_polling
from openaoc.exchange.misp import serving
from openaoc.exchange.misp.feed import MANIFEST_BYTES_MAX
from openaoc.exchange.taxii.polling import NewFeed
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.storage.postgres import EmbeddedPostgres
from openaoc.web.rates import Rate
from tests.exchange.sharing_site import ADMINISTRATOR, SUPERVISOR
from tests.exchange.taxii_site import PATIENT_S, TaxiiSite, taxii_site
from tests.exchange.test_taxii_client import Reader

FEED = NewFeed(
    partner="?", form="misp", url="https://misp.example/feed", secret="s3cret", every_s=60
)
DAY = timedelta(days=1)
SETTLED = serving.SETTLED_AFTER + serving.FILLED_AFTER


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[TaxiiSite]:
    with taxii_site(postgres) as made:
        yield made


def fetch(site: TaxiiSite, name: str, key: str | None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": key}
    return httpx.get(f"{site.url}/misp/{name}", headers=headers, trust_env=False, timeout=PATIENT_S)


def fetched(site: TaxiiSite, key: str) -> dict[str, MISPEvent]:
    """Every event of the manifest, as MISP's own library reads it."""
    found = {}
    for number in fetch(site, "manifest.json", key).json():
        answer = fetch(site, f"{number}.json", key)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        event = MISPEvent()
        event.load(answer.text)
        assert event.uuid == number
        found[number] = event
    return found


def values(events: dict[str, MISPEvent]) -> set[str]:
    """Values that may be looked for."""
    found = [one for event in events.values() for part in event.objects for one in part.attributes]
    return {one.value for one in found if one.to_ids and not one.get("deleted")}


def phone(site: TaxiiSite, number: int, **changes: Any) -> Any:
    one = site.indicator(**changes)
    fields = {**one.fields, "value": f"+6681000{number:04d}"}
    return msgspec.structs.replace(one, fields=fields)


def test_a_partner_fetches_what_it_may_have_as_misp_does(site: TaxiiSite) -> None:
    key = site.join("SG")
    now = site.clock.now()
    old = [phone(site, n, created=now - 2 * DAY) for n in (1, 2)]
    new = phone(site, 3)
    site.publish("SG", *old, new)
    manifest = fetch(site, "manifest.json", key)
    assert manifest.headers["cache-control"] == "no-store"
    first = manifest.json()
    assert len(first) == 2, "one event a day"
    site.clock.advance(SETTLED)
    first = fetch(site, "manifest.json", key).json()
    site.clock.advance(SETTLED)
    assert fetch(site, "manifest.json", key).json() == first, "nothing has changed since"
    assert {one["Orgc"]["name"] for one in first.values()} == {"TH-AOC"}
    events = fetched(site, key)
    assert values(events) == {"+66810000001", "+66810000002", "+66810000003"}
    for number, event in events.items():
        assert event.to_dict()["timestamp"] == str(first[number]["timestamp"])
    lines = fetch(site, "hashes.csv", key).text.splitlines()
    wanted = hashlib.md5(b"+66810000003", usedforsecurity=False).hexdigest()
    assert len(lines) == 3
    (event_of_it,) = [one.split(",")[1] for one in lines if one.startswith(wanted)]
    assert "+66810000003" in values({"": events[event_of_it]})
    for bearer in (f"Bearer {key}", httpx.BasicAuth("misp", key)._auth_header):
        assert fetch(site, "manifest.json", bearer).json() == first

    with site.uow.begin(SUPERVISOR) as tx:
        gone = NewRecall(object=old[0].id, kind=RecallKind.WITHDRAWN, reason="it was a shop")
        site.exchange.recalling.recall(tx, gone)
    after = fetch(site, "manifest.json", key).json()
    changed = [one for one in after if after[one]["timestamp"] > first[one]["timestamp"]]
    assert changed == [one for one in after if one != event_of_it], "only the event it was in"
    assert values(fetched(site, key)) == {"+66810000002", "+66810000003"}


def test_what_is_released_within_the_second_of_a_fetch_is_fetched_later(site: TaxiiSite) -> None:
    key = site.join("BN")
    site.clock.advance(SETTLED)
    seen: dict[str, int] = {}
    for number in (31, 32):
        site.publish("BN", phone(site, number, created=site.clock.now() - 9 * DAY))
        ((event, entry),) = fetch(site, "manifest.json", key).json().items()
        seen.setdefault(event, entry["timestamp"])
        site.clock.advance(timedelta(milliseconds=200))
    site.clock.advance(SETTLED)
    ((event, entry),) = fetch(site, "manifest.json", key).json().items()
    assert entry["timestamp"] > seen[event]
    assert values(fetched(site, key)) == {"+66810000031", "+66810000032"}


def test_nobody_reads_what_is_not_theirs(site: TaxiiSite) -> None:
    owner, other = site.join("MY"), site.join("LA")
    one = phone(site, 7)
    site.publish("MY", one)
    (number,) = fetch(site, "manifest.json", owner).json()
    assert fetch(site, "manifest.json", other).json() == {}
    assert fetch(site, "hashes.csv", other).text == ""
    hidden = fetch(site, f"{number}.json", other)
    absent = fetch(site, f"{uuid.uuid4()}.json", other)
    assert (hidden.status_code, hidden.json()) == (404, absent.json())
    for name in ("x.json", f"{number}.jsonx", f"{number.upper()}.json", "manifest.json.json"):
        assert fetch(site, name, owner).status_code == 404, name
    for key in (None, "", "nobodys", "Bearer", "Basic x", "x" * 5_000):
        assert fetch(site, "manifest.json", key).status_code == 401, key
    assert fetch(site, f"{number}.json", None).status_code == 401
    site.publish("LA", one)
    (same,) = fetch(site, "manifest.json", other).json()
    assert same != number, "two partners' events of a day are two"
    with site.uow.begin(SUPERVISOR) as tx:
        (agreement,) = site.agreements.list(tx, partner="MY").agreements
        site.agreements.suspend(tx, agreement.id, reason="a leak")
    assert fetch(site, "manifest.json", owner).json() == {}
    assert fetch(site, "hashes.csv", owner).text == ""
    assert fetch(site, f"{number}.json", owner).status_code == 404


def test_whole_feeds_are_not_asked_for_without_end(
    site: TaxiiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(misp, "MISP_WHOLE", Rate(name="a test", per_minute=1, burst=2))
    key = site.join("PH")
    asked = [fetch(site, name, key).status_code for name in ("manifest.json", "hashes.csv") * 2]
    assert asked == [200, 200, 429, 429]


def test_staff_have_no_feed(site: TaxiiSite) -> None:
    parties = site.agreements.partners._parties
    with site.uow.begin(ADMINISTRATOR) as tx:
        _, key = parties.add_user(tx, name="a clerk", role=next(iter(SUPERVISOR.roles)))
    assert fetch(site, "manifest.json", key).status_code == 403


def test_a_day_of_many_is_several_events(site: TaxiiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (feeds, serving):
        monkeypatch.setattr(module, "OBJECTS_PER_EVENT_MAX", 2)
    key = site.join("KH")
    site.publish("KH", *(phone(site, n) for n in range(5)))
    assert [len(event.objects) for event in fetched(site, key).values()] == [2, 2, 1]
    monkeypatch.setattr(serving, "VIEW_PAGE_MAX", 2)
    assert len(values(fetched(site, key))) == 5
    monkeypatch.setattr(serving, "FEED_OBJECTS_MAX", 4)
    assert fetch(site, "manifest.json", key).status_code == 413


def test_two_centres_exchange_a_feed_over_http(site: TaxiiSite) -> None:
    key = site.join("GIVER")
    shared = [phone(site, n) for n in (21, 22)]
    site.publish("GIVER", *shared)
    new = msgspec.structs.replace(FEED, partner="GIVER", url=f"{site.url}/misp", secret=key)
    with site.uow.begin(ADMINISTRATOR) as tx:
        added = site.collecting.polling.add(tx, new)
    assert (added.form, added.collection) == ("misp", "")
    site.clock.advance(SETTLED)
    site.desk.got.clear()
    site.collecting.polling.poll_due()
    left = site.shown("GIVER")
    assert {one.id: one for one in site.desk.got} == left, "as it was released"
    site.desk.got.clear()

    def again() -> list[str]:
        site.clock.advance(timedelta(minutes=2))
        site.collecting.polling.poll_due()
        site.hand()
        got = [one.id for one in site.desk.got]
        site.desk.got.clear()
        return got

    assert again() == []
    newer = phone(site, 23, created=site.clock.now() - 3 * DAY)
    site.publish("GIVER", newer)
    site.clock.advance(serving.SETTLED_AFTER)
    assert again() == [newer.id], "only the event that changed"
    with site.uow.read(SUPERVISOR) as tx:
        (found,) = [one for one in site.collecting.polling.list(tx).feeds if one.id == added.id]
        receipts = site.collecting.handing.received(tx, partner="GIVER").receipts
    assert (found.failures, found.last_error) == (0, None)
    assert [(one.objects, one.kept, one.lost) for one in receipts] == [(2, 2, 0), (1, 1, 0)]
    with site.uow.begin(ADMINISTRATOR) as tx:
        site.collecting.polling.remove(tx, added.id)


# Others' feeds.


def attribute(value: str) -> dict[str, Any]:
    return {"uuid": str(uuid.uuid4()), "type": "domain", "value": value, "to_ids": True}


class Feed:
    """A feed as somebody's MISP writes it, by name."""

    def __init__(self, *domains: str) -> None:
        self.files: dict[str, bytes] = {}
        self.manifest: Any = {}
        for domain in domains:
            self.put(str(uuid.uuid4()), domain, stamp=1_767_571_200)

    def put(self, number: str, domain: str, *, stamp: int) -> str:
        event = {"uuid": number, "timestamp": str(stamp), "Attribute": [attribute(domain)]}
        self.files[f"{number}.json"] = json.dumps({"Event": event}).encode()
        self.manifest[number] = {"info": "x", "timestamp": str(stamp)}
        return number

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/")[2]
        if name == "manifest.json":
            return httpx.Response(200, json=self.manifest)
        data = self.files.get(name)
        return httpx.Response(404) if data is None else httpx.Response(200, content=data)


@pytest.fixture
def reader(site: TaxiiSite) -> Iterator[Callable[..., Reader]]:
    made: list[Reader] = []

    def make(answer: Callable[[httpx.Request], httpx.Response], **new: Any) -> Reader:
        made.append(Reader(site, answer, msgspec.structs.replace(FEED, **new)))
        site.desk.got.clear()
        return made[-1]

    yield make
    for one in made:
        one.end()


def domains(site: TaxiiSite) -> list[Any]:
    """What the receiver got since it was last looked at."""
    got = [one.fields["value"] for one in site.desk.got]
    site.desk.got.clear()
    return sorted(got, key=str)


def test_each_event_is_read_once_and_again_when_it_changed(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    feed = Feed("one-site.com", "two-site.com")
    read = reader(feed)
    assert read.poll().last_error is None
    assert domains(site) == ["one-site.com", "two-site.com"]
    assert {one.headers["authorization"] for one in read.remote.asked} == {"s3cret"}
    asked = len(read.remote.asked)
    read.poll()
    assert (len(read.remote.asked), domains(site)) == (asked + 1, [])
    number = next(iter(feed.manifest))
    feed.put(number, "three-site.com", stamp=1_767_571_300)
    feed.put(str(uuid.uuid4()), "late-site.com", stamp=1_700_000_000)
    read.poll()
    assert domains(site) == ["late-site.com", "three-site.com"], "one of long ago, shown late, too"
    assert site.desk.got == []
    assert read.got() == [], "nothing waits to be handed on twice"


def test_what_a_restored_partner_does_not_know_is_taken_back_until_it_says_it_again(
    reader: Callable[..., Reader], site: TaxiiSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(misp_polling, "LISTED_AT_ONCE_MAX", 1)
    feed = Feed("one-site.com", "two-site.com", "three-site.com")
    _, second, third = feed.manifest
    read = reader(feed)
    read.poll()
    came = {one.fields["value"]: one for one in site.desk.got}
    site.desk.got.clear()
    kept = (feed.manifest.pop(second), feed.files[f"{third}.json"])
    feed.files[f"{third}.json"] = b"{"
    with site.uow.begin(SYSTEM) as tx:
        read.polling.begin_again(tx, read.code)
    broken, feed.manifest = feed.manifest, None
    assert read.poll().failures == 1
    assert site.desk.got == [], "who does not answer takes nothing back"
    feed.manifest = broken
    site.clock.advance(timedelta(hours=1))
    assert read.poll().added_after is None
    gone = {came["two-site.com"].id, came["three-site.com"].id}
    assert {(one.id, one.revoked) for one in site.desk.got} == {(one, True) for one in gone}
    site.desk.got.clear()
    feed.manifest[second], feed.files[f"{third}.json"] = kept
    read.poll()
    assert {one.id: one for one in site.desk.got} == {one.id: one for one in came.values()}
    site.desk.got.clear()
    read.poll()
    assert site.desk.got == []


def test_a_password_goes_as_basic(reader: Callable[..., Reader]) -> None:
    read = reader(Feed("one-site.com"), username="aoc")
    read.poll()
    assert read.remote.asked[0].headers["authorization"].startswith("Basic ")


def test_one_broken_event_spoils_no_other(reader: Callable[..., Reader], site: TaxiiSite) -> None:
    feed = Feed("good-site.com")
    for content in (b"{", b'{"Event": {"uuid": 7}}'):
        number = str(uuid.uuid4())
        feed.manifest[number] = {"timestamp": 1_767_571_200}
        feed.files[f"{number}.json"] = content
    absent, odd = str(uuid.uuid4()), str(uuid.uuid4())
    feed.manifest[absent] = {"timestamp": 1_767_571_200}
    feed.put(odd, "future-site.com", stamp=10**15)
    read = reader(feed)
    after = read.poll()
    assert domains(site) == ["good-site.com"], "a time that is none loses its event alone"
    assert "1 events of its manifest are not there" in (after.last_error or "")
    with site.uow.read(SUPERVISOR) as tx:
        receipts = site.collecting.handing.received(tx, partner=read.code).receipts
    assert sorted((one.kept, one.lost) for one in receipts) == [(0, 1), (0, 1), (0, 1), (1, 0)]
    feed.put(absent, "there-site.com", stamp=1_767_571_200)
    site.clock.advance(timedelta(minutes=2))
    read.poll()
    assert domains(site) == ["there-site.com"], "what was not there comes later; the rest is known"


def test_what_the_receiver_refuses_keeps_nobody_waiting(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    read = reader(Feed("one-site.com"))
    site.desk.error = BadInput("it says what cannot be")
    assert read.poll().last_error is None
    site.desk.error = None
    read.poll()
    assert domains(site) == []
    with site.uow.read(SUPERVISOR) as tx:
        (one,) = site.collecting.handing.received(tx, partner=read.code).receipts
    assert (one.kept, one.lost) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"location": "https://elsewhere.example/manifest.json"}),
        httpx.Response(404),
        httpx.Response(401),
        httpx.Response(200, content=b"{"),
        httpx.Response(200, content=b'{"../secret": {"timestamp": 1}}'),
        httpx.Response(200, content=b" " * (MANIFEST_BYTES_MAX + 1)),
    ],
)
def test_a_wrong_answer_is_tried_later(
    reader: Callable[..., Reader], site: TaxiiSite, answer: httpx.Response
) -> None:
    def give(_: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    read = reader(give)
    after = read.poll()
    assert after.failures == 1
    assert "s3cret" not in (after.last_error or "s3cret")
    assert after.next_at == site.clock.now() + timedelta(minutes=2)
    assert len(read.remote.asked) == 1, "nowhere else"


def test_without_an_agreement_nobody_is_asked(
    reader: Callable[..., Reader], site: TaxiiSite
) -> None:
    read = reader(Feed("one-site.com"))
    with site.uow.begin(SUPERVISOR) as tx:
        (one,) = site.agreements.list(tx, partner=read.code).agreements
        site.agreements.suspend(tx, one.id, reason="it is looked into")
    read.poll()
    assert read.remote.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://misp.example/feed"},
        {"url": "http://127.0.0.1.example/feed"},
        {"collection": "c1"},
        {"publish": True},
        {"form": "taxii"},
    ],
)
def test_a_feed_that_cannot_be_is_refused(site: TaxiiSite, wrong: dict[str, Any]) -> None:
    if not site.has("FEEDER"):
        site.agree("FEEDER")
    new = msgspec.structs.replace(FEED, partner="FEEDER", **wrong)
    with site.uow.begin(ADMINISTRATOR) as tx, pytest.raises(BadInput):
        site.collecting.polling.add(tx, new)


def test_this_machines_own_address_needs_no_https(site: TaxiiSite) -> None:
    site.agree("HERE")
    for url in ("http://127.0.0.1:9/feed", "http://localhost:9/feed", "http://[::1]:9/feed"):
        with site.uow.begin(ADMINISTRATOR) as tx:
            polling = site.collecting.polling
            added = polling.add(tx, msgspec.structs.replace(FEED, partner="HERE", url=url))
            assert added.url == url
            polling.remove(tx, added.id)
