"""Simulation: what a victim tells, as a report of the centre's wire form.

By the payer's bank under its own key, or by hotline and web, where people remember the minute and
not the second and know no transfer id.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from openaoc.kernel.clock import from_us
from openaoc.reports.model import Channel, Indicator, Payment, Proof, Report, Reporter
from openaoc.simulation.feed import transfer_id
from openaoc.simulation.neighbour import Neighbour, bank_abroad, is_abroad, there
from openaoc.simulation.parameters import Parameters
from openaoc.simulation.population import Population, account_number
from openaoc.simulation.scams import Scam
from openaoc.simulation.world import Move

GIVEN: Final = ("Somchai", "Malee", "Anan", "Ploy", "Niran", "Suda", "Kamon", "Wipa", "Prasert")
FAMILY: Final = ("Jaidee", "Srisuk", "Thongdee", "Rattana", "Boonmee", "Wongsa", "Chaiyo")
TOLD: Final = {
    "purchase": "สั่งของออนไลน์ โอนเงินแล้วไม่ได้ของ ติดต่อผู้ขายไม่ได้",
    "reward": "แจ้งว่าได้รับรางวัล ให้โอนค่าธรรมเนียมก่อน แล้วหายไป",
    "job": "ทำงานกดไลก์ ให้โอนเงินสำรองหลายครั้ง ถอนเงินคืนไม่ได้",
    "investment": "ชวนลงทุนในกลุ่มไลน์ กำไรในแอป แต่ถอนไม่ได้",
    "loan": "กู้เงินออนไลน์ ให้โอนค่าประกันก่อน แล้วไม่ได้เงินกู้",
    "threat": "โทรมาอ้างเป็นเจ้าหน้าที่ บอกว่าบัญชีเกี่ยวข้องกับคดี ให้โอนเงินไปตรวจสอบ",
    "friend": "เพื่อนทักมายืมเงิน โอนแล้วถึงรู้ว่าบัญชีถูกแฮก",
    "rest": "ถูกหลอกให้โอนเงินทางออนไลน์",
}
"""What victims say; made up."""


def write_report(
    parameters: Parameters,
    population: Population,
    scam: Scam,
    paid: dict[int, Move],
    *,
    reported_at: datetime,
    neighbour: Neighbour | None = None,
) -> Report | None:
    """The report of one scam, or None when no payment of it went through."""
    moves = [paid[place] for place in sorted(paid) if paid[place].amount_minor]
    if not moves:
        return None
    kind = parameters.types[scam.kind]
    chance = np.random.default_rng([scam.number, 7])
    name = f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}"
    phone = f"08{int(chance.integers(10**8)):08d}"
    lure = f"02{int(chance.integers(10**7)):07d}"
    by_bank = scam.by_bank
    channel = Channel.HOTLINE if chance.random() < 0.5 else Channel.WEB  # noqa: PLR2004 # a coin
    return Report(
        source_ref=f"{'B' if by_bank else 'H'}{scam.number:08d}",
        channel=Channel.INSTITUTION if by_bank else channel,
        reported_at=reported_at,
        language="th",
        reporter=Reporter(name=name, phone=phone),
        narrative=TOLD[kind.name],
        scam_type=str(kind.police_type),
        payments=[
            _payment(population, scam, move, exact=by_bank, neighbour=neighbour) for move in moves
        ],
        indicators=[Indicator(kind="phone", value=lure)],
        proof=_proof(scam),
    )


def _proof(scam: Scam) -> Proof:
    if scam.by_bank:
        return Proof(kind="institution", bank_case_id=f"BC{scam.number:08d}")
    return Proof()


def _payment(
    population: Population, scam: Scam, move: Move, *, exact: bool, neighbour: Neighbour | None
) -> Payment:
    payee = scam.payments[move.payment].payee
    if neighbour is not None and is_abroad(payee):
        bank, account = bank_abroad(neighbour, there(payee))
    else:
        bank, account = population.codes[population.institution[payee]], account_number(payee)
    debtor_bank = population.codes[population.institution[scam.victim]]
    booked_at = from_us(move.at_us)
    return Payment(
        transfer_id=transfer_id(move.transfer) if exact else None,
        reported_by=debtor_bank if exact else None,
        booked_at=booked_at if exact else booked_at.replace(second=0, microsecond=0),
        debtor_bank=debtor_bank,
        debtor_account=account_number(scam.victim),
        creditor_bank=bank,
        creditor_account=account,
        amount_minor=move.amount_minor,
        currency=population.currency,
    )
