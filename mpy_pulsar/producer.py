"""Producer: what an application sends with. The work is done by core/producer_core, without a task of its own."""
import asyncio

from .core.producer_core import ProducerCore, entry_metadata
from .endpoint import Endpoint
from .errors import AlreadyClosed, QueueFull, Timeout
from .port import BATCH_BYTES, BATCH_MESSAGES, BATCHES, SEND_BUFFER
from .wire.batch import ENTRY_HEAD, BatchRing


def make_producer(
    topic, producer_id, timeout, *, producer_name=None, properties=None, access_mode=0, send_buffer_size=None,
    batching_max_messages=None, batching_max_allowed_size_in_bytes=None, batching_max_publish_delay_ms=0,
):
    """A Producer of a full topic name. For `create_producer`, whose options these are:

    producer_name: str of at most 64 bytes; without one the broker makes one. properties: dict of str to str.
    access_mode: 0 Shared, 1 Exclusive, 2 WaitForExclusive. send_buffer_size: bytes for messages until their receipt
    (4 KB on a board, 2 MB on CPython), or a bytearray made before (small heaps fragment). batching_max_messages: 100 on
    a board, 1000 on CPython; batching_max_allowed_size_in_bytes: 4 KB, 128 KB. batching_max_publish_delay_ms: how long
    a batch that is not full waits; 0: it leaves as soon as the link is free, and what comes meanwhile joins the next.
    """
    buffer = SEND_BUFFER if send_buffer_size is None else send_buffer_size
    if not isinstance(buffer, bytearray):
        buffer = bytearray(buffer)
    messages = BATCH_MESSAGES if batching_max_messages is None else batching_max_messages
    size = BATCH_BYTES if batching_max_allowed_size_in_bytes is None else batching_max_allowed_size_in_bytes
    if messages < 1 or size < 1 or batching_max_publish_delay_ms < 0:
        raise ValueError("batching limits must be at least 1, the delay at least 0")
    ring = BatchRing(buffer, producer_id, BATCHES, messages, size)
    core = ProducerCore(
        topic, producer_id, timeout, ring, producer_name, access_mode, properties, batching_max_publish_delay_ms
    )
    return Producer(core)


def _message_id(*parts):
    # Loaded on demand: who only uses send_nowait never holds an id.
    from .core.message_id import MessageId

    return MessageId(*parts)


class Ticket:
    """Where tasks wait for the receipt of one batch; made only where somebody waits."""

    def __init__(self):
        self.size = 0
        self._done = asyncio.Event()
        self._message_id = None
        self._error = None

    def finish(self, message_id, size, error):
        """The broker's word: an encoded message id and the messages in the batch (0: unbatched), or an error."""
        self.size = size
        self._message_id = message_id
        self._error = error
        self._done.set()

    async def wait(self):
        """The encoded id of the entry; raises what became of the batch instead."""
        await self._done.wait()
        if self._error:
            raise self._error
        return self._message_id


class Producer(Endpoint):
    """Sends messages to one topic. Made by `Client.create_producer`; `async with` closes it at the end."""

    def __init__(self, core):
        super().__init__(core)
        self._ring = core.ring
        self._add = core.ring.add
        self._room = asyncio.Event()
        core.room = self._room.set

    def send_nowait(self, content):
        """Queue a message of bytes, bytearray or memoryview of bytes; allocates nothing on the heap.

        Its outcome is the flush's. QueueFull: no room now, it was not taken. MessageTooBig: it never fits.
        """
        if content.__class__ is str:
            raise TypeError("a message is bytes: encode the str first")
        if self._add(content):
            self.core.wake()

    async def send(self, content, *, properties=None, partition_key=None, ordering_key=None, event_timestamp=None):
        """Send a message and wait for the broker's receipt: its MessageId.

        content: bytes-like. properties: dict of str to str. partition_key: str. ordering_key: bytes. event_timestamp:
        ms since 1970. Waits for room in the send buffer. PulsarError: it was not stored, or its fate is unknown where
        the text says so.
        """
        await self._queue(content, properties, partition_key, ordering_key, event_timestamp)
        index = self._ring.last_index()
        ticket = self._ticket(self._ring.last_batch())
        encoded = await ticket.wait()
        return _message_id(encoded, index, ticket.size)

    async def send_batch(self, contents):
        """Send a list of messages, in one entry where they fit one, and wait for all receipts: a list of MessageId."""
        ring = self._ring
        ring.close_batch()
        places = []
        for content in contents:
            await self._queue(content, None, None, None, None)
            places.append((self._ticket(ring.last_batch()), ring.last_index()))
        ring.close_batch()
        self.core.wake()
        ids = []
        for ticket, index in places:
            encoded = await ticket.wait()
            ids.append(_message_id(encoded, index, ticket.size))
        return ids

    async def _queue(self, content, properties, partition_key, ordering_key, event_timestamp):
        if content.__class__ is str:
            raise TypeError("a message is bytes: encode the str first")
        core = self.core
        size = len(content)
        metadata = None
        if properties or partition_key is not None or ordering_key is not None or event_timestamp is not None:
            metadata = entry_metadata(size, properties, partition_key, ordering_key, event_timestamp)
        while True:
            try:
                if metadata is None:
                    wake = self._add(content)
                else:
                    wake = self._ring.add_entry(content, metadata)
            except QueueFull:
                core.wake()
                self._room.clear()
                await self._room.wait()
                continue
            if wake:
                core.wake()
            return

    def _ticket(self, batch):
        tickets = self.core.tickets
        ticket = tickets.get(batch)
        if ticket is None:
            ticket = tickets[batch] = Ticket()
        return ticket

    def has_room(self, size):
        """Will `send_nowait` take a message of `size` bytes now? bool; allocates nothing."""
        return self._ring.has_room(size)

    async def room(self, size):
        """Until `send_nowait` takes a message of `size` bytes. Raises what ended the producer, or MessageTooBig."""
        ring = self._ring
        while not ring.has_room(size):
            self.core.check()
            ring.refuse_unfit(size + ENTRY_HEAD)
            self.core.wake()
            self._room.clear()
            await self._room.wait()

    async def flush(self):
        """Until all that was queued has its receipt. Raises what ended the producer, or became of the last batch, or
        the first refusal since the flush before of messages that no other call waited for."""
        ring = self._ring
        if not ring.idle():
            self.core.check()
            ring.close_batch()
            ticket = self._ticket(ring.last_batch())
            self.core.wake()
            await ticket.wait()
        self.core.check_refused()

    async def close(self):
        """Send what is queued, then close it at the broker; nothing more is taken from now on. Twice does no harm."""
        core = self.core
        if core.failure:
            await self._closed()
            return
        # What came after the flush had begun would be taken and then thrown away.
        self._ring.fail(AlreadyClosed("%s: closed" % core.topic))
        try:
            await asyncio.wait_for(self.flush(), core.timeout / 1000)
        except asyncio.TimeoutError:
            raise Timeout(
                "%s: closed with messages that the broker has not confirmed within %d ms: their fate is unknown"
                % (core.topic, core.timeout)
            )
        finally:
            self._start_close()
            await self._closed()

    def producer_name(self):
        """The name given, or the one that the broker made."""
        return self.core.name
