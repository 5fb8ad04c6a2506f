"""What the tests of when_full="drop_oldest" share."""
import asyncio

from mpy_pulsar.errors import QueueFull
from mpy_pulsar.features.new_producer import make_producer
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, Ticket, Watch
from tests.unit.wire_support import read_batch, read_send

_TURNS = 20


def make(**options):
    """A producer without a broker, its batches of one message where nothing else is said."""
    defaults = {"send_buffer_size": 1200, "batching_max_messages": 1, "send_timeout_millis": 0}
    defaults.update(options)
    producer = make_producer(TOPIC, 1, TIMEOUT, when_full="drop_oldest", **defaults)
    producer.core.watch = Watch(producer.core)
    producer.core.room = producer.freed.set
    return producer


def opened(**options):
    """A broker, and such a producer open at it."""
    broker, producer = Broker(), make(**options)
    broker.open(producer.core)
    return broker, producer


def run_in_loop(test):
    """In a loop, which CPython 3.9 wants for the events of a producer."""
    async def run():
        test()

    asyncio.run(run())


async def turns():
    """Let every task run as far as it can without input."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def error_of(awaitable):
    """The QueueFull that a call ends with, None: it succeeds."""
    try:
        await awaitable
    except QueueFull as error:
        return error
    return None


def send_with_ticket(producer, payload):
    """Queue a message and hear of it: the Ticket."""
    producer.send_nowait(payload)
    core = producer.core
    return core.tickets.setdefault(core.ring.last_batch(), Ticket())


def contents_of(frames):
    """The payloads in frames of batches."""
    found = []
    for frame in frames:
        found += [content for _, content in read_batch(read_send(frame)[4])]
    return found


def confirm(broker, core):
    """Receipts for all that is in flight."""
    ring = core.ring
    while ring.oldest < ring.unsent:
        broker.receipt(ring._sequences[ring.oldest % ring._slots])
