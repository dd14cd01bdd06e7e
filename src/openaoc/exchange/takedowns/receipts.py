"""Take-downs: receipts of what was done: read, checked, believed by signature, kept to the byte.

A receipt repeated changes nothing; an older one is late and changes nothing either.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from openaoc.channels.signing import parse_public_jwk, verify
from openaoc.exchange.partners import Partners
from openaoc.exchange.takedowns.book import found, moved
from openaoc.exchange.takedowns.clocks import takedown_rules
from openaoc.exchange.takedowns.model import (
    RECEIPT_BYTES_MAX,
    RECEIPT_METHOD,
    RECEIPTS_MAX,
    STEPS,
    Answer,
    Done,
    KeptReceipt,
    NoSuchTakedown,
    Outcome,
    Receipt,
    ReceiptTaken,
    SignedReceipt,
    Takedown,
    Target,
)
from openaoc.kernel.errors import BadInput, Conflict
from openaoc.parties.permissions import Permission, require
from openaoc.storage.unit_of_work import Transaction

OWN_LAW: Final = (Done.FROZEN, Done.RESTRICTED)
"""What a bank may do under its own law though nobody asks for it."""
SIGNED_WITHIN: Final = timedelta(days=30)
"""A receipt may be signed so long before it arrives: a line may be down."""


class Receipts:
    """Takes receipts. One instance per centre."""

    def __init__(self, *, partners: Partners, name: str) -> None:
        """`name`: the code under which partners know this centre: receipts are signed for it."""
        self._partners = partners
        self._name = name

    def take(
        self,
        tx: Transaction,
        partner: str,
        *,
        body: bytes,
        signature: str | None,
        by: str,
        about: str | None = None,
    ) -> Takedown:
        """Keep what the partner says it did; the take-down after it.

        `by`: who brought it, a user of the partner's or the line; `about`: on which take-down, if
        that is known beside the receipt. Raises NoSuchTakedown for what
        this partner was not asked, BadSignature, BadInput, Conflict for another word under a
        number that was used, WrongTakedownStep.
        """
        receipt = read_receipt(body)
        if about not in (None, receipt.takedown):
            raise BadInput("is about another take-down", where="takedown")
        one = self._asked(tx, partner, receipt)
        kid = None if signature is None else self._signer(tx, partner, receipt, body, signature)
        kept = KeptReceipt(
            receipt=receipt,
            by=by,
            received_at=tx.now,
            body=body.decode("utf-8"),
            signature=signature or "",
            kid=kid,
        )
        return self._keep(tx, one, kept)

    def signed(self, tx: Transaction, partner: str, said: SignedReceipt) -> ReceiptTaken:
        """A receipt on the line between centres."""
        body = said.body.encode()
        receipt = read_receipt(body)
        try:
            self.take(tx, partner, body=body, signature=said.signature, by=f"partner:{partner}")
        except NoSuchTakedown:
            return ReceiptTaken(number=receipt.number, known=False)
        return ReceiptTaken(number=receipt.number, known=True)

    def repeated(self, tx: Transaction, partner: str, said: SignedReceipt) -> None:
        """A receipt that came with another answer: only one that is news is looked at."""
        receipt = read_receipt(said.body.encode())
        one = self._asked(tx, partner, receipt)
        if receipt.number > last_number(one):
            self.signed(tx, partner, said)

    def typed(self, tx: Transaction, takedown_id: str, answer: Answer) -> Takedown:
        """A person types in what the partner told; nobody signed it, and the person answers."""
        require(tx.actor, Permission.TAKEDOWN_WORK)
        one = found(tx, takedown_id, lock=True)
        answer.check(now=tx.now)
        if one.released is None:
            raise Conflict("nothing was asked of anybody")
        receipt = numbered(answer, takedown=one.id, number=last_number(one) + 1)
        return self._keep(tx, one, KeptReceipt(receipt=receipt, by=tx.actor.id, received_at=tx.now))

    def _asked(self, tx: Transaction, partner: str, receipt: Receipt) -> Takedown:
        one = found(tx, receipt.takedown, lock=True)
        if one.partner != partner or one.released is None:
            raise NoSuchTakedown(receipt.takedown)
        return one

    def _signer(
        self, tx: Transaction, partner: str, receipt: Receipt, body: bytes, signature: str
    ) -> str:
        keys = self._partners.verified_keys(tx, partner)
        return verify(
            body,
            header=signature.strip(),
            keys={key.kid: parse_public_jwk(key.jwk) for key in keys},
            method=RECEIPT_METHOD,
            path=receipt.takedown,
            now=tx.now,
            audience=self._name,
            window=SIGNED_WITHIN,
        ).kid

    @staticmethod
    def _keep(tx: Transaction, one: Takedown, kept: KeptReceipt) -> Takedown:
        receipt, last = kept.receipt, last_number(one)
        if receipt.number <= last:
            same = next((k for k in one.receipts if k.receipt.number == receipt.number), None)
            if same is not None and same.receipt != receipt:
                raise Conflict("another receipt has this number", where="number")
            return one
        receipt.check(now=tx.now)
        allowed = {*takedown_rules().target[one.target].asks}
        if one.target is Target.MONEY_ACCOUNT:
            allowed.update(OWN_LAW)
        strange = [done.value for done in receipt.done if done not in allowed]
        if strange:
            raise BadInput(f"of a {one.target.value} nobody does {strange[0]}", where="done")
        if len(one.receipts) >= RECEIPTS_MAX:
            raise Conflict(f"at most {RECEIPTS_MAX} receipts")
        acted = receipt.outcome in (Outcome.DONE, Outcome.PARTLY)
        hours = takedown_rules().target[one.target].verify_hours
        return moved(
            tx,
            one,
            STEPS[receipt.outcome],
            reason=receipt.reason,
            receipts=(*one.receipts, kept),
            done_at=(receipt.at or tx.now) if acted else one.done_at,
            look_at=tx.now + timedelta(hours=hours) if acted else one.look_at,
            why=receipt.reason,
        )


def numbered(answer: Answer, *, takedown: str, number: int) -> Receipt:
    """The answer as a receipt."""
    fields = {name: getattr(answer, name) for name in answer.__struct_fields__}
    return Receipt(**fields, takedown=takedown, number=number)


def last_number(one: Takedown) -> int:
    """The partner's last word's number; 0 for none."""
    return one.receipts[-1].receipt.number if one.receipts else 0


def read_receipt(body: bytes) -> Receipt:
    """A receipt's JSON. Raises BadInput."""
    if len(body) > RECEIPT_BYTES_MAX:
        raise BadInput(f"more than {RECEIPT_BYTES_MAX} bytes", where="receipt")
    try:
        receipt = msgspec.json.decode(body, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(str(error), where="receipt") from error
    if "\0" in receipt.reason + receipt.reference:
        raise BadInput("contains a NUL character", where="receipt")
    return receipt
