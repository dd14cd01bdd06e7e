"""Workflow: many callers, one transaction: whoever comes while another works is taken next.

Group commit. Never loses a caller: each gets its own result or its own error.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from openaoc.kernel.errors import Busy

BATCH_MAX: Final = 32
"""Reports in one transaction: enough to share a commit, few enough to stay within a second."""
WAITING_MAX: Final = 2_000
"""Callers that may wait; beyond it they are told to come again."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Slot(Generic[Item, Result]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.result: Result | BaseException | None = None


class Batcher(Generic[Item, Result]):
    """Runs `work` on what has gathered; `work` returns one result or error per item, in order."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result | Exception]]) -> None:
        self._work = work
        self._queue: deque[_Slot[Item, Result]] = deque()
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def submit(self, item: Item) -> Result:
        """The item's result. Raises the item's own error, or Busy when too many wait."""
        slot: _Slot[Item, Result] = _Slot(item)
        with self._guard:
            if len(self._queue) >= WAITING_MAX:
                raise Busy("too many reports at once")
            self._queue.append(slot)
        while not slot.done:
            with self._turn:
                if not slot.done:
                    self._lead()
        if isinstance(slot.result, BaseException):
            raise slot.result
        assert slot.result is not None, "a batch answers every item"
        return slot.result

    def _lead(self) -> None:
        with self._guard:
            slots = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
        try:
            results = self._work([slot.item for slot in slots])
            assert len(results) == len(slots), "a batch answers every item"
            for slot, result in zip(slots, results, strict=True):
                slot.result = result
        except BaseException as error:  # every waiting caller gets it, none waits for ever
            for slot in slots:
                slot.result = error
            if not isinstance(error, Exception):
                raise
        finally:
            for slot in slots:
                slot.done = True
