"""Who does something: a person or a machine with its roles, passed to every verb of every stage."""

from __future__ import annotations

import enum

import msgspec


class Role(enum.StrEnum):
    """What somebody is trusted to do; design §2.

    Permissions per role stand in parties/permissions.py.
    """

    CITIZEN = "citizen"
    AGENT = "agent"
    INVESTIGATOR = "investigator"
    SUPERVISOR = "supervisor"
    LIAISON = "liaison"
    MACHINE = "machine"
    PARTNER = "partner"
    ADMINISTRATOR = "administrator"
    DATA_PROTECTION_OFFICER = "data_protection_officer"
    PROTECTION_OFFICER = "protection_officer"
    """Trained in recognising and protecting victims of trafficking."""
    OVERSIGHT = "oversight"
    SYSTEM = "system"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The one who acts.

    `institution` is set for liaisons and machines, `partner` for a partner's analysts and systems;
    each bounds what they may see.
    """

    id: str
    roles: frozenset[Role]
    institution: str | None = None
    partner: str | None = None

    def has(self, role: Role) -> bool:
        """Whether the actor carries the role."""
        return role in self.roles


SYSTEM = Actor(id="system", roles=frozenset({Role.SYSTEM}))
"""The centre itself: expiry, delivery, reconciliation."""

CITIZEN = Actor(id="citizen", roles=frozenset({Role.CITIZEN}))
"""Anybody from outside who has not signed in."""
