"""Exchange, files: what a partner may have as a signed file, and its files in.

What leaves is the partner's view and nothing else. A file is taken whole or not at all; who brings
one that is not signed answers for it by name.
"""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from openaoc.channels.keys import EXERCISE, CentreKeys, is_of_exercise
from openaoc.channels.signing import BadSignature, parse_public_jwk, sign, verify
from openaoc.exchange.agreement import Agreement, Minimisation
from openaoc.exchange.files.jsonl import read_jsonl, write_jsonl
from openaoc.exchange.files.model import (
    FILE_BYTES_MAX,
    OBJECTS_MAX,
    FileMark,
    FileReceipt,
    Form,
    Header,
    Lost,
    NotSigned,
    broken,
)
from openaoc.exchange.files.packing import read_misp, read_stix
from openaoc.exchange.files.sheet import read_xlsx, write_xlsx
from openaoc.exchange.misp.feed import ORG_NAMESPACE, feed_of, org_of
from openaoc.exchange.model import NoAgreement
from openaoc.exchange.objects import ObjectKind, ReleasedObject
from openaoc.exchange.receiving import RECEIVED_AT_ONCE_MAX, Receiver
from openaoc.exchange.service import Exchange
from openaoc.exchange.stix.model import Identity, Profile, encode
from openaoc.exchange.stix.observables import Observing
from openaoc.exchange.stix.writing import Writing, bundle_of, supporting, write_object
from openaoc.kernel.actor import SYSTEM, Actor
from openaoc.parties.permissions import Permission, permits, require
from openaoc.storage.unit_of_work import Transaction, UnitOfWork

METHOD: Final = "FILE"
"""Stands where a request's signature has its method."""
SIGNED_WITHIN: Final = timedelta(days=30)
"""A file may lie about for so long before it is brought."""
LOST_SHOWN_MAX: Final = 200
VOUCHED_CHARACTERS_MIN: Final = 3
TAKEN: Final = "exchange.file.taken"
MADE: Final = "exchange.file.made"


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A file, its detached signature, and the mark behind which the next begins."""

    data: bytes
    signature: str
    objects: int
    mark: int
    more: bool
    lost: int


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was brought. `vouched`: why who brings it believes it, if it is not signed."""

    partner: str
    form: Form
    data: bytes
    signature: str | None = None
    vouched: str = ""


class Files:
    """The verbs. One instance per centre."""

    def __init__(
        self,
        *,
        uow: UnitOfWork,
        exchange: Exchange,
        receiver: Receiver,
        keys: CentreKeys,
        name: str,
        producer: Identity,
        country: str,
        desk: str = "",
    ) -> None:
        """`name`: the code under which partners know this centre; `producer`: itself as STIX.

        `country`: of accounts and numbers that name none. `desk`: whom to tell here that something
        in a file is wrong.
        """
        self._desk = desk
        self._uow = uow
        self._exchange = exchange
        self._receiver = receiver
        self._keys = keys
        self._name = name
        self._producer = producer
        self._country = country

    def _in_exercise(self) -> bool:
        return is_of_exercise(self._keys.current().kid)

    # Out.

    def export(self, tx: Transaction, partner: str, form: Form, *, after: int = 0) -> Exported:
        """What the partner may have, from behind a mark on, as a signed file.

        Its own user may ask for it, or who may release. Raises NoAgreement, NoSuchPartner.
        """
        if not permits(tx.actor, Permission.EXCHANGE_RECEIVE):
            require(tx.actor, Permission.EXCHANGE_RELEASE)
        agreement = self._agreement(tx, partner)
        page = self._exchange.view(tx, agreement.partner, after=after, limit=OBJECTS_MAX)
        objects = [one.object for one in page.objects]
        header = Header(
            source=(EXERCISE if self._in_exercise() else "") + self._name,
            to=agreement.partner,
            agreement=agreement.id,
            made_at=tx.now,
            objects=len(objects),
            mark=page.objects[-1].sequence if page.objects else after,
            onward=agreement.terms.onward.words,
            object_to=self._desk,
        )
        data, lost = self._written(header, objects, form=form, agreement=agreement)
        key = self._keys.current()
        tx.journal(
            action=MADE,
            subject=agreement.partner,
            after=FileMark(
                partner=agreement.partner,
                form=form.value,
                objects=len(objects),
                digest=hashlib.sha256(data).hexdigest(),
                signed_by=key.kid,
            ),
        )
        return Exported(
            data=data,
            signature=sign(
                data,
                key=key,
                method=METHOD,
                path=form.value,
                now=tx.now,
                audience=agreement.partner,
            ),
            objects=len(objects),
            mark=header.mark,
            more=page.more,
            lost=lost,
        )

    def _agreement(self, tx: Transaction, partner: str) -> Agreement:
        if tx.actor.partner is not None and tx.actor.partner != partner.upper():
            raise NoAgreement
        code = self._exchange.agreements.partners.found(tx, partner).code
        found = self._exchange.agreements.in_force(tx, code)
        if found is None:
            raise NoAgreement
        return found

    def _written(
        self,
        header: Header,
        objects: Sequence[ReleasedObject],
        *,
        form: Form,
        agreement: Agreement,
    ) -> tuple[bytes, int]:
        """The file's bytes, and how much of the objects has no place in this form."""
        if form is Form.JSONL:
            return write_jsonl(header, objects), 0
        if form is Form.XLSX:
            return write_xlsx(header, objects), 0
        if form is Form.MISP:
            org = org_of(self._name)
            feed = feed_of(objects, name=self._name, org=org, now=header.made_at)
            return _packed(feed.files, header), len(feed.lost)
        return self._stix(header, objects, agreement=agreement)

    def _stix(
        self, header: Header, objects: Sequence[ReleasedObject], *, agreement: Agreement
    ) -> tuple[bytes, int]:
        grant = agreement.terms.grants.get(ObjectKind.INDICATOR)
        value_form = Minimisation.AS_IS if grant is None else grant.fields.get("value")
        how = Writing(
            producer=self._producer,
            observing=Observing(profile=Profile.CORE, country=self._country),
            value_form=value_form or Minimisation.DROPPED,
        )
        written = [write_object(one, how) for one in objects]
        number = uuid.uuid5(ORG_NAMESPACE, f"{header.to}/{header.mark}/{header.made_at}")
        bundle = bundle_of(
            [
                *supporting(how, highest=agreement.terms.highest_marking),
                *(part for one in written for part in one.objects),
            ],
            number=str(uuid.UUID(bytes=number.bytes, version=4)),
        )
        return encode(bundle), sum(len(one.lost) for one in written)

    # In.

    def take(self, actor: Actor, given: Given) -> FileReceipt:
        """Take a partner's file whole, or not at all; everything the receipt names is durable.

        Its own user may bring it, or who may release. Raises NoAgreement, NotSigned, BadFile.
        """
        with self._uow.read(actor, purpose="whose file it is") as tx:
            if not permits(actor, Permission.EXCHANGE_RECEIVE):
                require(actor, Permission.EXCHANGE_RELEASE)
            agreement = self._agreement(tx, given.partner)
            signed_by = self._signer(tx, given, agreement)
        objects, lost = self._read(given)
        with self._uow.begin(SYSTEM, purpose="take a partner's file") as tx:
            agreement = self._agreement(tx, agreement.partner)
            taken = 0
            for start in range(0, len(objects), RECEIVED_AT_ONCE_MAX):
                part = objects[start : start + RECEIVED_AT_ONCE_MAX]
                refused = self._receiver.receive(tx, agreement=agreement, objects=part)
                lost += [Lost(path=one.path, reason=one.reason) for one in refused]
                gone = {one.path for one in refused}
                taken += sum(one.id not in gone for one in part)
            tx.journal(
                action=TAKEN,
                subject=agreement.partner,
                after=FileMark(
                    partner=agreement.partner,
                    form=given.form.value,
                    objects=len(objects),
                    digest=hashlib.sha256(given.data).hexdigest(),
                    signed_by=signed_by,
                    taken=taken,
                ),
                reason=given.vouched,
                authority=f"brought by {actor.id}",
            )
        return FileReceipt(
            partner=agreement.partner,
            form=given.form,
            signed_by=signed_by,
            objects=len(objects),
            taken=taken,
            lost=lost[:LOST_SHOWN_MAX],
            lost_count=len(lost),
        )

    def _signer(self, tx: Transaction, given: Given, agreement: Agreement) -> str | None:
        """The id of the partner's key that signed it; None where a person vouches for it."""
        if len(given.data) > FILE_BYTES_MAX:
            raise broken(given.form.value, f"more than {FILE_BYTES_MAX} bytes")
        if given.signature is None:
            # The partner's own user is signed in; anybody else answers for it by name.
            if tx.actor.partner is None and len(given.vouched.strip()) < VOUCHED_CHARACTERS_MIN:
                raise NotSigned("give its signature, or say why you vouch for it")
            return None
        keys = self._exchange.agreements.partners.verified_keys(tx, agreement.partner)
        try:
            return verify(
                given.data,
                header=given.signature.strip(),
                keys={key.kid: parse_public_jwk(key.jwk) for key in keys},
                method=METHOD,
                path=given.form.value,
                now=tx.now,
                audience=self._name,
                window=SIGNED_WITHIN,
            ).kid
        except BadSignature as error:
            raise NotSigned(error.detail) from error

    def _read(self, given: Given) -> tuple[list[ReleasedObject], list[Lost]]:
        reader = _READERS.get(given.form)
        if reader is not None:
            content = reader(given.data)
            if content.header.to not in ("", self._name):
                raise broken(given.form.value, f"is for {content.header.to[:40]!r}", column="to")
            if is_of_exercise(content.header.source) != self._in_exercise():
                reason = "one is of an exercise, the other is not"
                raise broken(given.form.value, reason, column="source")
            return list(content.objects), []
        read = read_misp if given.form is Form.MISP else read_stix
        return read(given.data, country=self._country)


_READERS: Final = {Form.JSONL: read_jsonl, Form.XLSX: read_xlsx}


def _packed(files: Mapping[str, bytes], header: Header) -> bytes:
    """The feed as one archive; the same content gives the same bytes."""
    out = io.BytesIO()
    moment = header.made_at
    stamp = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, stamp), files[name])
    return out.getvalue()
