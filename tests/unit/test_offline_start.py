"""wait=False: made without a broker, treated as if one had been there before; ids and names all the same in order."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.features.new_consumer import make_consumer
from mpy_pulsar.core.handle import IDLE, OPENING, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features import offline
from mpy_pulsar.features.reader import make_reader
from mpy_pulsar.port import ticks_add
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import START, TIMEOUT, TOPIC, Broker, Watch
from tests.unit.support import in_a_loop
from tests.unit.wire_support import read_send

_METADATA_RESPONSE = 22
_FINAL = (15, 25)
_REFUSALS = [code for code in range(26) if code not in _FINAL]


def _producer(**options):
    producer = make_producer(TOPIC, 1, TIMEOUT, wait=False, send_timeout_millis=0, send_buffer_size=2000, **options)
    producer.core.plain = True
    producer.core.watch = Watch(producer.core)
    return producer


def _watched(endpoint):
    endpoint.core.plain = True
    endpoint.core.watch = Watch(endpoint.core)
    return endpoint.core


def test_nobody_waits_for_the_opening():
    async def run():
        reader = make_reader(TOPIC, 3, TIMEOUT, MessageId.earliest, wait=False)
        for endpoint in (_producer(), make_consumer(TOPIC, 2, TIMEOUT, "sub", wait=False), reader):
            await endpoint.opened()
            assert not endpoint.is_connected() and endpoint.core.state == IDLE

    asyncio.run(run())


def test_a_client_gives_them_at_once():
    async def run():
        client = Client("pulsar://127.0.0.1:1")
        endpoints = [
            await client.create_producer("t", wait=False), await client.subscribe("t", "sub", wait=False),
            await client.create_reader("t", MessageId.earliest, wait=False),
        ]
        assert [endpoint.is_connected() for endpoint in endpoints] == [False] * 3
        assert [endpoint.core.owner is endpoint for endpoint in endpoints] == [True] * 3
        supervisor = client._supervisor
        client.shutdown()
        await supervisor.ended()

    asyncio.run(run())


@in_a_loop
def test_no_refusal_ends_it_and_no_time_limit():
    for code in _REFUSALS:
        for make in (_producer, lambda: make_consumer(TOPIC, 1, TIMEOUT, "sub", wait=False)):
            core = _watched(make())
            broker = Broker()
            asked = broker.attach(core)
            number = asked[3] if asked.kind == fake.PRODUCER else asked[5]
            broker.say(fake.ERROR, 1, number, 2, code, 3, "Encryption is required")
            assert core.state == IDLE and core.failure is None and len(core.watch.errors) == 1, code
            core.sweep(ticks_add(START, 100 * TIMEOUT))
            assert core.failure is None
            core.not_before = None
            broker.heard()
            broker.open(core)
            assert core.state == READY


@in_a_loop
def test_a_terminated_topic_and_a_fenced_producer_end_it():
    for code in _FINAL:
        producer = _producer()
        broker = Broker()
        asked = broker.attach(producer.core)
        broker.say(fake.ERROR, 1, asked[3], 2, code)
        assert producer.core.failure.code == code


@in_a_loop
def test_the_first_ids_are_behind_those_that_the_broker_remembers():
    producer = _producer(producer_name="press", initial_sequence_id=5)
    producer.send_nowait(b"early")
    assert producer.last_sequence_id() == 5
    broker = Broker()
    broker.open(producer.core, name="press", last=41)
    ((command, metadata, _, _, _),) = [read_send(frame) for frame in broker.sent(producer.core)]
    assert command[2] == metadata[2] == 42 and producer.last_sequence_id() == 41
    # Later on, what the broker says is about messages that are in flight.
    producer.core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    fake.reopen(other, producer.core, last=100)
    (frame,) = other.sent(producer.core)
    assert read_send(frame)[0][2] == 42
    producer.send_nowait(b"next")
    assert read_send(other.sent(producer.core)[0])[0][2] == 43


@in_a_loop
def test_an_opening_that_is_lost_before_its_answer_says_the_ids_again():
    producer = _producer(producer_name="press")
    producer.send_nowait(b"early")
    broker = Broker()
    broker.attach(producer.core)
    assert producer.core.state == OPENING
    producer.core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    fake.reopen(other, producer.core, last=7)
    assert read_send(other.sent(producer.core)[0])[0][2] == 8


@in_a_loop
def test_the_parent_of_partitions_may_be_mended():
    core = make_consumer(TOPIC, 2, TIMEOUT, "sub", wait=False).core
    core.watch = Watch(core)
    broker = Broker()
    core.attach(broker.connection, START)
    asked = broker.heard()[0]
    broker.say(_METADATA_RESPONSE, 1, 3, 2, asked[2])
    assert core.state == IDLE and core.failure is None and "partitioned" in str(core.watch.errors[0])


@in_a_loop
def test_a_board_has_the_same_name_after_each_start():
    kept = offline.unique_id
    try:
        offline.unique_id = lambda: b"\xe6\x61\x00\x0f"
        names = [_producer().producer_name() for _ in range(2)]
        assert names == ["mpy_pulsar-e661000f-1"] * 2
        assert offline.default_name(2) == "mpy_pulsar-e661000f-2"
        offline.unique_id = lambda: bytes(range(12))  # the longest there are
        assert len(offline.default_name(1 << 30)) <= 64
        offline.unique_id = None
        assert offline.default_name(1) != offline.default_name(1)
    finally:
        offline.unique_id = kept
    assert _producer(producer_name="mine").producer_name() == "mine"
