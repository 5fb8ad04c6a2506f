"""No message is lost in silence: who is told of a refusal when nobody waits for it any more, and what it says."""
import asyncio

from mpy_pulsar.core.handle import CLOSED, CLOSING, LOOKING, READY
from mpy_pulsar.errors import ConnectError, MessageTooBig, PulsarError
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, producer_in_flight, reopen
from tests.unit.support import raises

_TURNS = 20
_NOT_ALLOWED = 22
_TERMINATED = 15


async def _turns():
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _opened():
    """A producer that may have one message in flight."""
    broker = Broker()
    producer = make_producer(
        TOPIC, 1, TIMEOUT, send_buffer_size=1200, send_timeout_millis=0, max_pending_messages=1,
        batching_max_messages=1, block_if_queue_full=True,
    )
    broker.open(producer.core)
    return broker, producer


def _refuse(broker, sequence=0, code=_NOT_ALLOWED):
    broker.say(fake.SEND_ERROR, 1, 1, 2, sequence, 3, code, 4, "why not")


async def _error_of(awaitable):
    """The error that a call ends with, None: it succeeds."""
    try:
        await awaitable
    except PulsarError as error:
        return error
    return None


async def _cancelled(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return
    raise AssertionError("it was not cancelled")


def test_a_batch_cancelled_while_it_waits_for_room_leaves_what_was_taken_to_the_flush():
    async def run():
        broker, producer = _opened()
        task = asyncio.create_task(producer.send_batch([b"taken", b"waits"]))
        await _turns()
        assert len(broker.sent(producer.core)) == 1
        await _cancelled(task)
        _refuse(broker)
        error = await _error_of(producer.flush())
        assert error and error.code == _NOT_ALLOWED
        assert await _error_of(producer.flush()) is None

    asyncio.run(run())


def test_a_batch_that_ends_with_a_message_too_big_leaves_what_was_taken_to_the_flush():
    async def run():
        broker, producer = _opened()
        producer.core.ring.largest = 600  # the broker's word
        task = asyncio.create_task(_error_of(producer.send_batch([b"refused", b"taken", bytes(700)])))
        await _turns()
        assert len(broker.sent(producer.core)) == 1
        _refuse(broker)  # while the batch is still being queued
        await _turns()
        assert isinstance(await task, MessageTooBig)
        assert len(broker.sent(producer.core)) == 1
        broker.receipt(1)
        error = await _error_of(producer.flush())
        assert error and error.code == _NOT_ALLOWED

    asyncio.run(run())


def test_a_call_cancelled_in_the_turn_of_its_refusal_leaves_it_to_the_flush():
    async def run():
        for batch in (False, True):
            broker, producer = _opened()
            task = asyncio.create_task(producer.send_batch([b"x"]) if batch else producer.send(b"x"))
            await _turns()
            assert len(broker.sent(producer.core)) == 1
            _refuse(broker)
            await _cancelled(task)
            error = await _error_of(producer.flush())
            assert error and error.code == _NOT_ALLOWED

    asyncio.run(run())


def test_closing_a_producer_that_has_ended_tells_of_messages_without_a_receipt():
    async def run():
        broker, producer = _opened()
        producer.send_nowait(b"x")
        assert len(broker.sent(producer.core)) == 1
        _refuse(broker, 0, _TERMINATED)
        error = await _error_of(producer.close())
        assert error and error.code == _TERMINATED and "may be stored or not" in str(error)
        broker, producer = _opened()
        producer.send_nowait(b"x")
        broker.sent(producer.core)
        broker.receipt(0)
        producer.send_nowait(b"y")
        broker.sent(producer.core)
        broker.receipt(1)
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        producer.core._leave()
        producer.core.fail(PulsarError("the end", _TERMINATED))
        assert await _error_of(producer.close()) is None  # there was nothing to lose

    asyncio.run(run())


def test_a_refusal_that_comes_while_it_is_opened_again_counts():
    broker, core, _, tickets = producer_in_flight()
    broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
    core.not_before = None
    core.attach(broker.connection, broker.now)
    assert core.state == LOOKING
    _refuse(broker, 1)
    ((_, _, error),) = tickets[1].calls
    assert error.code == _NOT_ALLOWED and "unknown" in str(error)
    broker.answer_lookup()
    asked = broker.hear(fake.PRODUCER)
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    assert core.state == READY and len(broker.sent(core)) == 2
    broker.receipt(0)
    broker.receipt(2)
    assert [ticket.calls[0][2] is None for ticket in tickets] == [True, False, True] and core.ring.idle()


def test_a_frame_too_large_for_another_broker_may_be_stored_at_the_one_before():
    broker, core, _, tickets = producer_in_flight(1)
    core.ring.add(bytes(400))
    later = core.tickets[core.ring.last_batch()] = fake.Ticket()
    core.ring.close_batch()
    core.ring.unsent = core.ring.open  # transmitted too
    core.ring.add(bytes(400))
    never = core.tickets[core.ring.last_batch()] = fake.Ticket()
    core.lost(ConnectError("gone"), broker.now)
    other = Broker(connected=False)
    other.connection.start("none", None)
    other.say(fake.CONNECTED, 1, "fake", 2, 21, 3, 200)
    other.heard()
    core.not_before = None
    other.open(core)
    assert len(other.sent(core)) == 1
    assert "fate is unknown" in str(later.calls[0][2]) and "it was not sent" in str(never.calls[0][2])
    raises(MessageTooBig, core.ring.add, bytes(400))
    assert tickets[0].calls == []


def test_a_frame_refused_for_ever_takes_no_memory_for_it():
    broker, core, _, _ = producer_in_flight()
    for _ in range(50):
        _refuse(broker, 1, 2)  # PersistenceError
        reopen(broker, core)
        assert len(broker.sent(core)) == 3
    assert sorted(core.suspects) == [1, 2]  # and what was behind it, once each


def test_a_refusal_that_comes_while_it_is_closed_does_not_open_it_again():
    for code in (2, 9, _TERMINATED, _NOT_ALLOWED):
        broker, core, _, tickets = producer_in_flight(1)
        core.start_close(broker.now)
        asked = broker.hear(fake.CLOSE_PRODUCER)
        _refuse(broker, 0, code)
        assert core.state == CLOSING and "unknown" in str(tickets[0].calls[0][2])
        broker.say(fake.SUCCESS, 1, asked[2])
        assert core.state == CLOSED and not broker.heard()
