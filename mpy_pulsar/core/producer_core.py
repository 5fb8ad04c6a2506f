"""A producer without sockets or tasks: its ring of batches, what the broker says of them, and who waits for what."""
from ..errors import ProtocolError, PulsarError
from ..port import const, ticks_diff
from ..wire.commands import key_values, producer
from ..wire.scanner import signed
from ..wire.writer import message
from .connection import broker_error
from .finding import Finding
from .handle import NEVER, READY, nothing
from .retry import verdict

_CLOSE_PRODUCER = const(15)
_PRODUCER_SUCCESS = const(17)
_LOW = const(28)
_LOW_MASK = const(0xFFFFFFF)
_NAME_MOST = const(64)
_NOWHERE_SIZE = const(22)
_NOWHERE = b"\x08" + b"\xff" * 9 + b"\x01\x10" + b"\xff" * 9 + b"\x01"  # ledger and entry -1
_OUT_OF_STEP = const(-2)

_CHECKSUM_ERROR = const(9)
_NOT_ALLOWED = const(22)


class ProducerCore(Finding):
    """Bytes in the ring until the broker's receipt. Calls on its owner besides a handle's: room() when some was freed.

    `tickets` holds, by batch number, what wants to hear of that batch: anything with
    finish(message_id, size of the batch, error).
    """

    close_kind = _CLOSE_PRODUCER
    opened_kind = _PRODUCER_SUCCESS

    def __init__(self, topic, handle_id, timeout, ring, name=None, access_mode=0, properties=None, delay=0):
        """ring: BatchRing. name: str, at most 64 bytes of UTF-8; None: the broker makes one. properties: dict of str.

        delay: ms for which a batch that is not full waits for more; 0: it leaves when the link's writer is free.
        """
        super().__init__(topic, handle_id, timeout)
        self.ring = ring
        self.name = name
        self.room = nothing
        self.tickets = {}
        self.refused = None  # the first refusal of a batch that had no ticket, until a flush takes it
        self._refusals = []  # (last id, error) of batches that the broker refused before older ones had their receipts
        self._named_by_user = name is not None
        self._access_mode = access_mode
        self.speculates = access_mode == 0  # an exclusive one may be queued, which is an answer of its own
        self._properties = key_values(properties)
        self._epoch = -1
        self._delay = delay
        self._opened = -1  # the batch whose delay is counted, and since when
        self._opened_at = 0
        if name is not None:
            self._set_name(name)

    def _set_name(self, name):
        encoded = name.encode()
        if not 0 < len(encoded) <= _NAME_MOST:
            raise ValueError("producer name %r: use 1 to %d bytes of UTF-8" % (name, _NAME_MOST))
        self.name = name
        self.ring.set_name(encoded)

    def open_command(self, request_id):
        self._epoch += 1
        return producer(
            self.topic, self.id, request_id, self.name, self._epoch, self._named_by_user, self._access_mode,
            self._properties,
        )

    def on_opened(self, number, buffer, fields):
        if fields.value[6] == 0:
            # Queued behind another producer: a second success follows when it is our turn.
            self.connection.expect_again(number, self)
            return False
        ring = self.ring
        ring.largest = self.connection.max_message_size
        if self.name is None:
            try:
                self._set_name(fields.text(buffer, 2))
            except ValueError as error:
                raise ProtocolError("the broker's producer name: %s" % error)
        if not self.established:
            # What the topic remembers of this name; it confirms nothing, it only says where new ids start.
            first = signed(fields.integer(buffer, 3, 0xFFFFFFFFFFFFFFFF)) + 1
            if first > ring.sequence_high << _LOW | ring.sequence:
                ring.sequence = first & _LOW_MASK
                ring.sequence_high = first >> _LOW
        return True

    def on_lost(self):
        self._refusals = []  # those are sent again, and refused again
        self.ring.rewind()

    def next_frame(self, clock, now):
        """The slot in the ring of the frame to transmit now; -1 where there is none, `due` then says when."""
        self.due = NEVER
        if self.state != READY:
            return -1
        ring = self.ring
        if self._delay and ring.only_open():
            # Nobody looked at the clock when the message was sent; that first message woke the writer, who does now.
            if self._opened != ring.open:
                self._opened = ring.open
                self._opened_at = now
            left = self._delay - ticks_diff(now, self._opened_at)
            if left > 0:
                self.due = left
                return -1
        return ring.next_frame(clock.low, clock.high)

    def on_receipt(self, buffer, fields):
        # The id first: where it is none the link goes down, with the batch still in the ring.
        message_id = fields.bytes(buffer, 3) if self.tickets else None
        number = self.ring.receipt(fields.value[2])
        if number < 0:
            if number == _OUT_OF_STEP:
                raise ProtocolError("a receipt for a message that is not the oldest in flight")
            return
        if fields.value[3] == _NOWHERE_SIZE and self._was_dropped(number, fields.bytes(buffer, 3)):
            count = max(self.ring.size_of(number), 1)
            error = PulsarError("%s: the broker dropped %d messages of ours" % (self.topic, count))
            self.report(error)
            self._finish(number, None, error)
        elif self.tickets:
            self._finish(number, message_id or b"", None)
        if self._refusals:
            self._fail_refused()
        self.room()
        if self.ring.waiting():
            # A slot is free again: the open batch may have waited for it.
            self.wake()

    def _was_dropped(self, number, message_id):
        """Does that receipt say "not stored"? For what was transmitted before, it says "stored then"."""
        if message_id != _NOWHERE:
            return False
        return number >= self.ring.resent or self.topic.startswith("non-persistent:")

    def on_send_error(self, sequence, code, text):
        """That frame was not stored. About the message alone: it fails, the producer lives. Else: reopen, resend."""
        error = broker_error(code, text, "sending to %s" % self.topic)
        if code == _CHECKSUM_ERROR or code == _NOT_ALLOWED:
            if len(self._refusals) < self.ring.unsent - self.ring.oldest:
                self._refusals.append((sequence, error))
                self._fail_refused()
                if self.ring.waiting():
                    self.wake()  # as after a receipt
        elif verdict(code, True) == "f":
            self._leave()
            self.fail(error)
        else:
            self.retry(error)

    def _fail_refused(self):
        """Fail the refused batches that are the oldest in flight by now: refusals overtake the receipts before them."""
        ring = self.ring
        found = True
        while found:
            found = False
            for refusal in self._refusals:
                number = ring.refuse(refusal[0])
                if number >= 0:
                    found = True
                    self._refusals.remove(refusal)
                    self.report(refusal[1])
                    self._finish(number, None, refusal[1])
                    self.room()
                    break
        if ring.oldest == ring.unsent:
            self._refusals = []  # what is left named nothing that was in flight

    def fail(self, error):
        super().fail(error)
        self._end_waits()

    def start_close(self, now):
        super().start_close(now)
        self._end_waits()

    def _end_waits(self):
        """Nothing is accepted any more, and nobody waits for what will not come."""
        self.ring.fail(self.failure)
        for number in list(self.tickets):
            self._finish(number, None, self.failure)
        self.room()

    def _finish(self, number, message_id, error):
        ticket = self.tickets.pop(number, None)
        if ticket:
            ticket.finish(message_id, self.ring.size_of(number), error)
        elif error and not self.refused:
            self.refused = error

    def check_refused(self):
        """Raise, once, the refusal of a batch that nobody waited for."""
        error = self.refused
        if error:
            self.refused = None
            raise error


def entry_metadata(size, properties, partition_key, ordering_key, event_timestamp):
    """SingleMessageMetadata of a message of `size` bytes in a batch."""
    return message(
        1, key_values(properties), 2, partition_key, 3, size, 5, event_timestamp, 7, ordering_key,
    )
