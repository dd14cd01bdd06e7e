"""Stage tracing: what the centre sees of an open case: its trace with names, and what follows.

Words only; service.py fills them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from openaoc.tracing.group import Group
from openaoc.tracing.model import CaseTrace, Trace
from openaoc.tracing.names import ExitSide


class LocatedLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's money on one account: what a hold may rest on.

    `amount_minor` is free money under the centre's rule; `held_minor` is held for this case
    already. Never order what is `returned` or on a `hub`. How sure it is: `Tracing.doubt`.
    """

    account_index: int
    bank: str
    account: str
    currency: str
    amount_minor: int
    held_minor: int
    layer: int
    received_at: datetime
    returned: bool
    hub: bool


class ExcessHold(msgspec.Struct, frozen=True, kw_only=True):
    """What a hold of an order did not find: to be released at once."""

    order: str
    amount_minor: int


class CaseLook(msgspec.Struct, frozen=True, kw_only=True):
    """A case's trace for the centre's own use.

    `exits`: one for each of `numbers.exited`. `linked`: open cases that share accounts with this
    one, directly or through others, whose figures this trace may change. `inferred_under_hold`:
    (bank, account) that sent money unseen while a hold of the case stood. `group`: those traced
    with it.
    """

    case: str
    numbers: CaseTrace
    located: tuple[LocatedLook, ...]
    exits: tuple[ExitSide, ...]
    excess: tuple[ExcessHold, ...]
    inferred_under_hold: tuple[tuple[str, str], ...]
    linked: tuple[str, ...]
    sent: tuple[tuple[int, int], ...]
    """The accounts where free money rests, no hub, and how many outflows each had when seen."""
    group: Group
    named: Callable[[], Trace]

    @property
    def trace(self) -> Trace:
        """The document with the names of all transfers; made when it is asked for."""
        return self.named()
