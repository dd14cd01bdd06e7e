"""An exercise is marked under every signature, and never taken for what is real."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from openaoc.api.app import build_app
from openaoc.api.exercise import with_mark
from openaoc.api.status import METRICS_TYPE
from openaoc.channels.keys import EXERCISE, EXERCISE_HEADER, CentreKeys, is_of_exercise
from openaoc.channels.signing import sign
from openaoc.exchange.misp.client import MispClient
from openaoc.exchange.taxii.client import NotAnswered, Server, TaxiiClient
from openaoc.exchange.taxii.model import MEDIA_TYPE
from openaoc.kernel.errors import BadInput
from openaoc.kernel.settings import Settings
from openaoc.parties.service import Parties
from openaoc.public import contest
from openaoc.storage.database import Database
from openaoc.workflow.sharing import build_sharing
from tests.conftest import START
from tests.exchange.sharing_site import ADMINISTRATOR, Site

if TYPE_CHECKING:
    from openaoc.bootstrap import Centre


def test_every_signature_of_an_exercise_says_so(tmp_path: Path) -> None:
    keys = CentreKeys(tmp_path, exercise=True).open(START)
    signed = sign(b"{}", key=keys.current(), method="POST", path="/", now=START)
    head = base64.urlsafe_b64decode(signed.partition(".")[0] + "==")
    assert msgspec.json.decode(head)["kid"].startswith(EXERCISE)
    assert is_of_exercise(keys.rotate(START).kid)
    with pytest.raises(BadInput, match="share no keys"):
        CentreKeys(tmp_path).open(START)


def test_a_real_folder_of_keys_is_no_exercises(tmp_path: Path) -> None:
    assert not is_of_exercise(CentreKeys(tmp_path).open(START).current().kid)
    with pytest.raises(BadInput, match="share no keys"):
        CentreKeys(tmp_path, exercise=True).open(START)


@pytest.mark.parametrize("exercise", [True, False])
def test_neither_knows_a_key_of_the_other(
    site: Site, database: Database, tmp_path: Path, *, exercise: bool
) -> None:
    code = site.partner("VN")
    sharing = build_sharing(
        uow=site.uow,
        parties=Parties(keys=database.keys),
        keys=database.keys,
        home="TH",
        exercise=exercise,
    )
    partners = sharing.agreements.partners
    for there in (True, False):
        keys = CentreKeys(tmp_path / str(there), exercise=there).open(START)
        jwk = msgspec.json.encode(keys.current().public()).decode()
        with site.uow.begin(ADMINISTRATOR) as tx:
            if there is exercise:
                assert partners.add_key(tx, code, jwk=jwk).kid == keys.current().kid
            else:
                with pytest.raises(BadInput, match="no key of each other"):
                    partners.add_key(tx, code, jwk=jwk)


def test_what_people_and_clients_read_of_an_exercise_says_so() -> None:
    for exercise in (True, False):
        settings = Settings(exercise=exercise)
        app = build_app(cast("Centre", SimpleNamespace(settings=settings)), pages=contest.ROUTES)
        with TestClient(app) as client:
            page = client.get("/contest?lang=en")
        assert page.status_code == 200
        assert ("EXERCISE" in page.text) is exercise
        assert ("nothing here is real" in page.text) is exercise
        assert page.headers.get(EXERCISE_HEADER) == ("true" if exercise else None)
        assert int(page.headers["content-length"]) == len(page.content)
    letter = with_mark(b"We ask you", kind="text/plain; charset=utf-8").decode()
    assert letter.startswith("EXERCISE")
    assert letter.endswith("We ask you")
    for kind in ("application/json", METRICS_TYPE):
        assert with_mark(b"{}", kind=kind) == b"{}"


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
def test_an_exercise_and_a_real_centre_read_no_feed_of_each_other(
    *, ours: bool, theirs: bool
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": MEDIA_TYPE, **({EXERCISE_HEADER: "true"} if theirs else {})}
        return httpx.Response(200, headers=headers, content=b'{"collections":[]}')

    server = Server(url="https://partner.example/taxii2", username="us", secret="word")
    transport = httpx.MockTransport(answer)
    taxii = TaxiiClient(transport, exercise=ours)
    misp = MispClient(transport, exercise=ours)
    if ours is theirs:
        assert taxii.collections(server) == []
        assert misp.fetch(server, "manifest.json", bytes_max=1_000)
        return
    with pytest.raises(NotAnswered, match="take nothing of each other"):
        taxii.collections(server)
    with pytest.raises(NotAnswered, match="take nothing of each other"):
        misp.fetch(server, "manifest.json", bytes_max=1_000)
