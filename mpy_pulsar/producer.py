"""Producer: what an application sends with. The work is done by core/producer_core, without a task of its own."""
import asyncio

from .endpoint import Endpoint
from .errors import AlreadyClosed, PulsarError, QueueFull, Timeout
from .wire.batch import ENTRY_HEAD

_BYTES = (bytes, bytearray, memoryview)


class Ticket:
    """Where tasks wait for the receipt of one batch; made only where somebody waits."""

    batch = 0  # its number, where a flush waits for it

    def __init__(self):
        self.senders = 0  # messages of the batch whose fate somebody waits for
        self.settled = asyncio.Event()

    def finish(self, message_id, size, error):
        """The broker's word: an encoded message id and the messages in the batch (0: unbatched), or an error."""
        self.message_id = message_id
        self.size = size
        self.error = error
        self.settled.set()


class Producer(Endpoint):
    """Sends messages to one topic. Made by `Client.create_producer`; `async with` closes it at the end."""

    newest = None  # features/when_full, where it drops what finds no room

    def __init__(self, core, batching=True, block=True):
        """core: ProducerCore. batching: may messages share a frame? block: does `send` wait for room?"""
        super().__init__(core)
        self._ring = core.ring
        self.batching = batching
        self.block = block
        self._add = core.ring.add if batching else core.ring.add_unbatched
        self._refuse_unfit = core.ring.refuse_unfit
        self.freed = asyncio.Event()
        self.line = None  # the Lock by which those take turns who wait for room
        self.waiting = 0  # how many they are
        core.room = self.freed.set

    def send_nowait(self, content):
        """Queue a message of bytes, bytearray or memoryview of bytes; allocates nothing on the heap. An array of bytes
        will do too. TypeError: it is something else; a board cannot tell that of a memoryview here.

        Its outcome is the flush's. QueueFull: no room now, it was not taken. MessageTooBig: it never fits.

        when_full="drop_oldest": batches that were never transmitted are dropped, oldest first, until it fits;
        QueueFull only where what was transmitted and has no receipt yet takes all the room. "drop_newest": what finds
        no room is not taken, and nothing is raised. What was dropped the next flush tells, and `stats` counts.
        """
        if content.__class__ not in _BYTES:
            from .features.payload import check

            check(content)
        try:
            wake = self._add(content)
        except QueueFull:
            self.core.wake()  # for a batch that waits for its delay
            raise
        if wake:
            self.core.wake()

    async def send(
        self, content, *, properties=None, partition_key=None, ordering_key=None, sequence_id=None,
        replication_clusters=None, disable_replication=None, event_timestamp=None, deliver_at=None, deliver_after=None
    ):
        """Send a message and wait for the broker's receipt: its MessageId.

        content: bytes, or a bytearray, memoryview or array of bytes; None: no value, which deletes its key from a
        compacted topic. properties: dict of str to str. partition_key: str, or bytes, which travel in base64.
        ordering_key: bytes or str. sequence_id: int above those of all messages before; such a message goes alone.
        event_timestamp: ms since 1970. deliver_at (ms since 1970), deliver_after (ms or a timedelta): not before then,
        for subscriptions that share messages; goes alone.

        Waits for room in the send buffer, in the order of calls, or raises QueueFull (block_if_queue_full).
        PulsarError: its text says whether the message was not sent or not stored, or whether its fate is unknown.
        ValueError, TypeError: a field is wrong, nothing was sent.
        """
        from .features.sending import send

        return await send(
            self, content,
            (properties, partition_key, ordering_key, sequence_id, event_timestamp, deliver_at, deliver_after),
            replication_clusters, disable_replication,
        )

    async def send_batch(self, contents):
        """Send a list of messages, in one entry where they fit one, and wait for all receipts: a list of MessageId.

        Raises the first error there is, once the outcome of all is known.
        """
        from .features.sending import send_batch

        return await send_batch(self, contents)

    def ticket(self, batch):
        """The Ticket of a batch that is not settled yet."""
        tickets = self.core.tickets
        ticket = tickets.get(batch)
        if ticket is None:
            ticket = tickets[batch] = Ticket()
        return ticket

    def has_room(self, size):
        """Will `send_nowait` take a message of `size` bytes now, and drop none? bool; allocates nothing."""
        return self._ring.has_room(size)

    async def room(self, size):
        """Until `send_nowait` takes a message of `size` bytes. Raises what ended the producer, or MessageTooBig."""
        while not self.has_room(size):
            self.core.check()
            self._refuse_unfit(size + ENTRY_HEAD)
            self._ring.full = True
            self.core.wake()
            self.freed.clear()
            await self.freed.wait()

    async def flush(self):
        """Until all that was queued has its receipt. Raises what ended the producer, or the first refusal since the
        flush before of messages that no other call waits for (those of `send_nowait`)."""
        core = self.core
        ring = self._ring
        if not ring.idle():
            core.check()
            ring.close_batch()
            last = ring.last_batch()
            core.wake()
            while ring.oldest <= last or (core.requeued and ring.oldest <= core.requeued[-1]):
                if core.failure:
                    raise core.failure.again("; messages without a receipt may be stored or not")
                # The last is not always the last to settle: a refusal overtakes the receipts before it.
                if not ring.holds(last):
                    await self.ticket(ring.oldest).settled.wait()
                    continue
                ticket = self.ticket(last)
                ticket.batch = last
                await ticket.settled.wait()
                last = ticket.batch - 1  # where batches were dropped it has moved up
        core.check_refused()

    async def close(self):
        """Send what is queued, then close it at the broker; nothing more is taken from now on. Twice does no harm.

        Cancelled, it goes on closing, but no longer waits for receipts.
        """
        core = self.core
        error = None
        if not core.failure:
            # What came after the flush had begun would be taken and then thrown away. Who waits for room is told.
            self._ring.fail(AlreadyClosed("%s: closed" % core.topic))
            self.freed.set()
            try:
                await asyncio.wait_for(self.flush(), core.timeout / 1000)
            except asyncio.TimeoutError:
                error = Timeout(
                    "%s: closed, messages without a receipt after %d ms: their fate is unknown"
                    % (core.topic, core.timeout)
                )
            except PulsarError as refusal:
                error = refusal
            finally:
                # Also where this is cancelled: the supervisor sees to the rest.
                self._start_close()
        elif not isinstance(core.failure, AlreadyClosed):
            error = core.refused
            core.refused = None
            if not self._ring.idle():
                error = core.failure.again("; messages without a receipt may be stored or not")
        await self._closed()
        if error:
            raise error

    def last_sequence_id(self):
        """The highest sequence id that the broker has confirmed, of before this producer too; -1: none."""
        return self.core.last_sequence_id()

    def producer_name(self):
        """The name given, or the one that the broker made."""
        return self.core.name
