"""Simulation: tells the nation next door what money is on its way there, until it has heard it.

Banks of two countries among themselves: no centre sees any of it, or has a part in it.
"""

from __future__ import annotations

import hmac
import os
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
import msgspec

from openaoc.kernel.errors import BadInput, Refused, Unavailable
from openaoc.simulation.nation import Nation
from openaoc.simulation.neighbour import Arrival

PATH: Final = "/next-door"
TOKEN: Final = "OpenAOC-Simulation"  # noqa: S105 - names a header, is not a secret
FILE: Final = "next-door.json"
TOLD_AT_ONCE_MAX: Final = 200
ANSWER_SECONDS_MAX: Final = 10.0


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where the nation next door listens this time, and the word both know each other by."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Door({self.url})"


def save_door(folder: Path, door: Door) -> None:
    """Write the file, whole or not at all, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{FILE}.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(door))
    part.replace(folder / FILE)


def forget_door(folder: Path) -> None:
    """Nobody listens there yet."""
    (folder / FILE).unlink(missing_ok=True)


class NextDoor:
    """This nation's part of what banks tell each other across the border."""

    def __init__(self, nation: Nation, folder: Path) -> None:
        self._nation = nation
        self._folder = folder
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False)

    def _door(self) -> Door | None:
        try:
            return msgspec.json.decode((self._folder / FILE).read_bytes(), type=Door)
        except FileNotFoundError:
            return None

    def tell(self) -> bool:
        """Tell what was not told yet; whether there was any. Raises Unavailable."""
        door = self._door()
        waiting = self._nation.store.crossings(limit=TOLD_AT_ONCE_MAX)
        if door is None or not waiting:
            return False
        try:
            reply = self._http.post(
                door.url + PATH,
                content=msgspec.json.encode(waiting),
                headers={TOKEN: door.token},
            )
        except httpx.HTTPError as error:
            raise Unavailable(type(error).__name__) from error
        if reply.status_code != HTTPStatus.OK:
            raise Unavailable(f"HTTP {reply.status_code}")
        self._nation.store.crossings_told(waiting)
        return True

    def take(self, body: bytes, *, token: str) -> None:
        """Keep what is on its way here. Raises Refused, BadInput."""
        door = self._door()
        if door is None or not hmac.compare_digest(door.token.encode(), token.encode()):
            raise Refused("not from next door")
        try:
            told = msgspec.json.decode(body, type=list[Arrival])
        except msgspec.MsgspecError as error:
            raise BadInput(str(error)) from error
        size = self._nation.population.size
        if any(not 0 <= one.creditor < size or one.amount_minor <= 0 for one in told):
            raise BadInput("no account of this nation, or no amount")
        self._nation.store.take_arrivals(told)

    def close(self) -> None:
        """Give back connections."""
        self._http.close()
