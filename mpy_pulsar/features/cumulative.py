"""Acknowledging all up to a message."""
from ..core.handle import NEVER, READY
from ..core.message_id import MessageId
from ..errors import PulsarError
from ..port import const, ticks_add, ticks_diff
from ..wire.consumer_commands import ack
from ..wire.writer import message as encode
from .by_id import entry_of
from .extra import Extra, extra_of

_GROUP_TIME = const(100)  # ms that an acknowledgement waits for a later one
_SURE = const(5000)  # ms: who was heard of so long after an ACK has got it
_WHOLE = const(1 << 28)  # stands for the index of an entry's last message
_SHARING = (1, 3)  # Shared, Key_Shared


class Cumulative(Extra):
    """The last such acknowledgement, until it leaves, and over a lost link until the broker has it for sure."""

    def __init__(self, core):
        super().__init__(core)
        self._sent_at = 0  # tick
        self.on_sought()
        self._lost = core.lost
        core.lost = self.lost

    def add(self, encoded, place):
        """All up to that entry, whose place can be compared, is done with."""
        if self._last and place <= self._last:
            return
        self._last = place
        if self._waiting is None:
            self.core.attend()
        self._waiting = encoded
        if self.core._doubts:
            self._pass_over(place)

    def _pass_over(self, place):
        """Messages of before a lost link were acknowledged just now, and have come again meanwhile."""
        from .part_of_entry import pass_over

        core = self.core
        for entry in list(core._queue):
            message_id = MessageId(entry.message_id)
            if (message_id.ledger_id(), message_id.entry_id(), _WHOLE) <= place:
                pass_over(core, entry)

    def on_opened(self):
        self.flush()  # before the permits: what is acknowledged by then does not come again
        return True

    def lost(self, error, now, slow=False):
        """The link is lost: see `Handle.lost`."""
        core = self.core
        if not self._waiting and core.connection and ticks_diff(core.connection._heard, self._sent_at) < _SURE:
            self._waiting = self._sent
        self._lost(error, now, slow)

    def on_lost(self):
        self._sent = self._due = None
        if self.core.service:
            self.on_sought()  # another cluster's ids are not these
        if not self._waiting:
            self._last = None  # an administrator may have moved the subscription back

    def on_sought(self):
        self._waiting = None  # encoded id
        self._last = None  # its place
        self._sent = None  # the id that was sent last
        self._due = None

    def flush(self):
        if self._waiting:
            core = self.core
            core.connection.send(ack(core.id, [self._waiting], True))
            self._sent = self._waiting
            self._sent_at = core.connection.now
            self._waiting = self._due = None

    def sweep(self, now):
        if not self._waiting or self.core.state != READY:
            return NEVER
        if self._due is None:
            self._due = ticks_add(now, _GROUP_TIME)
        wait = ticks_diff(self._due, now)
        if wait <= 0:
            self.flush()
            return NEVER
        return wait


def acknowledge_cumulative(core, message):
    """A Message or MessageId and all before it are done with. In mid-batch: all before its entry, or with batch-index
    acknowledgements the messages of the entry up to it too. PulsarError: the subscription is shared."""
    core.check()
    if core.consumer_type in _SHARING:
        raise PulsarError(
            "%s: a shared subscription has no order to acknowledge by: acknowledge the messages one by one" % core.topic
        )
    message_id = message if message._entry is None else message.message_id()
    encoded = message_id.encoded
    index = message_id._index
    size = message_id.batch_size()
    ledger, entry = message_id.ledger_id(), message_id.entry_id()
    part = _WHOLE
    if 0 <= index and index != size - 1:
        if index < size:
            _mark(core, message_id, index)
        if core.partial and index < size:
            from .batch_acks import partial_id

            part = index

            done = bytearray(size)
            for before in range(index + 1):
                done[before] = 1
            encoded = partial_id(encoded, done)
        else:
            encoded = entry_before(message_id)
            entry -= 1
    extra_of(core, Cumulative).add(encoded, (ledger, entry, part))


def _mark(core, message_id, index):
    """The first messages of an entry are done with; the others may be acknowledged one by one."""
    entry = entry_of(core, message_id)
    done = entry.flags()
    if not all(done):
        for before in range(index + 1):
            done[before] = done[before] or 1
        if all(done):
            core.acknowledged(entry.message_id)


def entry_before(message_id):
    """The encoded id of the entry before that of a MessageId."""
    partition = message_id.partition()
    return encode(
        1, message_id.ledger_id(), 2, message_id.entry_id() - 1, 3, None if partition < 0 else partition
    )
