"""What producers and consumers have in common for those who hold them; the core's half of it is core/handle."""
import asyncio

from .core.handle import CLOSED, READY
from .port import ticks_ms


class Endpoint:
    """A producer or consumer of one topic; `async with` closes it at the end."""

    def __init__(self, core):
        """core: ProducerCore or ConsumerCore."""
        self.core = core
        core.owner = self
        self._changed = asyncio.Event()
        core.changed = self._changed.set

    async def opened(self):
        """Until the broker has accepted it (for `create_producer` and `subscribe`). Raises what ended it instead."""
        core = self.core
        while not core.established:  # not its state, which may have changed again before this task's turn
            core.check()
            self._changed.clear()
            await self._changed.wait()

    def _start_close(self):
        self.core.start_close(ticks_ms())
        self.core.attend()

    async def _closed(self):
        while self.core.state != CLOSED:
            self._changed.clear()
            await self._changed.wait()

    def topic(self):
        """The full topic name."""
        return self.core.topic

    def is_connected(self):
        """Is it open at a broker just now? bool."""
        return self.core.state == READY

    def state(self):
        """"connecting", "open", "closing", "closed", or "failed": for good, and the next call raises why."""
        from .features.states import state_of

        return state_of(self)

    def state_changed(self):
        """Awaitable: until `state()` is another than now, the new one; "closed" or "failed" at once."""
        from .features.states import changed

        return changed(self)

    def stats(self):
        """What it has done so far, a dict made anew; it costs nothing as long as nobody asks.

        Of a producer, in messages: sent (taken by a call, or dropped for want of room) = acknowledged + unknown + the
        sum of dropped (a dict by reason: "full", "expired", "timeout", "refused", "too_large", "closed") + pending.
        batches: acknowledged; bytes: of all frames, once each; resent: frames; reconnects; round_trip_ms: from a
        batch's first transmission to its receipt, (least, mean, most), None before the first.
        Of a consumer or reader: received and acknowledged (messages, not those acknowledged by a later one); entries,
        their bytes, how many of them were redelivered; reconnects.
        """
        from .features.stats import stats_of

        return stats_of(self.core)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        await self.close()

    async def close(self):
        """Close it at the broker. Closing again does nothing."""
        self._start_close()
        await self._closed()
