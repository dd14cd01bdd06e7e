"""What each role may do: one table, read by every verb of every stage before it does anything."""

from __future__ import annotations

import enum
from typing import Final

from openaoc.kernel.actor import Actor, Role
from openaoc.kernel.errors import Refused


class Permission(enum.StrEnum):
    """A verb that somebody may or may not do."""

    REPORT_SUBMIT = "reports.submit"
    REPORT_READ = "reports.read"
    CONTROL_ASK = "reports.control.ask"
    IDENTITY_READ = "reports.identity.read"
    CASE_READ = "cases.read"
    CASE_WORK = "cases.work"
    TRACE_READ = "tracing.read"
    HOLD_READ = "holds.read"
    HOLD_ANSWER = "holds.answer"
    HOLD_RELEASE = "holds.release"
    HOLD_APPROVE = "holds.approve"
    HOLD_WITHDRAW = "holds.withdraw"
    LEDGER_INGEST = "ledger.ingest"
    JOURNAL_READ = "journal.read"
    STATUS_READ = "status.read"
    STATISTICS_READ = "statistics.read"
    INSTITUTION_READ = "parties.institution.read"
    INSTITUTION_MANAGE = "parties.institution.manage"
    PUBLIC_KEY_REGISTER = "parties.public_key.register"
    POOLED_PROPOSE = "parties.pooled.propose"
    POOLED_CONFIRM = "parties.pooled.confirm"
    USER_READ = "parties.user.read"
    USER_MANAGE = "parties.user.manage"
    LIVE_SWITCH = "parties.live.switch"
    SHADOW_SWITCH = "parties.shadow.switch"
    IDENTITY_SHRED = "reports.identity.shred"
    DELIVERY_RESUME = "continuity.delivery.resume"
    UNCERTAIN_DECIDE = "continuity.uncertain.decide"
    JOURNAL_KEY_ROTATE = "journal.key.rotate"
    JOURNAL_WITNESS = "journal.witness"
    APPEAL_FILE = "appeals.file"
    APPEAL_READ = "appeals.read"
    APPEAL_DECIDE = "appeals.decide"
    BLIND_REVIEW = "appeals.blind_review"
    BREAKER_OPEN = "safety.breaker.open"
    BREAKER_CLOSE = "safety.breaker.close"
    UNDO_PROPOSE = "safety.undo.propose"
    UNDO_APPROVE = "safety.undo.approve"
    TELEPHONE_ANSWER = "holds.telephone"
    RESTITUTION_READ = "restitution.read"
    RESTITUTION_WORK = "restitution.work"
    RESTITUTION_DECIDE = "restitution.decide"
    RESTITUTION_OBJECT = "restitution.object"
    RESTITUTION_PAY = "restitution.pay"
    EXCHANGE_READ = "exchange.read"
    EXCHANGE_EXPLAIN = "exchange.explain"
    EXCHANGE_RECEIVE = "exchange.receive"
    EXCHANGE_ASK = "exchange.ask"
    EXCHANGE_RELEASE = "exchange.release"
    EXCHANGE_APPROVE = "exchange.approve"
    EXCHANGE_RECALL = "exchange.recall"
    EXCHANGE_CANARY = "exchange.canary"
    PARTNER_MANAGE = "exchange.partner.manage"
    PARTNER_VERIFY = "exchange.partner.verify"
    AGREEMENT_DRAFT = "exchange.agreement.draft"
    OPERATION_READ = "exchange.operation.read"
    OPERATION_WORK = "exchange.operation.work"
    OPERATION_DECIDE = "exchange.operation.decide"
    PROTECTION_READ = "exchange.protection.read"
    PROTECTION_MARK = "exchange.protection.mark"
    PROTECTION_LIFT = "exchange.protection.lift"
    PROTECTION_APPROVE = "exchange.protection.approve"
    TAKEDOWN_WORK = "exchange.takedown.work"
    TAKEDOWN_APPROVE = "exchange.takedown.approve"
    ADVISORY_WORK = "exchange.advisory.work"
    ADVISORY_APPROVE = "exchange.advisory.approve"
    CAMPAIGN_WORK = "exchange.campaign.work"
    CAMPAIGN_APPROVE = "exchange.campaign.approve"
    INDICATOR_READ = "indicators.read"
    INDICATOR_TELL = "indicators.tell"
    INDICATOR_DECIDE = "indicators.decide"
    PRACTICE_READ = "practice.read"
    PRACTICE_WORK = "practice.work"
    PRACTICE_DECIDE = "practice.decide"


P = Permission

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.CITIZEN: frozenset({P.REPORT_SUBMIT, P.STATUS_READ, P.APPEAL_FILE}),
    Role.AGENT: frozenset(
        {
            P.PRACTICE_READ,
            P.INDICATOR_READ,
            P.RESTITUTION_READ,
            P.RESTITUTION_OBJECT,
            P.REPORT_SUBMIT,
            P.REPORT_READ,
            P.CONTROL_ASK,
            P.IDENTITY_READ,
            P.CASE_READ,
            P.HOLD_READ,
            P.INSTITUTION_READ,
            P.STATUS_READ,
            P.APPEAL_READ,
            P.TELEPHONE_ANSWER,
        }
    ),
    Role.INVESTIGATOR: frozenset(
        {
            P.PRACTICE_READ,
            P.PRACTICE_WORK,
            P.INDICATOR_READ,
            P.INDICATOR_DECIDE,
            P.RESTITUTION_READ,
            P.RESTITUTION_WORK,
            P.RESTITUTION_OBJECT,
            P.REPORT_SUBMIT,
            P.REPORT_READ,
            P.CONTROL_ASK,
            P.IDENTITY_READ,
            P.CASE_READ,
            P.CASE_WORK,
            P.TRACE_READ,
            P.HOLD_READ,
            P.HOLD_RELEASE,
            P.HOLD_WITHDRAW,
            P.INSTITUTION_READ,
            P.STATUS_READ,
            P.STATISTICS_READ,
            P.APPEAL_READ,
            P.APPEAL_DECIDE,
            P.BLIND_REVIEW,
            P.BREAKER_OPEN,
            P.UNDO_PROPOSE,
            P.TELEPHONE_ANSWER,
            P.EXCHANGE_READ,
            P.EXCHANGE_EXPLAIN,
            P.EXCHANGE_RELEASE,
            P.EXCHANGE_RECALL,
            P.TAKEDOWN_WORK,
            P.TAKEDOWN_APPROVE,
            P.ADVISORY_WORK,
            P.CAMPAIGN_WORK,
            P.OPERATION_READ,
            P.OPERATION_WORK,
        }
    ),
    Role.SUPERVISOR: frozenset(
        {
            P.PRACTICE_READ,
            P.PRACTICE_WORK,
            P.PRACTICE_DECIDE,
            P.INDICATOR_READ,
            P.INDICATOR_DECIDE,
            P.RESTITUTION_READ,
            P.RESTITUTION_WORK,
            P.RESTITUTION_DECIDE,
            P.RESTITUTION_OBJECT,
            P.POOLED_CONFIRM,
            P.REPORT_SUBMIT,
            P.REPORT_READ,
            P.CONTROL_ASK,
            P.IDENTITY_READ,
            P.CASE_READ,
            P.CASE_WORK,
            P.TRACE_READ,
            P.HOLD_READ,
            P.HOLD_RELEASE,
            P.HOLD_APPROVE,
            P.HOLD_WITHDRAW,
            P.INSTITUTION_READ,
            P.USER_READ,
            P.JOURNAL_READ,
            P.STATUS_READ,
            P.STATISTICS_READ,
            P.LIVE_SWITCH,
            P.SHADOW_SWITCH,
            P.DELIVERY_RESUME,
            P.UNCERTAIN_DECIDE,
            P.APPEAL_READ,
            P.APPEAL_DECIDE,
            P.BLIND_REVIEW,
            P.BREAKER_OPEN,
            P.BREAKER_CLOSE,
            P.UNDO_PROPOSE,
            P.UNDO_APPROVE,
            P.TELEPHONE_ANSWER,
            P.EXCHANGE_READ,
            P.EXCHANGE_EXPLAIN,
            P.EXCHANGE_RELEASE,
            P.EXCHANGE_APPROVE,
            P.EXCHANGE_RECALL,
            P.EXCHANGE_CANARY,
            P.TAKEDOWN_WORK,
            P.TAKEDOWN_APPROVE,
            P.ADVISORY_WORK,
            P.ADVISORY_APPROVE,
            P.CAMPAIGN_WORK,
            P.CAMPAIGN_APPROVE,
            P.PARTNER_MANAGE,
            P.PARTNER_VERIFY,
            P.AGREEMENT_DRAFT,
            P.OPERATION_READ,
            P.OPERATION_WORK,
            P.OPERATION_DECIDE,
        }
    ),
    Role.LIAISON: frozenset(
        {
            P.RESTITUTION_READ,
            P.RESTITUTION_OBJECT,
            P.RESTITUTION_PAY,
            P.REPORT_SUBMIT,
            P.HOLD_READ,
            P.HOLD_ANSWER,
            P.HOLD_RELEASE,
            P.STATUS_READ,
        }
    ),
    Role.MACHINE: frozenset(
        {
            P.RESTITUTION_READ,
            P.RESTITUTION_OBJECT,
            P.RESTITUTION_PAY,
            P.POOLED_PROPOSE,
            P.REPORT_SUBMIT,
            P.HOLD_READ,
            P.HOLD_ANSWER,
            P.HOLD_RELEASE,
            P.LEDGER_INGEST,
            P.PUBLIC_KEY_REGISTER,
            P.STATUS_READ,
        }
    ),
    Role.PARTNER: frozenset({P.EXCHANGE_RECEIVE, P.EXCHANGE_ASK, P.STATUS_READ}),
    Role.ADMINISTRATOR: frozenset(
        {
            P.EXCHANGE_READ,
            P.PARTNER_MANAGE,
            P.RESTITUTION_READ,
            P.POOLED_CONFIRM,
            P.REPORT_SUBMIT,
            P.CASE_READ,
            P.TRACE_READ,
            P.HOLD_READ,
            P.LEDGER_INGEST,
            P.INSTITUTION_READ,
            P.INSTITUTION_MANAGE,
            P.PUBLIC_KEY_REGISTER,
            P.USER_READ,
            P.USER_MANAGE,
            P.JOURNAL_READ,
            P.STATUS_READ,
            P.STATISTICS_READ,
            P.LIVE_SWITCH,
            P.SHADOW_SWITCH,
            P.DELIVERY_RESUME,
            P.JOURNAL_KEY_ROTATE,
            P.JOURNAL_WITNESS,
            P.BREAKER_OPEN,
        }
    ),
    Role.DATA_PROTECTION_OFFICER: frozenset(
        {
            P.PRACTICE_READ,
            P.PRACTICE_DECIDE,
            P.INDICATOR_READ,
            P.JOURNAL_READ,
            P.USER_READ,
            P.INSTITUTION_READ,
            P.IDENTITY_SHRED,
            P.STATUS_READ,
            P.STATISTICS_READ,
            P.SHADOW_SWITCH,
            P.APPEAL_READ,
            P.BREAKER_OPEN,
            P.EXCHANGE_READ,
            P.EXCHANGE_EXPLAIN,
            P.EXCHANGE_APPROVE,
            P.EXCHANGE_RECALL,
            P.EXCHANGE_CANARY,
            P.ADVISORY_WORK,
            P.ADVISORY_APPROVE,
            P.CAMPAIGN_WORK,
            P.CAMPAIGN_APPROVE,
            P.PARTNER_MANAGE,
            P.PARTNER_VERIFY,
            P.AGREEMENT_DRAFT,
            P.OPERATION_READ,
            P.OPERATION_DECIDE,
            P.PROTECTION_READ,
            P.PROTECTION_LIFT,
            P.PROTECTION_APPROVE,
        }
    ),
    Role.PROTECTION_OFFICER: frozenset(
        {
            P.CASE_READ,
            P.INDICATOR_READ,
            P.STATUS_READ,
            P.PROTECTION_READ,
            P.PROTECTION_MARK,
            P.PROTECTION_LIFT,
        }
    ),
    Role.OVERSIGHT: frozenset(
        {
            P.JOURNAL_READ,
            P.STATUS_READ,
            P.STATISTICS_READ,
            P.APPEAL_READ,
            P.EXCHANGE_READ,
            P.OPERATION_READ,
        }
    ),
    Role.SYSTEM: frozenset(P)
    - {
        P.LIVE_SWITCH,
        P.EXCHANGE_APPROVE,
        P.PARTNER_VERIFY,
        P.AGREEMENT_DRAFT,
        P.PROTECTION_MARK,
        P.PROTECTION_LIFT,
        P.PROTECTION_APPROVE,
        P.OPERATION_DECIDE,
        P.TAKEDOWN_APPROVE,
        P.ADVISORY_APPROVE,
        P.CAMPAIGN_APPROVE,
        P.PRACTICE_DECIDE,
    },
}
"""Administrators run the centre: they see cases and holds but nobody's identity, and decide on
none. Overseers see the journal. The centre itself never switches anything live,
agrees to nothing and approves no release of what names a person.
"""


class NotPermitted(Refused):
    """Your role does not permit this."""


def permits(actor: Actor, permission: Permission) -> bool:
    """Whether one of the actor's roles carries the permission."""
    return any(permission in PERMISSIONS[role] for role in actor.roles)


def require(actor: Actor, permission: Permission) -> None:
    """Raises NotPermitted unless one of the actor's roles carries the permission."""
    if not permits(actor, permission):
        raise NotPermitted(permission.value)
