"""Messages held back until their time: Shared and Key_Shared subscriptions wait for `deliver_at_time`."""

import asyncio
import heapq
import time
from collections.abc import Callable


class DelayedMessages:
    """Indexes of entries, each with the time it is due, and a timer for the first of them.

    `tick_seconds`: what is due within that time is not held back, as the broker does it. `on_due` is called, in the
    event loop, when something has become due.
    """

    def __init__(self, tick_seconds: float, on_due: Callable[[], None]) -> None:
        self._tick_milliseconds = tick_seconds * 1000
        self._on_due = on_due
        self._waiting: list[tuple[int, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many are held back."""
        return len(self._waiting)

    def hold(self, index: int, deliver_at: int | None) -> bool:
        """Hold an entry back if its time (milliseconds since 1970) is still to come; False when it may go now."""
        if deliver_at is None or deliver_at <= _now() + self._tick_milliseconds:
            return False
        heapq.heappush(self._waiting, (deliver_at, index))
        if self._waiting[0] == (deliver_at, index):
            self._set_timer()
        return True

    def take_due(self) -> list[int]:
        """The entries whose time has come; they are held no longer."""
        due = []
        while self._waiting and self._waiting[0][0] <= _now():
            due.append(heapq.heappop(self._waiting)[1])
        self._set_timer()
        return due

    def clear(self) -> None:
        """Forget everything; they are read anew with the cursor."""
        self._waiting.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            seconds = max(self._waiting[0][0] - _now(), 0) / 1000
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_due)


def _now() -> float:
    return time.time() * 1000
