"""Take-downs: a request as a document, for partners with no system: XARF 4 JSON, or a letter.

Pure; made of what was released and nothing else. XARF: https://xarf.org (core and content/fraud).
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec

from openaoc.exchange.objects import ReleasedObject
from openaoc.exchange.takedowns.collateral import is_number
from openaoc.exchange.takedowns.model import Takedown
from openaoc.exchange.takedowns.saying import said_of
from openaoc.kernel.clock import format_time
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.kernel.offences import Offence

XARF_VERSION: Final = "4.2.0"
DESCRIPTION_CHARACTERS_MAX: Final = 1_000


class Form(enum.StrEnum):
    """In which form."""

    XARF = "xarf"
    TEXT = "text"


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """XARF's contact_info: who reports, and where it is reached."""

    org: str
    contact: str
    domain: str


class Xarf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An XARF 4 report of category content, type fraud. `domain`: None for a bare address."""

    xarf_version: str
    report_id: str
    timestamp: str
    reporter: Contact
    sender: Contact
    source_identifier: str
    category: str
    type: str
    evidence_source: str
    url: str
    domain: str | None = None
    fraud_type: str
    description: str
    tags: tuple[str, ...]


FRAUD_TYPES: Final[dict[Offence, str]] = {
    Offence.PURCHASE: "shopping",
    Offence.ORGANISED_PURCHASE: "shopping",
    Offence.JOB: "employment",
    Offence.LOAN: "advance_fee",
    Offence.INVESTMENT: "investment",
    Offence.IMPERSONATION: "government_impersonation",
    Offence.REWARD: "lottery",
    Offence.REMOTE_CONTROL: "tech_support",
    Offence.ROMANCE: "romance",
    Offence.DIGITAL_ASSET: "cryptocurrency",
    Offence.PONZI: "investment",
}
"""XARF's word for an offence; all others are its `other`."""

_LETTER: Final = """\
Reference / เลขอ้างอิง: {id} (revision {revision})
From / จาก: {org} <{contact}>

We ask you to act on the following, which our investigation found to be used for scams.
ขอให้ท่านดำเนินการกับสิ่งต่อไปนี้ ซึ่งจากการสืบสวนพบว่าใช้ในการหลอกลวง

  {kind}: {value}
  asked / ขอให้: {asks}
  scam / ประเภท: {scams}
  why / เหตุผล: {reason}
  legal basis / ฐานกฎหมาย: {basis}

Please acknowledge by {acknowledge_by} and act by {act_by} (UTC).
โปรดตอบรับภายใน {acknowledge_by} และดำเนินการภายใน {act_by} (เวลา UTC)

Answer to {contact} with this reference: what was done (for example removed, suspended, blocked) and
when, or why not. We ask for nothing beyond what your law and your terms let you do.
โปรดตอบกลับที่ {contact} โดยอ้างเลขข้างต้น ว่าได้ทำอะไร เมื่อใด หรือเหตุที่ทำไม่ได้

If the owner objects, pass it on to {contact}: another person decides, and what was wrong is taken
back. หากเจ้าของคัดค้าน โปรดส่งต่อมาที่ {contact}
"""
_WITHDRAWN: Final = """\
Reference / เลขอ้างอิง: {id} (revision {revision})
From / จาก: {org} <{contact}>

We withdraw this request: {kind} {value}. Please restore what you took down.
ขอถอนคำขอนี้ โปรดคืนสภาพสิ่งที่ได้ระงับไว้
"""


def document(one: Takedown, *, form: Form, centre: str, contact: str) -> str:
    """The request as text to be handed over; `contact` is the centre's own email address.

    Raises Conflict for what was not released, BadInput where the form cannot say it.
    """
    if one.released is None:
        raise Conflict("nothing has left yet: it is approved first, and the agreement must let it")
    if "@" not in contact:
        raise BadInput("set OPENAOC_CONTACT to the address that answers", where="contact")
    if form is Form.XARF:
        report = _xarf(one, said_of(one), centre=centre, contact=contact)
        return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
    return _letter(one, said_of(one), centre=centre, contact=contact)


def _xarf(one: Takedown, left: ReleasedObject, *, centre: str, contact: str) -> Xarf:
    kind, value = str(left.fields["identifier_kind"]), str(left.fields["value"])
    if kind not in ("url", "domain"):
        raise BadInput("XARF is for sites and apps; take the letter", where="form")
    if one.state.value in ("withdrawn", "restored"):
        raise BadInput("XARF takes nothing back; take the letter", where="form")
    url = value if kind == "url" else f"http://{value}/"
    host = urlsplit(url).hostname or ""
    who = Contact(org=centre, contact=contact, domain=contact.rpartition("@")[2])
    scams = _texts(left, "scam_types")
    types = [FRAUD_TYPES[o] for o in Offence if o.value in scams and o in FRAUD_TYPES]
    words = f"{left.fields.get('reason', '')} Asked: {', '.join(_texts(left, 'asks'))}."
    return Xarf(
        xarf_version=XARF_VERSION,
        report_id=_report_id(one),
        timestamp=str(left.fields.get("last_seen") or format_time(one.sent_at or left.modified)),
        reporter=who,
        sender=who,
        source_identifier=host,
        category="content",
        type="fraud",
        evidence_source="researcher_analysis",
        url=url,
        domain=None if is_number(host) else host,
        fraud_type=types[0] if types else "other",
        description=words.strip()[:DESCRIPTION_CHARACTERS_MAX],
        tags=(
            f"openaoc:{one.id}",
            f"openaoc:revision-{one.revision}",
            f"openaoc:target-{one.target.value}",
        ),
    )


def _report_id(one: Takedown) -> str:
    """Another for each time it is asked: a report that was seen is not looked at again."""
    if one.revision <= 1:
        return one.id.partition("--")[2]
    digest = hashlib.sha256(f"{one.id} {one.revision}".encode("ascii")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _letter(one: Takedown, left: ReleasedObject, *, centre: str, contact: str) -> str:
    fields = left.fields
    withdrawn = one.state.value in ("withdrawn", "restored")
    return (_WITHDRAWN if withdrawn else _LETTER).format(
        id=one.id,
        revision=one.revision,
        org=centre,
        contact=contact,
        kind=fields["identifier_kind"],
        value=_defanged(str(fields["value"]), kind=str(fields["identifier_kind"])),
        asks=", ".join(_texts(left, "asks")),
        scams=", ".join(_texts(left, "scam_types")),
        reason=fields.get("reason", ""),
        basis=fields.get("legal_basis", ""),
        acknowledge_by=_moment(one.acknowledge_by),
        act_by=_moment(one.act_by),
    )


def _texts(left: ReleasedObject, name: str) -> tuple[str, ...]:
    value = left.fields.get(name, ())
    return value if isinstance(value, tuple) else ()


def _defanged(value: str, *, kind: str) -> str:
    """A letter may be opened with a click: an address in it leads nowhere."""
    if kind not in ("url", "domain"):
        return value
    return value.replace("http", "hxxp", 1).replace(".", "[.]")


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M")
