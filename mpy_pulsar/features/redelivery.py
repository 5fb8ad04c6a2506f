"""Having messages sent again: negative acknowledgements with their delay, and all that is unacknowledged at once."""
from ..core.handle import NEVER, READY
from ..port import const, ticks_add, ticks_diff, ticks_ms
from ..wire.consumer_requests import redeliver
from .extra import Extra, extra_of
from .part_of_entry import drop_queue

_IDS_MOST = const(1000)  # in one command
_SHARING = (1, 3)  # Shared, Key_Shared


class NegativeAcks(Extra):
    """Entries to be sent again once their time has come; the supervisor's sweep is their only timer."""

    def __init__(self, core):
        super().__init__(core)
        self.forget()

    def add(self, encoded, now, delay):
        """An entry is to be sent again after `delay` ms; once, whoever asks for it meanwhile."""
        if encoded in self._ids:
            return
        self._ids.add(encoded)
        self._waiting.append((ticks_add(now, delay), encoded))
        if len(self._waiting) == 1:
            self.core.attend()

    def forget(self):
        """All of it comes again by other means."""
        self._waiting = []  # (tick, encoded id), in the order of their time: the delay is the same for all
        self._ids = set()  # those that wait

    on_lost = on_sought = forget

    def sweep(self, now):
        waiting = self._waiting
        if not waiting or self.core.state != READY:
            return NEVER
        count = 0
        while count < len(waiting) and ticks_diff(waiting[count][0], now) <= 0:
            count += 1
        if count:
            self._waiting = waiting[count:]
            due = [encoded for _, encoded in waiting[:count]]
            for encoded in due:
                self._ids.remove(encoded)
            self._redeliver(due)
        return ticks_diff(self._waiting[0][0], now) if self._waiting else NEVER

    def _redeliver(self, ids):
        core = self.core
        if core.consumer_type not in _SHARING:
            redeliver_all(core)
            return
        core.flush()
        for start in range(0, len(ids), _IDS_MOST):
            core.connection.send(redeliver(core.id, ids[start:start + _IDS_MOST]))


def negative_acknowledge(core, message, delay):
    """The entry of a Message or MessageId is to be sent again after `delay` ms."""
    core.check()
    if core.connection:
        entry = message._entry
        encoded = message.encoded if entry is None else entry.message_id
        extra_of(core, NegativeAcks).add(encoded, ticks_ms(), delay)


def redeliver_all(core):
    """All that is not acknowledged is to be sent again, from the oldest on; what waits to be taken is dropped."""
    core.check()
    extra_of(core, NegativeAcks).forget()
    if core.state != READY:
        return  # it comes again with the new link
    core.flush()
    epoch = None
    if core.consumer_type not in _SHARING:
        # What is on its way still has the old number, and is void.
        core.epoch += 1
        epoch = core.epoch
    permits = drop_queue(core)
    core.connection.send(redeliver(core.id, None, epoch))
    core.give_permits(permits)
