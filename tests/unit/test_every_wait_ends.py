"""Whoever waits for a producer, a consumer or a reader stops waiting whatever the end is: every wait with every end."""
import asyncio

from mpy_pulsar import MessageId
from mpy_pulsar.consumer import Consumer
from mpy_pulsar.core.handle import CLOSED
from mpy_pulsar.core.producer_core import ProducerCore
from mpy_pulsar.core.verdicts import verdict
from mpy_pulsar.endpoint import Endpoint
from mpy_pulsar.errors import AlreadyClosed, AuthenticationError, PulsarError, Timeout
from mpy_pulsar.features.reader import make_reader
from mpy_pulsar.port import ticks_add, ticks_ms
from mpy_pulsar.producer import Producer
from mpy_pulsar.wire.batch import BatchRing
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.still_links import with_bench

_TURNS = 40
_TERMINATED = 15
_FENCED = 25


async def _turns():
    """Let every task run as far as it can without input."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Waits:
    """Tasks that wait, by name, and what became of them."""

    def __init__(self):
        self.outcomes = {}
        self.tasks = {}

    def add(self, name, awaitable):
        self.tasks[name] = asyncio.create_task(self._run(name, awaitable))

    async def _run(self, name, awaitable):
        try:
            self.outcomes[name] = await awaitable
        except Exception as error:  # noqa: BLE001
            self.outcomes[name] = error

    def check(self, ended, code, quiet=()):
        """All have ended, those that are not named in `quiet` with an error of that code."""
        left = [name for name in self.tasks if name not in self.outcomes]
        own_time = ended is _closed_without_an_answer  # questions of a consumer have their own time, over by then
        for task in self.tasks.values():
            task.cancel()
        assert not left, "%s: %s still wait" % (ended, left)
        for name, outcome in self.outcomes.items():
            if name not in quiet:
                assert isinstance(outcome, PulsarError), (ended, name, outcome)
                assert outcome.code == code or (own_time and outcome.code == Timeout.code), (ended, name, outcome)


# The ends, each a function of broker and handle; a broker's final word has its code


def _terminated_when_reopened(broker, core):
    broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)
    broker.heard()
    core.not_before = None
    core.attach(broker.connection, broker.now)
    broker.answer_lookup()
    asked = broker.heard()[-1]
    broker.say(fake.ERROR, 1, asked[3 if asked.kind == fake.PRODUCER else 5], 2, _TERMINATED, 3, "terminated")
    return _TERMINATED


def _fenced_when_looked_up(broker, core):
    core.lost(PulsarError("gone"), broker.now)
    broker.heard()
    core.not_before = None
    core.attach(broker.connection, broker.now)
    broker.say(fake.LOOKUP_RESPONSE, 3, 2, 4, broker.hear(fake.LOOKUP)[2], 6, _FENCED, 7, "fenced")
    return _FENCED


def _fault_of_ours(broker, core):
    core.fail(PulsarError("a fault in the client itself"))
    return -1


def _closed_meanwhile(broker, core):
    core.start_close(broker.now)
    broker.say(fake.SUCCESS, 1, broker.heard()[-1][2])
    return AlreadyClosed.code


def _closed_without_an_answer(broker, core):
    core.start_close(broker.now)
    core.sweep(ticks_add(broker.now, TIMEOUT))
    return AlreadyClosed.code


def _closed_while_lost(broker, core):
    core.lost(PulsarError("gone"), broker.now)
    core.start_close(broker.now)
    return AlreadyClosed.code


def _client_is_gone(broker, core):
    core.fail(AlreadyClosed("%s: closed" % core.topic))
    return AlreadyClosed.code


_ENDS = (
    _terminated_when_reopened, _fenced_when_looked_up, _fault_of_ours, _closed_meanwhile, _closed_without_an_answer,
    _closed_while_lost, _client_is_gone,
)


def _terminated_by_a_send_error(broker, core):
    broker.say(fake.SEND_ERROR, 1, core.id, 2, 0, 3, _TERMINATED, 4, "terminated")
    return _TERMINATED


def _fenced_by_a_send_error(broker, core):
    broker.say(fake.SEND_ERROR, 1, core.id, 2, 0, 3, _FENCED, 4, "fenced")
    return _FENCED


async def _producer_waits():
    """An open producer, full, with everything that can wait for it."""
    broker = Broker()
    core = ProducerCore(TOPIC, 1, TIMEOUT, BatchRing(bytearray(600), 1, 4, 1, 600))
    producer = Producer(core)
    broker.open(core)
    waits = _Waits()
    waits.add("send", producer.send(b"in flight"))
    waits.add("send with fields", producer.send(b"in flight too", properties={"a": "b"}))
    await _turns()
    assert len(broker.sent(core)) == 2
    waits.add("send_batch", producer.send_batch([b"1", b"2", b"3", b"4", b"5", b"6"]))
    await _turns()
    waits.add("send in line", producer.send(b"no room"))
    waits.add("send behind it", producer.send(b"no room either"))
    waits.add("room", producer.room(300))
    waits.add("flush", producer.flush())
    waits.add("second flush", producer.flush())
    waits.add("state_changed", producer.state_changed())
    await _turns()
    assert not waits.outcomes, waits.outcomes
    return broker, core, producer, waits


def test_every_wait_for_a_producer_ends_whatever_ends_it():
    async def run():
        for end in _ENDS + (_terminated_by_a_send_error, _fenced_by_a_send_error):
            broker, core, producer, waits = await _producer_waits()
            code = end(broker, core)
            await _turns()
            assert core.state == CLOSED
            # How a producer ends is told by its state; who asked for its close gets no error for that alone.
            waits.check(end, code, ("state_changed",))
            assert waits.outcomes["state_changed"] in ("closed", "failed", "closing", "connecting")
            late = _Waits()
            late.add("close", producer.close())
            late.add("send", producer.send(b"late"))
            late.add("room", producer.room(300))
            late.add("state_changed", producer.state_changed())
            await _turns()
            late.check(end, code, ("close", "state_changed"))

    asyncio.run(run())


def test_a_close_that_waits_for_receipts_ends_whatever_ends_the_producer():
    async def run():
        for end in (_terminated_when_reopened, _fenced_when_looked_up, _fault_of_ours, _terminated_by_a_send_error,
                    _client_is_gone):
            broker, core, producer, waits = await _producer_waits()
            waits.add("close", producer.close())
            waits.add("second close", producer.close())
            await _turns()
            assert "close" not in waits.outcomes
            code = end(broker, core)
            await _turns()
            waits.check(end, code, ("state_changed", "send in line", "send behind it", "room", "send_batch",
                                    "second close"))

    asyncio.run(run())


async def _consumer_waits(consumer, broker, more=True):
    core = consumer.core
    waits = _Waits()
    waits.add("receive", consumer.receive())
    waits.add("receive with a time limit", consumer.receive(10000))
    waits.add("receive_batch", consumer.receive_batch(10))
    waits.add("async for", consumer.__anext__())
    waits.add("seek", consumer.seek(MessageId.earliest))
    waits.add("second seek", consumer.seek(1700000000000))
    waits.add("get_last_message_id", consumer.get_last_message_id())
    if more:
        waits.add("unsubscribe", consumer.unsubscribe())
    waits.add("state_changed", consumer.state_changed())
    await _turns()
    left = [name for name in waits.outcomes if name != "state_changed"]
    assert not left, (left, waits.outcomes)
    return core, waits


def test_every_wait_for_a_consumer_ends_whatever_ends_it():
    async def run():
        for end in _ENDS:
            broker = Broker(now=ticks_ms())
            consumer = Consumer(fake.consumer())
            heard = []
            consumer.core.plain = True
            broker.open(consumer.core)
            broker.heard()
            listener = consumer.listen(heard.append)
            core, waits = await _consumer_waits(consumer, broker)
            waits.add("listener", listener.ended())
            code = end(broker, core)
            await _turns()
            assert core.state == CLOSED
            waits.check(end, code, ("state_changed", "listener"))
            late = _Waits()
            late.add("receive", consumer.receive())
            late.add("receive with a time limit", consumer.receive(10))
            late.add("seek", consumer.seek(MessageId.earliest))
            late.add("get_last_message_id", consumer.get_last_message_id())
            late.add("close", consumer.close())
            await _turns()
            late.check(end, code, ("close",))
            assert heard == []

    asyncio.run(run())


def test_every_wait_for_a_reader_ends_whatever_ends_it():
    async def run():
        for end in _ENDS:
            broker = Broker(now=ticks_ms())
            reader = make_reader(TOPIC, 2, TIMEOUT, MessageId.earliest)
            reader.core.plain = True
            broker.open(reader.core)
            broker.heard()
            core, waits = await _consumer_waits(reader, broker, False)
            waits.add("read_next", reader.read_next())
            waits.add("has_message_available", reader.has_message_available())
            await _turns()
            code = end(broker, core)
            await _turns()
            waits.check(end, code, ("state_changed",))

    asyncio.run(run())


def _opening(make):
    """A broker, a handle, and whoever waits for its opening; the request's number."""
    broker, core = Broker(), make()
    waits = _Waits()
    endpoint = Endpoint(core)
    asked = broker.attach(core)
    waits.add("opened", endpoint.opened())
    waits.add("also opened", endpoint.opened())
    return broker, core, waits, asked[3] if asked.kind == fake.PRODUCER else asked[5]


def test_every_opening_ends_with_every_final_word():
    async def run():
        codes = [code for code in range(26) if verdict(code, False) == "f"]
        assert 3 in codes and 15 in codes and len(codes) > 10
        for make in (fake.producer, fake.consumer):
            for code in codes:
                broker, core, waits, number = _opening(make)
                await _turns()
                assert not waits.outcomes
                broker.say(fake.ERROR, 1, number, 2, code, 3, "no")
                await _turns()
                waits.check(code, code)

    asyncio.run(run())


def test_every_opening_ends_with_its_time():
    async def run():
        for make in (fake.producer, fake.consumer):
            for answered in (False, True):
                broker, core, waits, number = _opening(make)
                core.sweep(broker.now)
                await _turns()
                if answered:
                    broker.say(fake.ERROR, 1, number, 2, 6, 3, "not yet")
                core.sweep(ticks_add(broker.now, TIMEOUT))
                await _turns()
                waits.check("time", Timeout.code)

    asyncio.run(run())


def test_every_opening_ends_where_its_client_does():
    for fault in (False, True):
        async def check(bench, fault=fault):
            waits = _Waits()
            for number in range(3):
                core = await bench.adopt("t%d" % number)
                waits.add("opened %d" % number, Endpoint(core).opened())
            await bench.found(bench.link("one"), "pulsar://one:6650")
            if fault:
                async def faulty(now):
                    raise RuntimeError("a fault")

                bench.supervisor._tend = faulty
                bench.supervisor.attend()
            else:
                bench.supervisor.end()
            await bench.supervisor.ended()
            await _turns()
            waits.check(fault, -1 if fault else AlreadyClosed.code)
            late = fake.producer()
            if fault:
                bench.supervisor.adopt(late)
                assert late.state == CLOSED and "a fault in the client" in str(late.failure)

        with_bench(check)


def test_credentials_that_are_refused_end_every_opening_and_name_its_topic():
    async def check(bench):
        waits = _Waits()
        for topic in ("a", "b"):
            core = await bench.adopt(topic)
            waits.add(core.topic, Endpoint(core).opened())
        link = bench.link("one")
        link.connection.connected = False
        link.error = AuthenticationError("no")
        await bench.run()
        waits.check("credentials", 3)
        for topic, error in waits.outcomes.items():
            assert error.topic == topic, (topic, error.topic)

    with_bench(check)
