"""A producer without sockets or tasks: its ring of batches, what the broker says of them, and who waits for what."""
from ..errors import ProtocolError
from ..port import const, ticks_diff
from ..wire.commands import producer
from ..wire.scanner import signed
from .finding import Finding
from .handle import CLOSING, NEVER, OPENING, READY, nothing

_CLOSE_PRODUCER = const(15)
_PRODUCER_SUCCESS = const(17)
_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
_NAME_MOST = const(64)
_METADATA_MOST = const(48)  # of a batch, besides the name
_NOWHERE_SIZE = const(22)
_NOWHERE = b"\x08" + b"\xff" * 9 + b"\x01\x10" + b"\xff" * 9 + b"\x01"  # ledger and entry -1
_OUT_OF_STEP = const(-2)
_WAIT_FOR_EXCLUSIVE = const(2)

# In `counts`. Sums of bytes and of ms are two halves, so that they stay small numbers.
_ACKNOWLEDGED = const(1)
_BATCHES = const(2)
_RESENT = const(3)
_BYTES = const(4)
_BYTES_HIGH = const(5)
_TRIP_TOTAL = const(6)
_TRIP_TOTAL_HIGH = const(7)
_TRIP_LEAST = const(8)
_TRIP_MOST = const(9)
_UNKNOWN = const(10)
_COUNTS = const(16)


class ProducerCore(Finding):
    """Bytes in the ring until the broker's receipt. Calls on its owner besides a handle's: room() when some was freed.

    `tickets` holds, by batch number, what wants to hear of that batch: anything with `senders` (how many of its
    messages somebody waits for) and finish(message_id, size of the batch, error).
    """

    close_kind = _CLOSE_PRODUCER
    opened_kind = _PRODUCER_SUCCESS
    # Numbers of batches, for features/refusal: refused once and perhaps sent again with their ids; damaged on the way
    # and not moved yet; moved behind all others, with new ids.
    suspects = damaged = requeued = ()
    refusal = None  # what the broker said of the last damaged one
    last_own = -1  # the last sequence id that the application gave
    dropping = None  # features/dropping, where something may be dropped

    def __init__(self, topic, handle_id, timeout, ring, name=None, access_mode=0, properties=None, delay=0, first=0):
        """ring: BatchRing. name: str, at most 64 bytes of UTF-8; None: the broker makes one. properties: dict of str.

        delay: ms for which a batch that is not full waits for more; 0: it leaves when the link's writer is free.
        first: the first sequence id, unless the broker remembers higher ones of this name.
        """
        super().__init__(topic, handle_id, timeout)
        self.ring = ring
        self.name = name
        self.room = nothing
        self.tickets = {}
        self.refused = None  # the first refusal of messages that nobody waits for, until a flush takes it
        self.timeouts = None  # features/send_timeout, where there is one
        self.remembered = first - 1  # the highest id of before: by the application, or by the broker
        self.queued = False  # has the broker accepted it, to wait for its turn?
        self._named_by_user = name is not None
        self._access_mode = access_mode
        self.speculates = access_mode == 0  # an exclusive one may be queued, which is an answer of its own
        self._properties = None
        if properties:
            from ..wire.properties import key_values

            self._properties = key_values(properties)
        self._epoch = -1
        self._topic_epoch = None
        self._frame_most = 0  # bytes
        self._delay = delay
        self.due = NEVER  # here, since a first store may grow the object, which a locked heap forbids
        self._opened = -1  # the batch whose delay is counted, and since when
        self._opened_at = 0
        self.counts = [-1] + [0] * _COUNTS  # see features/stats; the first is that of openings after the first
        self.counts[_TRIP_LEAST] = _LOW_MASK
        self._sent_at = [0] * ring._slots  # by slot: tick of a frame's first transmission
        self._start_at(first)
        if name is not None:
            self._set_name(name)

    def _start_at(self, first):
        self.first_id = first
        self.ring.sequence = first & _LOW_MASK
        self.ring.sequence_high = first >> _LOW

    def _set_name(self, name):
        encoded = name.encode()
        if not 0 < len(encoded) <= _NAME_MOST:
            raise ValueError("producer name %r: use 1 to %d bytes of UTF-8" % (name, _NAME_MOST))
        self.name = name
        self.ring.set_name(encoded)

    def open_command(self, request_id):
        self._epoch += 1
        self.queued = False
        return producer(
            self.topic, self.id, request_id, self.name, self._epoch, self._named_by_user, self._access_mode,
            self._properties, self._topic_epoch,
        )

    def on_opened(self, number, buffer, fields):
        if fields.value[6] == 0:
            if self._access_mode != _WAIT_FOR_EXCLUSIVE:
                raise ProtocolError("%s: told to wait for its turn, which only access mode 2 does" % self.topic)
            # Behind another producer: a second success follows when it is our turn, however long that takes.
            self.connection.expect_again(number, self)
            self.queued = True
            self.attend()
            return False
        ring = self.ring
        most = self.connection.max_message_size
        if self.name is None:
            try:
                self._set_name(fields.text(buffer, 2))
            except ValueError as error:
                raise ProtocolError("the broker's producer name: %s" % error)
        self._topic_epoch = fields.integer(buffer, 5)
        # Metadata counts; a frame's sizes and its command do not.
        self._frame_most = most + ring.head_room
        ring.largest = most - _METADATA_MOST - len(ring.name)
        if self._ready_at is None:
            # What the topic remembers of this name; it confirms nothing, it only says where new ids start.
            last = signed(fields.integer(buffer, 3, 0xFFFFFFFFFFFFFFFF))
            if last > self.remembered:
                self.remembered = last
                self._start_at(last + 1)
        return True

    def on_lost(self):
        if self.timeouts:
            self.wake = self.timeouts.attend
        self.damaged = ()  # those are among what goes out again
        self.ring.rewind()

    def sweep(self, now):
        if self.queued and self.state == OPENING:
            self._born = None  # the time for opening begins anew where this place in the queue is lost
            left = NEVER
        else:
            left = super().sweep(now)
        if self.timeouts and not self.failure:
            left = min(left, self.timeouts.sweep(now))
        if self.dropping:
            left = min(left, self.dropping.sweep(now))
        return left

    def next_frame(self, clock, now):
        """The slot in the ring of the frame to transmit now; -1 where there is none, `due` then says when."""
        self.due = NEVER
        if self.timeouts:
            self.timeouts.stamp(now)
        if self.state != READY:
            return -1
        ring = self.ring
        if self._delay and not ring.full and ring.only_open():
            # Nobody looked at the clock when the message was sent; that first message woke the writer, who does now.
            if self._opened != ring.open:
                self._opened = ring.open
                self._opened_at = now
            left = self._delay - ticks_diff(now, self._opened_at)
            if left > 0:
                self.due = left
                return -1
        while True:
            number = ring.unsent
            if clock.high < clock.floor and number >= ring.resent:
                return -1  # what leaves for the first time gets its publish time now
            slot = ring.next_frame(clock.low, clock.high)
            if slot < 0:
                return slot
            size = ring.frame_end(slot) - ring.frame_start(slot)
            if size <= self._frame_most:
                counts = self.counts
                if number < ring.resent:
                    counts[_RESENT] += 1
                    return slot
                self._sent_at[slot] = now
                size += counts[_BYTES]
                if size > _LOW_MASK:
                    size &= _LOW_MASK
                    counts[_BYTES_HIGH] += 1
                counts[_BYTES] = size
                return slot
            # It was taken before this broker said what it takes.
            from ..features.refusal import too_large

            too_large(self, number, slot)

    def on_receipt(self, buffer, fields):
        # The id first: where it is none the link goes down, with the batch still in the ring.
        nowhere = fields.value[3] == _NOWHERE_SIZE
        message_id = fields.bytes(buffer, 3) if nowhere or self.tickets else None
        ring = self.ring
        low = ring.acked_low
        high = ring.acked_high
        number = ring.receipt(fields.value[2])
        if number < 0:
            if number == _OUT_OF_STEP:
                raise ProtocolError("a receipt for a message that is not the oldest in flight")
            return
        self._failures = 0
        error = None
        counts = self.counts
        slot = number % ring._slots
        messages = ring._counts[slot]
        if messages < 0:
            messages = 1  # it is unbatched
        if self.failure:
            counts[_UNKNOWN] -= messages  # as which they were counted when the producer ended
        if nowhere and message_id == _NOWHERE:
            from ..features.refusal import stored_nowhere

            error = stored_nowhere(self, number)
            if error:
                ring.acked_low = low
                ring.acked_high = high
        if not error:
            counts[_ACKNOWLEDGED] += messages
            counts[_BATCHES] += 1
            took = ticks_diff(self.connection.now, self._sent_at[slot])
            if took < counts[_TRIP_LEAST]:
                counts[_TRIP_LEAST] = took
            if took > counts[_TRIP_MOST]:
                counts[_TRIP_MOST] = took
            took += counts[_TRIP_TOTAL]
            if took > _LOW_MASK:
                counts[_TRIP_TOTAL_HIGH] += took >> _LOW
                took &= _LOW_MASK
            counts[_TRIP_TOTAL] = took
        if error or self.tickets:
            self._finish(number, message_id or b"", error)
        self._freed()

    def _freed(self):
        if self.damaged:
            from ..features.refusal import send_again

            send_again(self)
        self.room()
        if self.ring.waiting():
            # A slot is free again: the open batch may have waited for it.
            self.wake()

    def last_sequence_id(self):
        """The highest id that the broker has confirmed, or what it or the application said at first."""
        ring = self.ring
        return self.remembered if ring.acked_low < 0 else (ring.acked_high << _LOW) + ring.acked_low

    def on_send_error(self, sequence, code, text):
        if self.state == CLOSING:
            return  # nobody waits for a message any more, and what it leads to would open the producer again
        # Rare, so loaded when it comes.
        from ..features.refusal import on_send_error

        on_send_error(self, sequence, code, text)

    def fail(self, error):
        first = not self.failure
        super().fail(error)
        self._end_waits(first)

    def start_close(self, now):
        first = not self.failure
        super().start_close(now)
        self._end_waits(first)

    def _end_waits(self, first):
        """Nothing is accepted any more, and nobody waits for what will not come. first: did it not end before?"""
        self.ring.fail(self.failure)
        if not self.ring.idle():
            from ..features.refusal import end_waits

            end_waits(self, first)
        self.room()

    def _finish(self, number, message_id, error):
        ticket = self.tickets.pop(number, None)
        size = self.ring.size_of(number)
        if ticket:
            ticket.finish(message_id, size, error)
        if error and not self.refused and not (ticket and ticket.senders >= max(size, 1)):
            self.refused = error

    def check_refused(self):
        """Raise, once, the refusal of messages that nobody waited for."""
        error = self.refused
        if error:
            self.refused = None
            raise error.again()
