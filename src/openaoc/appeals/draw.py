"""Appeals: which holds are reviewed blind, and how sure the rate of wrong ones is.

Pure. The draw follows from a seed alone, and the seed was committed to before the holds were.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from datetime import date
from typing import Final

SHARE_PER_MILLE: Final = 20
"""Two in a hundred uncontested holds."""
_WHOLE: Final = 1 << 64
_BYTES: Final = 8
Z_95: Final = 1.959964
"""The normal distribution's two-sided 95 % point."""


def seed_of(day: date, *, key: bytes) -> bytes:
    """The day's seed: fixed by a key that no staff member chooses."""
    return hmac.digest(key, f"blind review {day.isoformat()}".encode("ascii"), hashlib.sha256)


def commitment_of(seed: bytes) -> bytes:
    """What is journalled before the day's holds exist."""
    return hashlib.sha256(seed).digest()


def is_drawn(order_id: str, *, seed: bytes, share_per_mille: int = SHARE_PER_MILLE) -> bool:
    """Whether the hold is reviewed: anybody with the revealed seed can compute it again."""
    digest = hmac.digest(seed, order_id.encode("utf-8"), hashlib.sha256)
    number = int.from_bytes(digest[:_BYTES], "big")
    return number < share_per_mille * _WHOLE // 1_000


def interval(wrong: int, judged: int) -> tuple[float, float] | None:
    """The 95 % interval of a share, by Wilson's formula; None without a judgement.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    """
    if judged == 0:
        return None
    share, z2 = wrong / judged, Z_95 * Z_95
    middle = share + z2 / (2 * judged)
    spread = Z_95 * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged * judged))
    whole = 1 + z2 / judged
    low, high = (middle - spread) / whole, (middle + spread) / whole
    # At its ends the formula meets the share itself, but for the last bit.
    return max(min(low, share), 0.0), min(max(high, share), 1.0)
