"""Scam offences: the closed list of purposes for which anything is gathered or shared.

The police's fourteen kinds by their numbers, the account given away to be used, and what is not
sorted yet. Nothing about speech, association, journalism or whereabouts is among them.
"""

from __future__ import annotations

import enum
from typing import Final


class Offence(enum.StrEnum):
    """One kind of scam."""

    PURCHASE = "purchase"
    ORGANISED_PURCHASE = "organised-purchase"
    JOB = "job"
    LOAN = "loan"
    INVESTMENT = "investment"
    TELEPHONE_THREAT = "telephone-threat"
    IMPERSONATION = "impersonation"
    REWARD = "reward"
    REMOTE_CONTROL = "remote-control"
    ROMANCE = "romance"
    DIGITAL_ASSET = "digital-asset"
    INTRUSION = "intrusion"
    RANSOMWARE = "ransomware"
    PONZI = "ponzi"
    MULE_ACCOUNT = "mule-account"
    """Giving or dealing in accounts and numbers that scams are run with."""
    UNSORTED_SCAM = "unsorted-scam"
    """A scam whose kind nobody has determined yet."""


_NUMBERED: Final = tuple(Offence)[:14]
_NAMED: Final = {offence.value: offence for offence in Offence}


def offence_of(scam_type: str | None) -> Offence:
    """The offence of a report's scam type: its police number (1 to 14) or its name.

    Anything else is a scam that is not sorted yet.
    """
    text = (scam_type or "").strip().lower()
    if text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= len(_NUMBERED):
        return _NUMBERED[int(text[:3]) - 1]
    return _NAMED.get(text, Offence.UNSORTED_SCAM)
