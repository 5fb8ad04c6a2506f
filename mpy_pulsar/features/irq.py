"""Sending from an interrupt, or on CPython from another thread: `create_producer(…, irq_slots=8, irq_bytes=16)`.

`producer.from_irq(buffer)` may be called from an interrupt, a hard one too, from `micropython.schedule`, from a thread
on CPython, and in the event loop. No other method of a producer may. It copies the buffer into a free slot and sets a
flag; a task of the event loop hands it to `send_nowait`. It allocates nothing, waits for nothing and raises nothing:
False says that the message was dropped, since all slots were taken or it was longer than `irq_bytes`;
`producer.irq.dropped` counts those. On a board only one interrupt at a time may use a producer: of two with different
priorities the one could break into the other's call.
"""
import asyncio

from ..errors import PulsarError, QueueFull
from ..net.stream import ThreadSafeFlag, sleep_ms
from ..port import collect, const

_NO_MEMORY_PAUSE = const(10)  # ms


class FromIrq:
    """Slots between an interrupt, which fills them, and a task, which empties them; each moves one index only.

    The producer that it is made for gets `irq`, this, and `from_irq`, its `put`.
    """

    def __init__(self, producer, slots, size):
        """slots: messages that may wait, at least 1. size: bytes of the longest. To be made in the event loop."""
        if slots < 1 or size < 1:
            raise ValueError("irq_slots and irq_bytes must be at least 1")
        self.dropped = 0  # messages
        # One slot stays empty: equal indexes mean that all are.
        self._slots = [bytearray(size) for _ in range(slots + 1)]
        self._views = [memoryview(slot) for slot in self._slots]
        self._sizes = [0] * (slots + 1)
        self._size = size
        self._count = slots + 1
        self._head = 0  # the slot that is filled next
        self._tail = 0  # the slot that is sent next
        self._producer = producer
        self._flag = ThreadSafeFlag()
        guarded = getattr(self._flag, "guarded", None)
        self.put = guarded(self._put) if guarded else self._put
        self._room = producer.core.room
        producer.core.room = self._freed
        producer.irq = self
        producer.from_irq = self.put
        self._task = asyncio.create_task(self._run())

    def _put(self, buffer):
        """Take a message, of bytes or a bytearray: bool, False where it was dropped."""
        head = self._head
        following = head + 1
        if following == self._count:
            following = 0
        size = len(buffer)
        if following == self._tail or size > self._size:
            self.dropped += 1
            return False
        slot = self._slots[head]
        at = 0
        while at < size:
            slot[at] = buffer[at]
            at += 1
        self._sizes[head] = size
        self._head = following
        self._flag.set()
        return True

    def _freed(self):
        """There is room in the send buffer, or the producer has ended."""
        self._room()
        self._flag.set()

    async def _run(self):
        core = self._producer.core
        while not core.failure:
            try:
                while self._tail != self._head:
                    tail = self._tail
                    self._producer.send_nowait(self._views[tail][:self._sizes[tail]])
                    self._tail = (tail + 1) % self._count
            except QueueFull:
                core.wake()
            except MemoryError:
                # The message keeps its slot; a later try may find more.
                collect()
                await sleep_ms(_NO_MEMORY_PAUSE)
                continue
            except PulsarError as error:
                if not core.failure and not core.ring.failure:
                    # It never fits; whatever comes behind it may.
                    self._tail = (self._tail + 1) % self._count
                    self.dropped += 1
                    core.report(error)
                    continue
            await self._flag.wait()
        self.dropped += (self._head - self._tail) % self._count
