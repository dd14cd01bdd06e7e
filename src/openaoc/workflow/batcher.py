"""Workflow: many callers, one transaction: whoever comes while another works is taken next.

Group commit. Never loses a caller: each gets its own result or its own error.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from openaoc.kernel.errors import Busy

BATCH_MAX: Final = 64
"""Reports in one transaction: enough to share a commit, few enough to stay within a second."""
WAITING_MAX: Final = 2_000
"""Callers that may wait; beyond it they are told to come again."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Slot(Generic[Item, Result]):
    """A caller: asleep until its item is done, or until it is its turn to lead."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.result: Result | BaseException | None = None
        self.asleep = threading.Lock()
        self.asleep.acquire()


class Batcher(Generic[Item, Result]):
    """Runs `work` on what has gathered; `work` returns one result or error per item, in order.

    `weigh` says how much of `most` an item takes; one that takes more goes alone.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        most: int = BATCH_MAX,
        weigh: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        self._work = work
        self._most = most
        self._weigh = weigh
        self._queue: deque[_Slot[Item, Result]] = deque()
        self._guard = threading.Lock()
        self._led = False
        """Somebody works, or was woken to."""

    def submit(self, item: Item) -> Result:
        """The item's result. Raises the item's own error, or Busy when too many wait."""
        slot: _Slot[Item, Result] = _Slot(item)
        with self._guard:
            if len(self._queue) >= WAITING_MAX:
                raise Busy("too many at once")
            self._queue.append(slot)
            leads, self._led = not self._led, True
        if not leads:
            slot.asleep.acquire()
        if not slot.done:
            self._lead()
        assert slot.done, "whoever leads takes itself first"
        if isinstance(slot.result, BaseException):
            raise slot.result
        assert slot.result is not None, "a batch answers every item"
        return slot.result

    def _lead(self) -> None:
        """Do one batch, beginning with our own item, and wake who leads the next."""
        slots = self._take()
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
            with self._guard:
                following = self._queue[0] if self._queue else None
                self._led = following is not None
            for slot in slots:
                slot.done = True
                slot.asleep.release()
            if following is not None:
                following.asleep.release()

    def _take(self) -> list[_Slot[Item, Result]]:
        """The oldest items, as many as go together, and at least one."""
        slots: list[_Slot[Item, Result]] = []
        weight = 0
        with self._guard:
            while self._queue and weight < self._most:
                weight += self._weigh(self._queue[0].item)
                if slots and weight > self._most:
                    break
                slots.append(self._queue.popleft())
        return slots
