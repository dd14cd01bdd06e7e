"""Practice: scripts: what scammers say or write, as others see it. Decides nothing."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.kernel.errors import Conflict, NotFound
from openaoc.kernel.markings import Marking
from openaoc.kernel.offences import Offence
from openaoc.practice.model import Reason
from openaoc.practice.redact import NAMES_MAX, TEXT_CHARACTERS_MAX

LANGUAGES_PATTERN: Final = r"^[a-z]{2,3}$"
FOUND_MAX: Final = 20


class NoSuchScript(NotFound):
    """There is no such script."""


class WrongScriptState(Conflict):
    """The script's state does not allow this."""


class ScriptState(enum.StrEnum):
    """Where a script is; TRANSITIONS says how that changes."""

    DRAFTED = "drafted"
    """Personal data that has a form is out; a person has not looked yet."""
    APPROVED = "approved"
    """A person read it: nobody can be told from it. It may leave by agreement."""
    WITHDRAWN = "withdrawn"
    """It was wrong, or somebody could be told from it."""


TRANSITIONS: Final = frozenset(
    {
        (ScriptState.DRAFTED, ScriptState.APPROVED),
        (ScriptState.DRAFTED, ScriptState.WITHDRAWN),
        (ScriptState.APPROVED, ScriptState.WITHDRAWN),
    }
)


def check_script_step(before: ScriptState, after: ScriptState) -> None:
    """Raises WrongScriptState for a step that is not permitted."""
    if (before, after) not in TRANSITIONS:
        raise WrongScriptState(f"one that is {before.value} is not {after.value} any more")


class Medium(enum.StrEnum):
    """How the words reached the victim."""

    CALL = "call"
    SMS = "sms"
    CHAT = "chat"
    MAIL = "mail"
    SITE = "site"
    ADVERTISEMENT = "advertisement"


class NewScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to share. `text`: None for the narrative of the case's report.

    `names`: of persons in it, beside the reporter's own, which are taken from the case.
    """

    language: Annotated[str, Meta(pattern=LANGUAGES_PATTERN)]
    medium: Medium
    offences: Annotated[tuple[Offence, ...], Meta(min_length=1, max_length=len(Offence))]
    text: Annotated[str, Meta(min_length=10, max_length=TEXT_CHARACTERS_MAX)] | None = None
    case: Annotated[str, Meta(max_length=20)] | None = None
    names: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=NAMES_MAX)
    ] = ()
    marking: Marking = Marking.GREEN
    reason: Reason


class ApprovedScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word that nobody can be told from it; more names to take out before."""

    reason: Reason
    names: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=NAMES_MAX)
    ] = ()


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A script here. `partner`: who sent it, None for our own. `removed`: places by kind."""

    id: str
    state: ScriptState
    text: str
    language: str
    medium: Medium
    offences: tuple[Offence, ...]
    marking: Marking
    removed: dict[str, int]
    seen_at: datetime
    made_by: str
    made_at: datetime
    changed_at: datetime
    partner: str | None = None
    case_id: str | None = None
    approved_by: str | None = None
    reason: str = ""
    change: int = 0


class ScriptList(msgspec.Struct, frozen=True, kw_only=True):
    """Scripts, the last changed first, and the cursor of the next page."""

    scripts: list[Script]
    cursor: str | None = None


class AskedScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words to look for. They are compared and not kept."""

    text: Annotated[str, Meta(min_length=10, max_length=TEXT_CHARACTERS_MAX)]


class LikeScript(msgspec.Struct, frozen=True, kw_only=True):
    """A script that is alike: percent by wording and by meaning, and the ideas both speak of."""

    script: Script
    wording: int
    meaning: int
    shared: tuple[str, ...]


class LikeScripts(msgspec.Struct, frozen=True, kw_only=True):
    """The most alike first, at most FOUND_MAX, of so many that were compared."""

    found: list[LikeScript]
    compared: int


class ScriptMark(msgspec.Struct, frozen=True, kw_only=True):
    """A script in the journal: counts alone."""

    state: str
    language: str
    medium: str
    characters: int
    removed: dict[str, int]

    @classmethod
    def of(cls, one: Script) -> ScriptMark:
        """The mark of this one."""
        return cls(
            state=one.state.value,
            language=one.language,
            medium=one.medium.value,
            characters=len(one.text),
            removed=one.removed,
        )
