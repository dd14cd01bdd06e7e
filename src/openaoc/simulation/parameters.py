"""Simulation: what is the nation like? Every figure as data with the mark of how well it is known.

Reads parameters.toml (or a file of the same form); decides nothing.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import msgspec

from openaoc.kernel.errors import BadInput

Mark = Literal["known", "derived", "assumed", "size"]
SHARES_TOLERANCE: Final = 1e-9

T = TypeVar("T")


class Marked(msgspec.Struct, Generic[T], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure and how well it is known; the marks are explained in parameters.toml."""

    value: T
    mark: Mark
    note: str = ""


class CaseFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many victims there are and how they come to the centre."""

    a_day: Marked[float]
    older_share: Marked[float]
    older_loss_share: Marked[float]
    between_payments_s: Marked[float]
    false_report_share: Marked[float]
    by_bank_share: Marked[float]


class ScamType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scam type: share of cases, mean loss, mean number of payments."""

    name: str
    police_type: int
    share: Marked[float]
    mean_minor: Marked[int]
    payments: Marked[float]


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long victims take to notice: a mixture of lognormals."""

    shares: Marked[list[float]]
    medians_s: Marked[list[float]]
    sigma_log: Marked[float]


class Layers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the money runs: dwell, depth, fan-out, rest, and honest shops on the way."""

    dwell_first_half_life_s: Marked[float]
    dwell_later_half_life_s: Marked[list[float]]
    at_rest_share: Marked[float]
    at_rest_least_s: Marked[float]
    at_rest_more_mean_s: Marked[float]
    counts: Marked[list[int]]
    count_shares: Marked[list[float]]
    fan_out: Marked[list[int]]
    fan_out_shares: Marked[list[float]]
    split_least_minor: Marked[int]
    honest_hop_share: Marked[float]


class Exits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the money leaves, by share of chains."""

    crypto_share: Marked[float]
    atm_share: Marked[float]
    counter_share: Marked[float]
    goods_share: Marked[float]
    abroad_share: Marked[float]
    atm_limit_minor: Marked[int]


class Mules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accounts scammers use."""

    payments_until_burnt: Marked[int]
    accounts_per_person: Marked[int]
    recently_opened_share: Marked[float]
    gangs: Marked[int]
    rings: Marked[int]
    account_share: Marked[float]


class NationFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everybody else, and how much of their life is simulated."""

    wage_payer_share: Marked[float]
    shop_share: Marked[float]
    history_s: Marked[float]
    past_days: Marked[float]
    past_transfers: Marked[int]
    history_transfers: Marked[int]
    transfers_per_second: Marked[float]


class Answers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast institutions answer, in seconds on the wall."""

    fast_share: Marked[float]
    fast_median_s: Marked[float]
    slow_median_s: Marked[float]
    sigma_log: Marked[float]
    out_of_reach_share: Marked[float]
    out_of_reach_mean_s: Marked[float]


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What persons do in a trial, and how fast; in simulated seconds."""

    telling_s: Marked[float]
    headroom: Marked[float]
    officer_mean_s: Marked[float]
    officer_sees_through: Marked[float]
    false_by_bank_share: Marked[float]
    complaint_share: Marked[float]
    complaint_mean_s: Marked[float]
    authority_share: Marked[float]
    contest_share: Marked[float]
    contest_mean_s: Marked[float]
    decision_s: Marked[float]
    returned_share: Marked[float]
    upheld_share: Marked[float]
    control_share: Marked[float]
    control_mean_s: Marked[float]
    restitution_after_s: Marked[float]
    mule_objects_share: Marked[float]
    objection_mean_s: Marked[float]
    payout_mean_s: Marked[float]


class Machines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What machines do in a trial, in simulated seconds."""

    centre_s: Marked[float]
    feed_delay_s: Marked[float]
    out_of_reach_mean_s: Marked[float]
    take_out_mean_s: Marked[float]
    onward_mean_s: Marked[float]


class Telephone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How money is followed today: by telephone and spreadsheet."""

    first_hop_s: Marked[list[float]]
    later_hop_s: Marked[list[float]]
    out_of_reach_share: Marked[float]
    hops_max: Marked[int]
    follow_least_minor: Marked[int]
    release_mean_s: Marked[float]


class TrialSize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large the nation of a trial is."""

    accounts: Marked[int]
    mule_share: Marked[float]
    a_day: Marked[float]
    days: Marked[float]
    until_s: Marked[float]
    settled_s: Marked[float]
    gangs: Marked[int]
    rings: Marked[int]
    past_transfers: Marked[int]
    transfers_a_day: Marked[int]
    stretch_s: Marked[float]


class SimulatedInstitution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One institution of the nation; `share` of all accounts."""

    code: str
    kind: Literal["bank", "wallet", "exchange", "atm_network"]
    name: str
    share: float


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    currency: str
    sigma_log: Marked[float]
    loss_cap_minor: Marked[int]
    loss_floor_minor: Marked[int]
    cases: CaseFigures
    types: list[ScamType]
    notice: Notice
    layers: Layers
    exits: Exits
    mules: Mules
    nation: NationFigures
    answers: Answers
    people: People
    machines: Machines
    telephone: Telephone
    trial: TrialSize
    institutions: list[SimulatedInstitution]


def load_parameters(path: Path | None = None) -> Parameters:
    """The parameters of `path`, by default those shipped.

    Raises BadInput for an unknown name, a missing figure, or shares that do not add up to one.
    """
    if path is None:
        text = resources.files("openaoc.simulation").joinpath("parameters.toml").read_text("utf-8")
    else:
        text = path.read_text("utf-8")
    where = str(path or "parameters.toml")
    try:
        parameters = msgspec.convert(tomllib.loads(text), Parameters)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInput(str(error), where=where) from error
    exits = parameters.exits
    groups = {
        "types": [kind.share.value for kind in parameters.types],
        "notice": parameters.notice.shares.value,
        "layers.count_shares": parameters.layers.count_shares.value,
        "layers.fan_out_shares": parameters.layers.fan_out_shares.value,
        "institutions": [institution.share for institution in parameters.institutions],
        "exits": [
            exits.crypto_share.value,
            exits.atm_share.value,
            exits.counter_share.value,
            exits.goods_share.value,
            exits.abroad_share.value,
        ],
    }
    for name, shares in groups.items():
        if abs(sum(shares) - 1) > SHARES_TOLERANCE or min(shares) < 0:
            raise BadInput(f"the shares of {name} do not add up to 1", where=where)
    return parameters
