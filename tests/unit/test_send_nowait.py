"""`send_nowait` on a whole producer, from call to receipt, with MicroPython's heap locked; and what it refuses.

CPython has no such lock; there the same runs without it.
"""
import asyncio

from mpy_pulsar.core.producer_core import ProducerCore
from mpy_pulsar.errors import QueueFull
from mpy_pulsar.producer import Producer
from mpy_pulsar.wire import batch, kernels, kernels_plain, writer
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.commands import command
from tests.unit.fake_broker import SEND_RECEIPT, TIMEOUT, TOPIC, Broker, message_id
from tests.unit.support import raises

try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    def heap_lock():
        pass

    heap_unlock = heap_lock

_PAYLOAD = b"21.5 C, 40 %"
_BATCH = 10
_BATCHES = 3


async def _make(ring):
    # In a loop, which CPython 3.9 wants for the events of a producer.
    return Producer(ProducerCore(TOPIC, 1, TIMEOUT, ring))


def _open():
    broker = Broker()
    producer = asyncio.run(_make(BatchRing(bytearray(1200), 1, 8, _BATCH, 1200)))
    broker.open(producer.core)
    return broker, producer


def _send_in_locked_heap(broker, producer):
    """Three full batches and the start of a fourth; all transmitted, the first confirmed: frames taken."""
    core = producer.core
    connection = broker.connection
    buffer = connection.buffer
    receipt = command(SEND_RECEIPT, 1, 1, 2, 0, 3, message_id(0), 4, 0xFFFFFFFFFFFFFFFF)
    size = len(receipt)
    now = broker.now
    clock = broker.clock
    frames = 0
    heap_lock()
    try:
        for _ in range(_BATCH * _BATCHES + 1):
            if not producer.has_room(len(_PAYLOAD)):
                break
            producer.send_nowait(_PAYLOAD)
        while core.next_frame(clock, now) >= 0:
            frames += 1
        index = 0
        while index < size:
            buffer[index] = receipt[index]
            index += 1
        connection.feed(size, now)
    finally:
        heap_unlock()
    return frames


def _check():
    broker, producer = _open()
    ring = producer.core.ring
    assert _send_in_locked_heap(broker, producer) == _BATCHES + 1
    assert ring.oldest == 1 and ring.unsent == ring.open == _BATCHES + 1
    assert producer.core.ring.size_of(1) == _BATCH and ring.size_of(_BATCHES) == 1


def test_sending_until_a_receipt_allocates_nothing_with_the_fast_kernels():
    assert batch.put_entry is kernels.put_entry
    _check()


def test_sending_until_a_receipt_allocates_nothing_with_the_plain_kernels():
    kept = batch.copy, batch.put_checksum, batch.put_entry, writer.copy
    batch.copy, batch.put_checksum, batch.put_entry = (
        kernels_plain.copy, kernels_plain.put_checksum, kernels_plain.put_entry
    )
    writer.copy = kernels_plain.copy
    try:
        _check()
    finally:
        batch.copy, batch.put_checksum, batch.put_entry, writer.copy = kept


def test_text_is_refused_and_nothing_is_queued():
    _, producer = _open()
    raises(TypeError, producer.send_nowait, "21.5 \u00b0C")
    assert producer.core.ring.idle()


def test_a_full_buffer_says_so_and_takes_again_after_a_receipt():
    broker, producer = _open()
    sent = 0
    while producer.has_room(len(_PAYLOAD)):
        producer.send_nowait(_PAYLOAD)
        sent += 1
    assert sent > _BATCH
    raises(QueueFull, producer.send_nowait, _PAYLOAD)
    broker.sent(producer.core)
    broker.receipt(0)
    assert producer.has_room(len(_PAYLOAD))
    producer.send_nowait(_PAYLOAD)
