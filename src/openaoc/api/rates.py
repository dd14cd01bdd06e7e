"""API: how often somebody unknown may ask, for each kind of question."""

from __future__ import annotations

from typing import Final

from openaoc.web.rates import Rate

CITIZEN_REPORTS: Final = Rate(name="reports without a key", per_minute=30, burst=30)
"""Nobody reports thirty scams a minute from one address; a call centre has a key."""
CASE_BY_SECRET: Final = Rate(name="cases by secret", per_minute=60, burst=60)
"""A case's secret cannot be guessed at this rate."""
CASES_SHOWN: Final = Rate(name="cases shown to one person", per_minute=240, burst=240)
"""Nobody reads four cases a second; who does reads the ledger through its cases."""
PARTNER_GUESSES: Final = Rate(name="ids a partner tries", per_minute=1_200, burst=1_200)
"""What a partner asked for by an id and is not there for it, and every id in a filter. Pages and
objects it has count nothing: a whole collection is read at full speed."""
MISP_WHOLE: Final = Rate(name="whole MISP feeds of a partner", per_minute=60, burst=60)
"""Manifest and hashes look at everything a partner has; MISP asks a few times a day."""
CONTROL_BY_SECRET: Final = Rate(name="account control by secret", per_minute=20, burst=20)
FAILED_SIGN_INS: Final = Rate(name="failed sign-ins", per_minute=60, burst=60)
PUBLIC_FIGURES: Final = Rate(name="public figures", per_minute=1200, burst=600)
CENTRES: Final = Rate(name="messages between centres", per_minute=12_000, burst=6_000)
"""A match of 100,000 is a hundred messages; whoever is no partner learns nothing at any rate."""
