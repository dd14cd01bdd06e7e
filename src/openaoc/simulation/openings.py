"""Simulation: an institution's opening balances, as the centre's accounts file."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

from openaoc.simulation.centre import Centre, Outcome
from openaoc.simulation.credentials import InstitutionCredentials
from openaoc.simulation.population import Population, account_number

CSV: Final = "text/csv"


def openings_csv(population: Population, *, code: str) -> bytes:
    """`bank,account,opening_minor,currency` of every account at the institution."""
    own = np.flatnonzero(population.institution == population.codes.index(code))
    text = io.StringIO()
    text.write("bank,account,opening_minor,currency\n")
    for index, opening in zip(own.tolist(), population.opening_minor[own].tolist(), strict=True):
        text.write(f"{code},{account_number(index)},{opening},{population.currency}\n")
    return text.getvalue().encode("ascii")


def send_openings(
    centre: Centre,
    population: Population,
    *,
    code: str,
    credentials: InstitutionCredentials,
) -> Outcome:
    """Tell the centre what was on the accounts before their first transfer."""
    return centre.post(
        "/v1/ledger/accounts",
        openings_csv(population, code=code),
        key=credentials.api_key,
        idempotency_key=f"openings-{code}",
        content_type=CSV,
        signer=credentials.signing_key(),
    )
