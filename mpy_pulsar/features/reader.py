"""Reader: reads a topic from a place of its own choice, and leaves nothing behind at the broker."""
import random

from ..consumer import Consumer
from ..core.consumer_core import ConsumerCore
from ..core.handle import READY
from ..core.message_id import MessageId
from ..errors import PulsarError
from ..port import const
from ..wire.consumer_commands import subscribe
from ..wire.writer import message as encode
from .start import Start

_WHOLE = const(1 << 28)


def make_reader(
    topic, reader_id, timeout, start_message_id, *, receiver_queue_size=None, reader_name=None,
    subscription_role_prefix=None, start_message_id_inclusive=False, acknowledge_unreadable=False, wait=True,
    **others
):
    """A Reader of a full topic name. For `create_reader`, whose options these are:

    start_message_id: MessageId.earliest, MessageId.latest or any other, a serialized one too. receiver_queue_size: as
    of `subscribe`. reader_name: str, for the broker's statistics. subscription_role_prefix: what the name of its
    subscription begins with, where the broker's permissions want it so. start_message_id_inclusive: is the message of
    that id read too? acknowledge_unreadable: see `subscribe`; here it only spares the broker's statistics. wait: as of
    `subscribe`.
    """
    if others:
        from .options import refuse

        refuse("create_reader", others)
    if isinstance(start_message_id, (bytes, bytearray)):
        start_message_id = MessageId.deserialize(start_message_id)
    if not isinstance(start_message_id, MessageId):
        raise ValueError("start_message_id is a MessageId or a serialized one, not %r" % (start_message_id,))
    name = "reader-%05x%05x" % (random.getrandbits(20), random.getrandbits(20))
    if subscription_role_prefix:
        name = subscription_role_prefix + "-" + name
    from .new_consumer import permits_of

    core = ReaderCore(topic, reader_id, timeout, name, 0, 0, permits_of(receiver_queue_size), reader_name or name)
    core.inclusive = bool(start_message_id_inclusive)
    core.acknowledges_unreadable = acknowledge_unreadable
    core.start_from(start_message_id, core.inclusive)
    core.established = not wait
    return Reader(core)


class ReaderCore(ConsumerCore):
    """A consumer without a durable subscription: after a lost link it goes on behind the last message it handed out."""

    inclusive = False
    acknowledges_unreadable = False
    afresh = False  # is it to be opened again behind that entry, since nobody knows what it cost?
    _unread = None  # the last one that was behind nothing else
    _given_up = None  # MessageId of an entry behind all that is queued, or that was

    def __init__(self, *args):
        super().__init__(*args)
        self.last = None  # MessageId handed out last; None: none since the start or the last seek
        self.time = None  # publish time sought, as long as nothing came of it

    def start_from(self, message_id, inclusive):
        """The place to read from."""
        self.first = message_id
        self.from_first = inclusive
        place = message_id != MessageId.earliest and message_id != MessageId.latest
        self.start = Start(message_id, inclusive, True) if place else None

    def open_command(self, request_id):
        if self.last:
            self.start_from(self.last, False)
        else:
            self.start_from(self.first, self.from_first)  # again, if it was passed already
        first = self.first.serialize()
        if self.last and self.last is self._unread:
            # A broker begins with the very entry that it is told; that one would bring us back here for ever.
            first = encode(1, self.last.ledger_id(), 2, self.last.entry_id() + 1)
        return subscribe(
            self.topic, self.subscription, self.consumer_type, self.id, request_id, self.name, durable=False,
            start_message_id=first, epoch=self.epoch,
        )

    def take(self):
        last = MessageId(b"")  # before the message is taken: without memory for it nothing has happened
        message = super().take()
        if message is not None:
            entry = message._entry
            last.encoded = entry.message_id
            last._index = message._index
            last._batch_size = entry.count
            self.last = last
            self.time = None
        if self._given_up:
            self._pass()
        return message

    def on_lost(self):
        if self.last is None and self._queue and self.first == MessageId.latest:
            # At the latest again it would miss what came and was not taken.
            entry = self._queue[0]
            self.start_from(MessageId(entry.message_id, entry.index if entry.count else -1, entry.count), True)
        self._given_up = None
        self.afresh = False
        super().on_lost()
        # Its place at the broker ends with the link.
        self._acks = []
        self._sent.clear()

    def give_up(self, encoded):
        """An entry cannot be read: once nothing older waits, the reader's place is behind it."""
        self._given_up = MessageId(encoded)
        self._pass()

    def _pass(self):
        if not self._queue:
            if not self.last or _key(self.last, _WHOLE) < _key(self._given_up, _WHOLE):
                self.last = self._unread = self._given_up
                self.time = None
            self._given_up = None
            if self.afresh and self.state == READY:
                from .unreadable import reopen

                self.afresh = False
                reopen(self, PulsarError("%s: opened again behind an entry of unknown cost" % self.topic))

    def sought(self, call):
        """A seek has succeeded."""
        self.last = self._given_up = None
        self.time = call.time
        self.start_from(call.message_id or MessageId.earliest, self.inclusive)

    def waiting(self):
        """Is there a message to be taken?"""
        for entry in self._queue:
            done = entry.done
            if not done or not all(done[entry.index:]):
                return True
        return False


class Reader(Consumer):
    """Reads the messages of one topic. Made by `Client.create_reader`; `async with` closes it at the end."""

    def __init__(self, core):
        super().__init__(core)
        self._last_known = None  # MessageId of the topic's last message, as far as the broker was asked

    async def read_next(self, timeout_millis=None):
        """The next Message; waits for it, at most timeout_millis: Timeout. Cancelling the wait loses nothing."""
        message = await self.receive(timeout_millis)
        try:
            self.core.acknowledge(message)  # so that the broker's backlog of this reader shrinks
        except MemoryError:
            pass  # which is no reason to lose the message
        return message

    async def has_message_available(self):
        """Is there a message that was not read yet? bool; asks the broker where that is not known."""
        core = self.core
        if core.waiting() or self._is_behind(self._last_known):
            return True
        from .requests import last_message

        answer = await last_message(self)
        last = self._last_known = MessageId.deserialize(answer.last)
        if last.entry_id() < 0:
            return core.waiting()
        if core.last or (core.time is None and core.first != MessageId.latest):
            return self._is_behind(last) or core.waiting()
        if core.time is None and core.inclusive:
            # From the latest message on, that one included: only now is it known which one that is.
            await self.seek(last)
            return True
        marked = answer.marked and MessageId.deserialize(answer.marked)
        return bool(marked) and _place(marked) < _place(last) or core.waiting()

    def _is_behind(self, last):
        """Is the reader's place before that of a MessageId, the topic's last?"""
        core = self.core
        if not last or last.entry_id() < 0 or core.time is not None:
            return False
        if core.last or not core.from_first:
            return _key(core.last or core.first, _WHOLE) < _key(last, _WHOLE)
        return _key(core.first, -1) <= _key(last, _WHOLE)

    async def seek(self, messageid):
        """Go on from a MessageId, or from the first message published at a time (int, ms since 1970) or later."""
        self._last_known = None
        await super().seek(messageid)

    def __aiter__(self):
        return self

    __anext__ = read_next


def _place(message_id):
    return message_id.ledger_id(), message_id.entry_id()


def _key(message_id, whole):
    """To compare places. whole: the index that stands for an id without one, which means its whole entry."""
    index = message_id._index
    return message_id.ledger_id(), message_id.entry_id(), index if index >= 0 else whole
