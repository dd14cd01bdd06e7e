"""Holds: whether an order may go out by itself or waits for a person.

Pure. Never believes `proof`: standing comes from the sender's key, the payer's institution, or a
proven control of the paying account.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from openaoc.reports.model import Channel


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one reported payment."""

    debtor_bank: str
    in_ledger: bool
    candidates: int = 0
    confirmed_by: str | None = None
    """The institution that confirmed the payment, under its own key."""
    control_proven: bool = False
    """The sender is proven to control the paying account."""

    def stands(self, own_key_of: str | None) -> bool:
        """Whether an order may go out by itself on this payment, reported under that key."""
        return self.in_ledger and _without_standing(self, own_key_of) is None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The decision with every reason that speaks against going out by itself."""

    kind: Literal["automatic", "needs_person"]
    why: tuple[str, ...]
    approvals_needed: int

    @property
    def automatic(self) -> bool:
        """Whether orders go out by themselves."""
        return self.kind == "automatic"


PARTNER_APPROVALS: Final = 2
"""A partner's word alone never holds anything here: two persons of ours have to agree."""


def decide(
    *,
    channel: Channel,
    own_key_of: str | None,
    payments: Sequence[PaymentFacts],
    four_eyes: bool = False,
    stopped_why: str | None = None,
) -> Standing:
    """Automatic only when every payment that is claimed has standing, and at least one is.

    `own_key_of`: the institution under whose own key the report came, None for a person's. A
    payment that was not found is not claimed: it neither holds anything nor stops the others.
    `stopped_why`: a person's word that nothing goes out by itself; no proof overrides it.
    """
    claimed = [p for p in payments if p.in_ledger]
    why: list[str] = []
    if channel is Channel.PARTNER:
        why.append("reported by a partner: a partner's word alone never holds anything")
    if not claimed:
        why.append("no payment is matched to a transfer in the ledger")
    if any(p.candidates > 1 and not p.in_ledger for p in payments):
        why.append("a payment fits several transfers: a person has to say which")
    why.extend(
        f"payment from {p.debtor_bank}: {reason}"
        for p in claimed
        if (reason := _without_standing(p, own_key_of))
    )
    if stopped_why is not None:
        why.append(stopped_why)
    if four_eyes:
        why.append("the legal rule asks for two persons")
    blocking = [w for w in why if not w.startswith("a payment fits")]
    automatic = not blocking
    partner = channel is Channel.PARTNER
    needed = 0 if automatic else (PARTNER_APPROVALS if partner or four_eyes else 1)
    return Standing(
        kind="automatic" if automatic else "needs_person",
        why=tuple(dict.fromkeys(why)),
        approvals_needed=needed,
    )


def _without_standing(payment: PaymentFacts, own_key_of: str | None) -> str | None:
    """Why this payment does not let an order go out by itself, or None when it does."""
    if own_key_of == payment.debtor_bank:
        return None
    if payment.confirmed_by == payment.debtor_bank:
        return None
    if payment.control_proven:
        return None
    if own_key_of is not None:
        return "the sender is not the payer's institution"
    return "the sender is not proven to control the paying account"
