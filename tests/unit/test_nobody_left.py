"""Nobody waits for ever, nothing is thrown away unsaid, nothing grows without bound: cases at the edges."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.core.handle import CLOSED
from mpy_pulsar.core.producer_core import ProducerCore
from mpy_pulsar.errors import AlreadyClosed, MessageTooBig, ProtocolError, PulsarError
from mpy_pulsar.net.link import Link
from mpy_pulsar.producer import Producer
from mpy_pulsar.wire.batch import BatchRing
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.support import raises

_TURNS = 20


async def _turns():
    """Let every task run as far as it can without input."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _opened():
    broker = Broker()
    producer = Producer(ProducerCore(TOPIC, 1, TIMEOUT, BatchRing(bytearray(1200), 1, 8, 1, 1200)))
    broker.open(producer.core)
    return broker, producer


async def _outcome(awaitable, outcomes):
    try:
        outcomes.append(await awaitable)
    except Exception as error:  # noqa: BLE001
        outcomes.append(error)


def test_room_is_refused_for_every_size_that_will_never_fit():
    async def run():
        _, producer = _opened()
        for size in range(1000, 1210):
            if not producer.has_room(size):
                outcomes = []
                task = asyncio.create_task(_outcome(producer.room(size), outcomes))
                await _turns()
                task.cancel()
                assert outcomes and isinstance(outcomes[0], MessageTooBig), size
                raises(MessageTooBig, producer.send_nowait, bytes(size))

    asyncio.run(run())


def test_an_opening_ends_even_where_the_place_is_lost_in_the_same_breath():
    async def run():
        broker = Broker()
        core = ProducerCore(TOPIC, 1, TIMEOUT, BatchRing(bytearray(1200), 1, 8, 1, 1200))
        producer = Producer(core)
        outcomes = []
        task = asyncio.create_task(_outcome(producer.opened(), outcomes))
        await _turns()
        broker.open(core)
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        await _turns()
        task.cancel()
        assert outcomes == [None] and not producer.is_connected()

    asyncio.run(run())


def test_nothing_is_taken_once_closing_has_begun():
    async def run():
        broker, producer = _opened()
        producer.send_nowait(b"taken")
        outcomes = []
        task = asyncio.create_task(_outcome(producer.close(), outcomes))
        await _turns()
        raises(AlreadyClosed, producer.send_nowait, b"late")
        assert len(broker.sent(producer.core)) == 1
        broker.receipt(0)
        await _turns()
        broker.say(fake.SUCCESS, 1, broker.hear(fake.CLOSE_PRODUCER)[2])
        await task
        assert outcomes == [None] and producer.core.state == CLOSED

    asyncio.run(run())


def test_a_flush_tells_of_refused_messages_that_nobody_waited_for():
    async def run():
        broker, producer = _opened()
        for payload in (b"first", b"second"):
            producer.send_nowait(payload)
        broker.sent(producer.core)
        broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 22, 4, "too large for the topic")
        broker.receipt(1)
        outcomes = []
        for _ in range(2):
            await _outcome(producer.flush(), outcomes)
        assert isinstance(outcomes[0], PulsarError) and outcomes[0].code == 22
        assert outcomes[1] is None  # said once

    asyncio.run(run())


def test_a_refusal_that_frees_a_slot_lets_the_open_batch_go():
    broker, core = fake.opened_producer(slots=2, messages=2)
    for payload in (b"a", b"b", b"c"):
        core.ring.add(payload)
    assert len(broker.sent(core)) == 1
    wakes = broker.wakes
    broker.say(fake.SEND_ERROR, 1, 1, 2, 1, 3, 22, 4, "no")
    assert broker.wakes > wakes and len(broker.sent(core)) == 1


def test_a_receipt_without_a_place_is_a_loss_unless_the_frame_had_been_transmitted_before():
    nowhere = (1 << 64) - 1
    for again in (False, True):
        broker, core, _, tickets = fake.producer_in_flight(2)
        core.ring.add(b"new")
        if again:
            core.lost(PulsarError("gone"), broker.now)
            fake.reopen(broker, core)
        broker.sent(core)
        for sequence in range(3):
            broker.receipt(sequence, entry=nowhere, ledger=nowhere)
        assert core.ring.idle()
        assert [ticket.calls[0][2] is None for ticket in tickets] == [again, again]
        assert core.refused is not None  # the new one, for which nobody waited


def test_a_broker_that_sends_more_than_its_permits_is_left():
    broker, core = Broker(), fake.consumer(permits=4)
    broker.open(core)
    sent = 0
    try:
        while sent < 100:
            broker.feed(fake.single(sent, b"unasked"))
            sent += 1
    except ProtocolError as error:
        assert "permits" in str(error)
    assert 4 <= sent <= 8


def test_a_broker_that_only_asks_and_never_reads_is_left():
    broker = Broker(token=b"t")
    answers = [0]

    def challenged():
        broker.connection.answer_challenge("token", b"fresh %d" % answers[0])
        answers[0] += 1

    broker.challenged = challenged
    for _ in range(50):
        broker.say(fake.AUTH_CHALLENGE, 1, "21")
    control = broker.connection.control
    assert answers[0] == 50 and len(control) == 2 and b"fresh 49" in control[-1]
    consumer = fake.consumer(permits=4)
    control.clear()
    broker.open(consumer)

    def flood():
        for number in range(1000):
            broker.feed(fake.single(number, b"x", checksum=b"bad!"))

    assert "read" in str(raises(ProtocolError, flood))
    assert len(control) < 200


class _Stuck:
    """A socket that takes `room` bytes and then nothing more."""

    def __init__(self, room):
        self.room = room
        self.taken = b""

    def write(self, buffer, start, size):
        count = min(size, self.room)
        self.room -= count
        self.taken += bytes(buffer[start:start + count])
        return count or None


def test_a_failing_logger_does_not_leave_anybody_waiting():
    class Logger:
        def warning(self, text):
            raise OSError(28)

    async def run():
        client = Client("pulsar://127.0.0.1:1", operation_timeout_seconds=0.05, logger=Logger())
        outcomes = []
        await asyncio.wait_for(_outcome(client.create_producer("t"), outcomes), 5)
        await client.close()
        assert isinstance(outcomes[0], PulsarError)

    asyncio.run(run())


def test_closing_the_client_ends_whoever_still_waits_for_a_close():
    async def run():
        client = Client("pulsar://127.0.0.1:1", operation_timeout_seconds=60)
        outcomes = []
        task = asyncio.create_task(_outcome(client.create_producer("t"), outcomes))
        await _turns()
        supervisor = client._supervisor
        core = supervisor.handles[0]
        client._supervisor = None
        supervisor.end()
        await supervisor.ended()
        await task
        assert isinstance(outcomes[0], AlreadyClosed) and core.state == CLOSED and not supervisor._links

    asyncio.run(run())


def _writing_link(broker, stream):
    """A Link around a broker's connection, without its tasks."""
    class Bare(Link):
        def __init__(self):
            self.connection = broker.connection
            self.address = ("here", 6650)
            self._stream = stream
            self._supervisor = broker  # for its clock
            self._window = None

    return Bare()


def test_a_handle_that_moved_while_another_was_written_sends_nothing_on_the_old_link():
    async def run():
        broker, other = Broker(), Broker()
        moving = fake.producer()
        stream = _Stuck(1 << 20)

        class Leaving:
            connection = broker.connection
            ring = True
            due = 600000

            def next_frame(self, clock, now):
                # As if the write had taken long: meanwhile the other one is open at another broker.
                moving.retry(PulsarError("moves"))
                moving.not_before = None
                other.open(moving)
                return -1

        broker.connection.handles = {0: Leaving()}
        broker.open(moving)
        moving.ring.add(b"for the other broker")
        snapshot = broker.connection.handles
        assert list(snapshot) == [0, 1]
        await _writing_link(broker, stream)._write_data()
        assert stream.taken == b"" and len(other.sent(moving)) == 1

    asyncio.run(run())


def test_a_frame_confirmed_while_it_is_written_ends_the_link():
    from mpy_pulsar.net import link as module

    async def run():
        broker, core = fake.opened_producer(messages=1)
        core.ring.add(b"first")
        stream = _Stuck(10)

        async def writable(_):
            broker.receipt(0)
            core.ring.add(b"FIRST")
            stream.room = 1000

        kept = module.writable
        module.writable = writable
        outcomes = []
        try:
            await _outcome(_writing_link(broker, stream)._write_data(), outcomes)
        finally:
            module.writable = kept
        assert "while it was written" in str(outcomes[0]) and len(stream.taken) == 10

    asyncio.run(run())
