"""Files: signed, whole or not at all, and everything wrong with one is named by its place."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from stix2validator import validate_string

from openaoc.channels.keys import CentreKeys
from openaoc.channels.signing import SigningKey, new_signing_key, sign, verify
from openaoc.exchange.agreement import Agreement, Grant, Onward, OnwardKind
from openaoc.exchange.files.jsonl import read_jsonl, write_jsonl
from openaoc.exchange.files.model import BadFile, Content, Form, Header, NotSigned
from openaoc.exchange.files.service import METHOD, Files, Given
from openaoc.exchange.files.sheet import read_xlsx, write_xlsx
from openaoc.exchange.indicators import IndicatorPublisher, IndicatorReceiver
from openaoc.exchange.model import KeyVerification, NoAgreement
from openaoc.exchange.objects import FIELDS, ObjectKind, ReleasedObject
from openaoc.indicators.model import Said, SourceKind
from openaoc.indicators.service import Indicators
from openaoc.kernel.actor import SYSTEM
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Identifier, Kind
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.parties.permissions import NotPermitted
from openaoc.workflow.collecting import producer_of
from tests.conftest import START
from tests.exchange.sharing_site import (
    ADMINISTRATOR,
    AS_IS,
    DESK,
    INVESTIGATOR,
    OFFICER,
    SUPERVISOR,
    Site,
    jwk_of,
    partner_user,
)
from tests.exchange.test_misp import released

HOME = "OPENAOC-TH"
VERBS = Indicators()
PHONE = Identifier(kind=Kind.PHONE, value="+66812345678")
MULE = Identifier(kind=Kind.BANK_ACCOUNT, value="SCB:0012345678")
FIELDS_GIVEN = {n: AS_IS for n in FIELDS[ObjectKind.INDICATOR] if n != "holder_name"}
GRANT = Grant(fields=FIELDS_GIVEN, identifier_kinds=("phone", "bank_account"))


def header(count: int) -> Header:
    return Header(source="SG", to=HOME, agreement="SG.1", made_at=START, objects=count)


# The forms.


@given(st.lists(released(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_json_lines_come_back_the_same(objects: list[ReleasedObject]) -> None:
    about = header(len(objects))
    assert read_jsonl(write_jsonl(about, objects)) == Content(header=about, objects=tuple(objects))


@given(st.lists(released(), max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_spreadsheet_comes_back_the_same_or_is_not_made(objects: list[ReleasedObject]) -> None:
    about = header(len(objects))
    try:
        data = write_xlsx(about, objects)
    except BadInput:
        return
    found = read_xlsx(data)
    assert found.header == about
    assert {one.id: one for one in found.objects} == {one.id: one for one in objects}


def word(value: str, kind: str = "phone") -> ReleasedObject:
    return ReleasedObject(
        id=f"indicator--{uuid.uuid4()}",
        kind=ObjectKind.INDICATOR,
        created=START,
        modified=START,
        marking=Marking.AMBER,
        fields={"identifier_kind": kind, "value": value},
    )


WORDS = [word(PHONE.value), word(MULE.value, "bank_account")]


def test_a_spreadsheet_keeps_zeros_and_has_no_formula() -> None:
    one = word("=cmd|' /C calc'!A0", "line")
    book = load_workbook(io.BytesIO(write_xlsx(header(2), [WORDS[1], one])))
    cells = [cell for row in book["indicator"].iter_rows(min_row=2) for cell in row]
    assert {cell.data_type for cell in cells if cell.value} == {"s"}
    assert MULE.value in {cell.value for cell in cells}


def edited(data: bytes, line: int, change: Callable[[bytes], bytes]) -> bytes:
    lines = data.splitlines()
    lines[line] = change(lines[line])
    return b"\n".join(lines) + b"\n"


GOOD = write_jsonl(header(2), WORDS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\xff\n", "line 1"),
        (GOOD[: len(GOOD) // 2], "line"),
        (b"\n".join(GOOD.splitlines()[:2]), "there are 1: the file is cut short"),
        (edited(GOOD, 0, lambda line: line.replace(b'"version":1', b'"version":2')), "version"),
        (edited(GOOD, 1, lambda line: line.replace(b"phone", b"ph\x00ne")), "line 2"),
        (edited(GOOD, 2, lambda line: line.replace(b'"value"', b'"secret"')), "line 3, fields.sec"),
        (edited(GOOD, 2, lambda line: line.replace(b"indicator--", b"campaign--")), "line 3, id"),
        (edited(GOOD, 1, lambda _: b"[" * 10_000), "line 2"),
        (edited(GOOD, 1, lambda line: line + b" " * (2 << 20)), "line 2: longer"),
    ],
)
def test_a_wrong_line_is_named(data: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read_jsonl(data)


def test_everything_wrong_is_said_at_once() -> None:
    data = edited(GOOD, 1, lambda _: b"{}")
    data = edited(data, 2, lambda line: line.replace(b'"amber"', b'"pink"'))
    with pytest.raises(BadFile) as refused:
        read_jsonl(data)
    assert [problem.line for problem in refused.value.problems] == [2, 3]


def with_cell(sheet: str, cell: str, value: object) -> bytes:
    book = load_workbook(io.BytesIO(write_xlsx(header(2), WORDS)))
    book[sheet][cell] = value
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04", "no .xlsx"),
        (b"", "no .xlsx"),
        (with_cell("indicator", "A1", "number"), "line 1, number: no such column"),
        (with_cell("indicator", "B2", 5), "line 2, created: is not text"),
        (with_cell("indicator", "D3", "pink"), "line 3, marking"),
        (with_cell("indicator", "E2", "no"), "line 2, revoked"),
        (with_cell("indicator", "A2", "x--1"), "line 2, id"),
        (with_cell("about", "B5", "9"), "says 9 objects|about"),
    ],
)
def test_a_wrong_cell_is_named(data: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        read_xlsx(data)


# Between centres.


class Partner:
    """A partner with an agreement and a key of its own."""

    def __init__(self, site: Site) -> None:
        self.key: SigningKey = new_signing_key()
        site.partner("SG")
        raw = self.key.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        jwk = json.dumps({**json.loads(jwk_of(raw)), "kid": self.key.kid})
        with site.uow.begin(ADMINISTRATOR) as tx:
            added = site.agreements.partners.add_key(tx, "SG", jwk=jwk)
        said = KeyVerification(fingerprint=added.fingerprint, compared_with="Ms Tan, by phone")
        with site.uow.begin(SUPERVISOR) as tx:
            site.agreements.partners.verify_key(tx, "SG", kid=added.kid, said=said)
        onward = Onward(kind=OnwardKind.NAMED, to=("Fraud desk", "Bank"))
        site.agree("SG", grants={ObjectKind.INDICATOR: GRANT}, onward=onward)

    def signed(self, site: Site, data: bytes, form: Form, *, to: str = HOME) -> str:
        return sign(
            data,
            key=self.key,
            method=METHOD,
            path=form.value,
            now=site.clock.now(),
            audience=to,
        )


@pytest.fixture
def centre_keys(tmp_path: Path) -> CentreKeys:
    return CentreKeys(tmp_path / "centre").open(START)


@pytest.fixture
def files(site: Site, centre_keys: CentreKeys, tmp_path: Path) -> Files:
    from openaoc.storage.keyring import Keyring

    site.sharing.catalogue.register(IndicatorPublisher(VERBS))
    return Files(
        uow=site.uow,
        exchange=site.exchange,
        receiver=IndicatorReceiver(VERBS, canaries=site.sharing.canaries, region="TH"),
        keys=centre_keys,
        name=HOME,
        producer=producer_of(Keyring(tmp_path / "ring"), home="TH"),
        country="TH",
        desk="duty@centre.example",
    )


def publish(site: Site) -> None:
    words = [
        Said(
            identifier=one,
            kind=SourceKind.INSTITUTION,
            source="institution:KBANK",
            ref="rep_1",
            at=site.clock.now(),
            said_at=site.clock.now(),
            offence=Offence.JOB,
        )
        for one in (PHONE, MULE)
    ]
    with site.uow.begin(SYSTEM) as tx:
        VERBS.hear(tx, words)
    site.sharing.publishing.publish_due()


@pytest.mark.parametrize("form", list(Form))
def test_what_a_partner_may_have_leaves_signed(
    site: Site, files: Files, centre_keys: CentreKeys, form: Form
) -> None:
    Partner(site)
    publish(site)
    with site.uow.begin(INVESTIGATOR) as tx:
        made = files.export(tx, "sg", form)
        later = files.export(tx, "SG", form, after=made.mark)
    assert (made.objects, made.lost, made.more, later.objects) == (2, 0, False, 0)
    verify(
        made.data,
        header=made.signature,
        keys={key.kid: key for key in centre_keys.jwks(START).keys},
        method=METHOD,
        path=form.value,
        now=site.clock.now(),
        audience="SG",
    )
    text = made.data
    if form in (Form.XLSX, Form.MISP):
        with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
            text = b"".join(archive.read(name) for name in archive.namelist())
    assert PHONE.value.encode() in text
    if form in (Form.JSONL, Form.XLSX):
        assert b"duty@centre.example" in text, "whom to tell here, not the partner's own desk"
        assert DESK.email.encode() not in text
        assert b"named: Fraud desk; Bank" in text, "who may have it next"
    if form is Form.STIX:
        assert validate_string(made.data.decode()).is_valid


def test_who_may_ask_for_a_file(site: Site, files: Files) -> None:
    Partner(site)
    with site.uow.begin(partner_user("SG")) as tx:
        assert files.export(tx, "SG", Form.JSONL).objects == 0
        with pytest.raises(NoAgreement):
            files.export(tx, "VN", Form.JSONL)
    with site.uow.begin(ADMINISTRATOR) as tx, pytest.raises(NotPermitted):
        files.export(tx, "SG", Form.JSONL)
    (agreement,) = [a for a in _agreements(site) if a.state.value == "active"]
    with site.uow.begin(OFFICER) as tx:
        site.agreements.suspend(tx, agreement.id, reason="looking into it")
    with site.uow.begin(INVESTIGATOR) as tx, pytest.raises(NoAgreement):
        files.export(tx, "SG", Form.JSONL)


def _agreements(site: Site) -> list[Agreement]:
    with site.uow.read(OFFICER) as tx:
        return list(site.agreements.list(tx).agreements)


@pytest.mark.parametrize("form", list(Form))
def test_a_partners_file_is_taken_as_its_word(site: Site, files: Files, form: Form) -> None:
    partner = Partner(site)
    publish(site)
    with site.uow.begin(INVESTIGATOR) as tx:
        shape = files.export(tx, "SG", form).data
        for one in VERBS.find(tx, [PHONE, MULE]):
            assert one.confidence == 50
    # As another centre would have written it: other ids, for us.
    with site.uow.begin(INVESTIGATOR) as tx:
        ids = {one.id for one in VERBS.find(tx, [PHONE, MULE])}
    data = _as_theirs(shape, form, ids)
    given = Given(partner="SG", form=form, data=data, signature=partner.signed(site, data, form))
    receipt = files.take(INVESTIGATOR, given)
    assert (receipt.taken, receipt.signed_by) == (2, partner.key.kid)
    with site.uow.read(INVESTIGATOR) as tx:
        found = VERBS.find(tx, [PHONE, MULE])
        assert {one.confidence for one in found} == {65}  # 1 - 0.5 * 0.7
        assert files.take(INVESTIGATOR, given).taken == 2
    with site.uow.read(INVESTIGATOR) as tx:
        again = VERBS.find(tx, [PHONE, MULE])
    assert {one.confidence for one in again} == {65}


def _as_theirs(data: bytes, form: Form, ids: set[str]) -> bytes:
    def renamed(part: bytes) -> bytes:
        for one in ids:
            old = one.partition("--")[2].encode()
            part = part.replace(old, str(uuid.uuid5(uuid.NAMESPACE_DNS, one)).encode())
        return part.replace(b'"to":"SG"', f'"to":"{HOME}"'.encode())

    if form in (Form.JSONL, Form.STIX):
        return renamed(data)
    if form is Form.XLSX:
        book = load_workbook(io.BytesIO(data))
        for sheet in book:
            for row in sheet.iter_rows():
                for cell in row:
                    if isinstance(cell.value, str):
                        cell.value = renamed(cell.value.encode()).decode()
        (target,) = [row[1] for row in book["about"].iter_rows() if row[0].value == "to"]
        target.value = HOME
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, renamed(old.read(name)))
    return out.getvalue()


def test_a_file_that_is_not_the_partners_is_refused(site: Site, files: Files) -> None:
    partner = Partner(site)
    signature = partner.signed(site, GOOD, Form.JSONL)
    wrong = [
        Given(partner="SG", form=Form.JSONL, data=GOOD),
        Given(partner="SG", form=Form.JSONL, data=GOOD + b"\n", signature=signature),
        Given(partner="SG", form=Form.XLSX, data=GOOD, signature=signature),
        Given(
            partner="SG",
            form=Form.JSONL,
            data=GOOD,
            signature=partner.signed(site, GOOD, Form.JSONL, to="OPENAOC-KH"),
        ),
        Given(partner="SG", form=Form.JSONL, data=GOOD, signature="nonsense"),
    ]
    for given_file in wrong:
        with pytest.raises(NotSigned):
            files.take(INVESTIGATOR, given_file)
    with pytest.raises(NotPermitted):
        files.take(ADMINISTRATOR, Given(partner="SG", form=Form.JSONL, data=GOOD))
    with pytest.raises(NoAgreement):
        files.take(partner_user("VN"), Given(partner="SG", form=Form.JSONL, data=GOOD))
    with site.uow.read(INVESTIGATOR) as tx:
        assert VERBS.find(tx, [PHONE]) == []


def test_a_person_may_answer_for_a_file_and_the_partners_user_is_known(
    site: Site, files: Files
) -> None:
    Partner(site)
    vouched = Given(partner="SG", form=Form.JSONL, data=GOOD, vouched="handed over by Ms Tan")
    assert files.take(INVESTIGATOR, vouched).taken == 2
    drill = GOOD.replace(b'"source":"SG"', b'"source":"EXERCISE-SG"', 1)
    with pytest.raises(BadFile, match="exercise"):
        files.take(INVESTIGATOR, msgspec.structs.replace(vouched, data=drill))
    own = Given(partner="SG", form=Form.JSONL, data=GOOD)
    assert files.take(partner_user("SG"), own).signed_by is None
    with site.uow.read(SYSTEM) as tx:
        rows = tx.connection.exec_driver_sql(
            "select body from journal_rows where action = 'exchange.file.taken' order by id"
        ).scalars()
        first = str(next(iter(rows)))
    assert "Ms Tan" in first
    assert f"brought by {INVESTIGATOR.id}" in first
    assert PHONE.value not in first


def test_nothing_of_a_broken_file_is_taken(site: Site, files: Files) -> None:
    Partner(site)
    broken = edited(GOOD, 2, lambda _: b"{}")
    with pytest.raises(BadFile):
        files.take(INVESTIGATOR, Given(partner="SG", form=Form.JSONL, data=broken, vouched="sure"))
    elsewhere = write_jsonl(msgspec.structs.replace(header(2), to="OPENAOC-KH"), WORDS)
    not_ours = Given(partner="SG", form=Form.JSONL, data=elsewhere, vouched="sure")
    with pytest.raises(BadFile, match="is for"):
        files.take(INVESTIGATOR, not_ours)
    for form in (Form.MISP, Form.STIX):
        with pytest.raises(BadFile):
            files.take(INVESTIGATOR, Given(partner="SG", form=form, data=b"PK{", vouched="sure"))
    with site.uow.read(INVESTIGATOR) as tx:
        assert VERBS.find(tx, [PHONE]) == []
