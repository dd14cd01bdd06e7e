"""Public: the page on which a holder contests a hold, in Thai and English, without a login.

Shows and passes on; whether a hold was right is decided elsewhere, by persons.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

import msgspec

from openaoc.appeals.model import (
    OPEN,
    STATEMENT_CHARACTERS_MAX,
    AppealState,
    Contest,
    ContestKey,
    ContestView,
    HoldOver,
    NoSuchAppeal,
    NoSuchHold,
    TooManyContests,
)
from openaoc.channels.idempotency import once
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput
from openaoc.public.forms import FormPage, Sent, Values
from openaoc.storage.unit_of_work import retrying
from openaoc.web.rates import CONTESTS
from openaoc.web.words import write_exactly, write_time

FIELDS: Final = ("order", "code", "statement", "contact")
KEPT: Final = ("order", "code")
MAY_ADD: Final = OPEN | {AppealState.REFUSED, AppealState.UPHELD_IN_PART}
"""The form is shown again: for more to an open contest, or for a new one."""
ONCE_BYTES: Final = 16


def _shown(language: str, found: ContestView | None = None) -> Values:
    shown: Values = {
        "once": secrets.token_hex(ONCE_BYTES),
        "statement_max": STATEMENT_CHARACTERS_MAX,
        "found": None,
    }
    if found is None:
        return shown
    return shown | {
        "found": msgspec.to_builtins(found) | {"state": found.state},
        "open": found.state in OPEN,
        "again": found.state in MAY_ADD,
        "held": write_exactly(found.held_minor, found.currency, language),
        "released": write_exactly(found.released_minor, found.currency, language),
        "answer_by": write_time(found.answer_by),
        "last_at": write_time(found.last_at),
    }


PAGE: Final = FormPage(
    address="/contest",
    template="contest.html",
    fields=(*FIELDS, "once"),
    rate=CONTESTS,
    refusals=(
        (NoSuchHold, "contest_wrong", 404),
        (NoSuchAppeal, "contest_none", 404),
        (HoldOver, "contest_over", 409),
        (TooManyContests, "contest_limit", 409),
        (BadInput, "contest_input", 400),
    ),
    blank=_shown,
)


def _contested(sent: Sent) -> Values:
    """Files the contest, or shows how it stands; a form sent twice has its effect once."""
    view = _look(sent) if sent.given.get("do") == "status" else _file(sent)
    keep = {name: sent.given.get(name, "") for name in KEPT}
    return {"given": keep, **_shown(sent.language, view)}


def _file(sent: Sent) -> ContestView:
    values = {name: sent.given.get(name, "") for name in FIELDS}
    contest = _converted({**values, "language": sent.language}, Contest)
    centre = sent.request.app.state.centre
    content = msgspec.json.encode(contest)
    # With the content: who goes back and writes more, has more to say and no key to change.
    form = (sent.given.get("once") or secrets.token_hex(ONCE_BYTES)).encode()
    key = hashlib.sha256(form + content).hexdigest()
    asked = once(actor=CITIZEN.id, route="contest page", key=key, content=content)

    def take() -> ContestView:
        with centre.uow.begin(CITIZEN, purpose="contest a hold") as tx:
            earlier = asked.earlier(tx, ContestView)
            if earlier is not None:
                return earlier
            filed: ContestView = centre.matter.appeals.file(tx, contest)
            asked.answered(tx, filed)
            return filed

    return retrying(take)


def _look(sent: Sent) -> ContestView:
    key = _converted({name: sent.given.get(name, "") for name in KEPT}, ContestKey)
    centre = sent.request.app.state.centre
    with centre.uow.read(CITIZEN, purpose="look at one's contest") as tx:
        view: ContestView = centre.matter.appeals.status(tx, key)
    return view


def _converted(values: dict[str, str], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise BadInput(str(error)) from error


ROUTES: Final = PAGE.routes(_contested)
