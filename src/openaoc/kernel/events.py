"""Events: what one stage tells later ones.

Named `stage.noun.verb`; workflow/ alone decides who listens.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened and is committed.

    `subject` is an id; `facts` never carry identity.
    """

    name: str
    subject: str
    at: datetime
    facts: dict[str, str | int] = {}
