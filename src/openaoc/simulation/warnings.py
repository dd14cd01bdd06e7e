"""Simulation: what payers' banks know of accounts, because centres released it to them.

Reads what a partner may have as plain JSON; says whether a victim is warned and heeds. Never
decides what a centre releases.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import httpx
import msgspec
import numpy as np

from openaoc.exchange.ledger_model import Received, ReceivedPage
from openaoc.exchange.plain import PATH
from openaoc.kernel.errors import Unavailable
from openaoc.kernel.identifiers.kinds import account_parts
from openaoc.simulation.blocking import account_at
from openaoc.simulation.neighbour import abroad
from openaoc.simulation.population import Population
from openaoc.simulation.scams import Scam

FILE: Final = "readers.json"
ANSWER_SECONDS_MAX: Final = 10.0


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Where this country's banks read: at the centre of which country, under which key."""

    country: str
    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Reader({self.country})"


class Readers(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, and the share of victims who heed a warning."""

    heeds_share: float
    readers: list[Reader]


def save_readers(folder: Path, readers: Readers) -> None:
    """Write the file once, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(readers))
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def load_readers(folder: Path) -> Readers | None:
    """The saved ones; None where banks read nothing (yet)."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Readers)
    except FileNotFoundError:
        return None


class Countries(msgspec.Struct, frozen=True, kw_only=True):
    """Who lives where: this country, and the people of both."""

    country: str
    own: Population
    next_door: Population

    def account(self, value: str, *, said_in: str) -> int | None:
        """The account of an indicator, as this country counts accounts; None where none is."""
        bank, number = account_parts(value)
        country, dot, code = bank.partition(".")
        if not dot:
            country, code = said_in, bank
        if country == self.country:
            return account_at(self.own, code, number)
        found = account_at(self.next_door, code, number)
        return None if found is None else abroad(found)


class Warned:
    """The accounts of which this country's banks warn, by the centre that said so."""

    def __init__(self, countries: Countries) -> None:
        self._countries = countries
        self._known: dict[str, set[int]] = {}
        self._after: dict[str, int] = {}

    def after(self, centre: str) -> int:
        """How far was read at that centre."""
        return self._after.get(centre, 0)

    def take(self, centre: str, received: Received) -> None:
        """Know the account, or forget it: the centre has taken it back."""
        self._after[centre] = received.sequence
        value = str(received.object.fields.get("value"))
        account = self._countries.account(value, said_in=centre)
        known = self._known.setdefault(centre, set())
        if account is not None and received.object.revoked:
            known.discard(account)
        elif account is not None:
            known.add(account)

    def knows(self, account: int) -> bool:
        """Whether banks warn of it."""
        return any(account in known for known in self._known.values())

    @property
    def accounts(self) -> set[int]:
        """All of them."""
        return set().union(*self._known.values())


class Warnings:
    """The banks of a demonstration's country: they read, and warn who is about to pay."""

    def __init__(self, folder: Path, countries: Countries, *, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self._heeds_share = 0.0
        self.warned = Warned(countries)

    def read(self) -> bool:
        """Read a page at each centre; whether there may be more. Raises Unavailable."""
        readers = load_readers(self._folder)
        if readers is None:
            return False
        self._heeds_share = readers.heeds_share
        return sum(self._page(reader) for reader in readers.readers) > 0

    def _page(self, reader: Reader) -> bool:
        try:
            reply = self._http.get(
                reader.url + PATH,
                params={"after": self.warned.after(reader.country)},
                headers={"Authorization": f"Bearer {reader.api_key}"},
            )
            page = msgspec.json.decode(reply.raise_for_status().content, type=ReceivedPage)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise Unavailable(type(error).__name__, where=reader.country) from error
        for received in page.objects:
            self.warned.take(reader.country, received)
        return page.more

    def stops(self, scam: Scam, payment: int, at_s: float) -> bool:
        """Whether the victim is warned and heeds; whether one does is settled once for all."""
        del at_s
        if not self.warned.knows(scam.payments[payment].payee):
            return False
        draw = np.random.default_rng([self._seed, 10, scam.number]).random()
        return bool(draw < self._heeds_share)

    def close(self) -> None:
        """Give back connections."""
        self._http.close()
