"""Take-downs: the rule data: who is asked for what, and by when. Versioned; never code.

A request carries the version it was made under, and its clocks do not change afterwards.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from openaoc.exchange.model import PartnerKind
from openaoc.exchange.takedowns.model import Done, Target
from openaoc.kernel.errors import BadInput
from openaoc.kernel.identifiers.kinds import Kind

PACKAGE: Final = "openaoc.exchange.takedowns.rules"
FILE: Final = "default.toml"
SHARED_FILE: Final = "shared.toml"

Hours = Annotated[int, Meta(ge=1, le=24 * 90)]
Days = Annotated[int, Meta(ge=1, le=366)]


class TargetRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of target: its identifiers, who is asked, for what, and the hours there are."""

    identifier_kinds: tuple[Kind, ...]
    partner_kinds: tuple[PartnerKind, ...]
    asks: tuple[Done, ...]
    acknowledge_hours: Hours
    act_hours: Hours
    verify_hours: Hours


class TakedownRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    version: str
    source: str
    give_up_days: Days
    remind_hours: Hours
    objection_hours: Hours
    target: dict[Target, TargetRule]


class SharedHosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hosts of which a page may be asked for and the whole never."""

    version: str
    never_whole: tuple[str, ...]


def read_rules(text: str) -> TakedownRules:
    """The rules of a file. Raises BadInput for a target that is missing or asks for a freeze."""
    try:
        found = msgspec.convert(tomllib.loads(text), TakedownRules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=FILE) from error
    missing = [target.value for target in Target if target not in found.target]
    if missing:
        raise BadInput(f"nothing for {', '.join(missing)}", where=FILE)
    for target, rule in found.target.items():
        if Done.FROZEN in rule.asks:
            raise BadInput("money is held by hold orders alone", where=f"target.{target.value}")
        if rule.acknowledge_hours > rule.act_hours:
            raise BadInput("acknowledged before it is done", where=f"target.{target.value}")
    return found


@cache
def takedown_rules() -> TakedownRules:
    """The rules that ship with the centre."""
    return read_rules(resources.files(PACKAGE).joinpath(FILE).read_text("utf-8"))


@cache
def shared_hosts() -> frozenset[str]:
    """The hosts that ship with the centre."""
    text = resources.files(PACKAGE).joinpath(SHARED_FILE).read_text("utf-8")
    return frozenset(msgspec.convert(tomllib.loads(text), SharedHosts).never_whole)
