"""API: of two changes that lock each other one goes on, and the other after it, unnoticed.

Never for what does something outside of its transaction, or commits one before it may fail: that
would be done twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from openaoc.storage.unit_of_work import retrying

ATTEMPTS_MAX: Final = 2
Given = ParamSpec("Given")
Told = TypeVar("Told")


def again(change: Callable[Given, Told]) -> Callable[Given, Told]:
    """The function, called once more where another change came between its only transaction.

    It raises TryAgain where that happens again.
    """

    @functools.wraps(change)
    def call(*args: Given.args, **named: Given.kwargs) -> Told:
        return retrying(functools.partial(change, *args, **named), attempts=ATTEMPTS_MAX)

    return call
