"""Public: the page on which a bank checks an order that was read to it over the telephone.

Says valid or not valid, and nothing else of any order.
"""

from __future__ import annotations

from typing import Final

import msgspec

from openaoc.holds.telephone import OrderCheck
from openaoc.kernel.actor import CITIZEN
from openaoc.kernel.errors import BadInput
from openaoc.public.forms import FormPage, Sent, Values
from openaoc.web.rates import ORDER_CHECKS


def _blank(_: str) -> Values:
    return {"valid": None}


PAGE: Final = FormPage(
    address="/check-order",
    template="check_order.html",
    fields=("order", "code"),
    rate=ORDER_CHECKS,
    refusals=((BadInput, "check_invalid", 400),),
    blank=_blank,
)


def _checked(sent: Sent) -> Values:
    """Valid or not."""
    order = sent.given.get("order", "")
    try:
        asked = msgspec.convert({"order": order, "code": sent.given.get("code", "")}, OrderCheck)
    except msgspec.ValidationError:
        return {"given": {"order": order}, "valid": False}
    centre = sent.request.app.state.centre
    with centre.uow.read(CITIZEN, purpose="check an order read by telephone") as tx:
        valid: bool = centre.matter.telephone.check(tx, asked).valid
    return {"given": {"order": order}, "valid": valid}


ROUTES: Final = PAGE.routes(_checked)
