"""A whole Producer against a broker of the test's own: who waits, in which order, and what each is told."""
import asyncio
from array import array

from mpy_pulsar.core.handle import CLOSED
from mpy_pulsar.errors import AlreadyClosed, MessageTooBig, PulsarError, QueueFull
from mpy_pulsar.port import LARGE_MESSAGES
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker
from tests.unit.support import raises
from tests.unit.wire_support import read_batch, read_send

_TURNS = 20


async def _turns():
    """Let every task run as far as it can without input."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _opened(**options):
    options.setdefault("send_buffer_size", 1200)
    options.setdefault("send_timeout_millis", 0)
    broker = Broker()
    producer = make_producer(TOPIC, 1, TIMEOUT, **options)
    broker.open(producer.core)
    return broker, producer


async def _outcome(awaitable, outcomes):
    try:
        outcomes.append(await awaitable)
    except Exception as error:  # noqa: BLE001
        outcomes.append(error)


def _start(awaitable, outcomes):
    return asyncio.create_task(_outcome(awaitable, outcomes))


def _contents(frames):
    contents = []
    for frame in frames:
        command, metadata, _, _, payload = read_send(frame)
        contents += [one for _, one in read_batch(payload)] if 11 in metadata else [payload]
    return contents


async def _serve(broker, producer, frames):
    """Transmit and confirm until nothing is left and nobody waits for room."""
    entry = 0
    while True:
        await _turns()
        sent = broker.sent(producer.core)
        if not sent:
            return
        for frame in sent:
            frames.append(frame)
            broker.receipt(read_send(frame)[0][2], entry=entry)
            entry += 1


def test_senders_that_wait_for_room_keep_their_order_and_nobody_overtakes():
    async def run():
        broker, producer = _opened(batching_max_messages=3)
        outcomes = []
        contents = [b"%d:" % number + bytes(number * 37 % 300) for number in range(60)]
        tasks = []
        for number, content in enumerate(contents):
            # Half of them come while others wait, small ones that would fit before a large one.
            tasks.append(_start(producer.send(content), outcomes))
            if number % 7 == 0:
                await _turns()
        frames = []
        await _serve(broker, producer, frames)
        assert _contents(frames) == contents
        assert len(outcomes) == 60 and not [one for one in outcomes if isinstance(one, Exception)]
        for task in tasks:
            await task

    asyncio.run(run())


def test_a_sender_that_gives_up_waiting_lets_the_others_go_on():
    async def run():
        broker, producer = _opened(send_buffer_size=400, batching_max_messages=1)
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        outcomes = []
        tasks = [_start(producer.send(b"%d" % number + bytes(99)), outcomes) for number in range(4)]
        await _turns()
        tasks[0].cancel()
        tasks[2].cancel()
        frames = []
        await _serve(broker, producer, frames)
        assert [content[:1] for content in _contents(frames)[-2:]] == [b"1", b"3"]
        assert len(outcomes) == 2 and producer.waiting == 0

    asyncio.run(run())


def test_without_blocking_a_full_buffer_raises():
    async def run():
        broker, producer = _opened(block_if_queue_full=False, max_pending_messages=5)
        outcomes = []
        tasks = [_start(producer.send(b"x"), outcomes) for _ in range(5)]
        await _turns()
        assert not producer.has_room(1)
        raises(QueueFull, producer.send_nowait, b"x")
        await _outcome(producer.send(b"x"), outcomes)
        assert isinstance(outcomes[0], QueueFull) and "max_pending_messages" in str(outcomes[0])
        await _serve(broker, producer, [])
        assert len(outcomes) == 6
        for task in tasks:
            await task

    asyncio.run(run())


def test_as_many_messages_are_pending_as_were_asked_for():
    async def run(most, batching):
        broker, producer = _opened(
            max_pending_messages=most, batching_enabled=batching, batching_max_messages=4, send_buffer_size=6000,
        )
        ring = producer.core.ring
        taken = 0
        while producer.has_room(1):
            producer.send_nowait(b"x")
            taken += 1
        assert taken == most if batching else taken == min(most, ring._slots), (taken, most)
        raises(QueueFull, producer.send_nowait, b"x")
        frames = []
        await _serve(broker, producer, frames)
        assert len(_contents(frames)) == taken and producer.has_room(1) and ring.pending == 0

    for most in (1, 3, 10, 25):
        for batching in (True, False):
            asyncio.run(run(most, batching))


def test_unbatched_messages_are_frames_of_their_own():
    async def run():
        broker, producer = _opened(batching_enabled=False)
        outcomes = []
        producer.send_nowait(b"0")
        task = _start(producer.send(b"1", properties={"k": "v"}), outcomes)
        batch = _start(producer.send_batch([b"2", b"3"]), outcomes)
        frames = []
        await _serve(broker, producer, frames)
        assert len(frames) == 4 and _contents(frames) == [b"0", b"1", b"2", b"3"]
        assert [sorted(read_send(frame)[0]) for frame in frames] == [[1, 2]] * 4
        await task
        await batch
        assert outcomes[0].batch_index() == -1 and [one.entry_id() for one in outcomes[1]] == [2, 3]

    asyncio.run(run())


def test_a_batch_sent_in_one_go_is_one_entry_also_where_the_buffer_is_nearly_full():
    async def run():
        broker, producer = _opened(send_buffer_size=1000)
        outcomes = []
        tasks = []
        for number in range(12):
            tasks.append(_start(producer.send(b"single %d" % number + bytes(60 + number)), outcomes))
            batch = [b"%d of %d" % (place, number) + bytes(20) for place in range(8)]
            tasks.append(_start(producer.send_batch(batch), outcomes))
        frames = []
        await _serve(broker, producer, frames)
        for task in tasks:
            await task
        ids = [one for one in outcomes if isinstance(one, list)]
        assert len(ids) == 12
        for batch in ids:
            assert len({one.entry_id() for one in batch}) == 1
            assert [one.batch_index() for one in batch] == list(range(8)) and batch[0].batch_size() == 8

    asyncio.run(run())


def test_a_batch_larger_than_an_entry_is_sent_in_parts_and_an_empty_one_not_at_all():
    async def run():
        broker, producer = _opened(batching_max_messages=3)
        outcomes = []
        tasks = [_start(producer.send_batch([b"%d" % number for number in range(7)]), outcomes),
                 _start(producer.send_batch([]), outcomes)]
        await _serve(broker, producer, [])
        for task in tasks:
            await task
        assert outcomes[0] == [] and [one.batch_index() for one in outcomes[1]] == [0, 1, 2, 0, 1, 2, 0]
        await _outcome(producer.send_batch([b"x", "text"]), outcomes)
        assert isinstance(outcomes[2], TypeError) and producer.core.ring.idle()

    asyncio.run(run())


def test_a_refusal_of_a_batch_of_both_kinds_is_told_to_both():
    async def run():
        for nowait in (0, 1):
            broker, producer = _opened()
            outcomes = []
            tasks = [_start(producer.send(b"waited for"), outcomes)]
            await _turns()
            for _ in range(nowait):
                producer.send_nowait(b"not waited for")
            flush = _start(producer.flush(), outcomes)
            await _turns()
            (frame,) = broker.sent(producer.core)
            broker.say(fake.SEND_ERROR, 1, 1, 2, nowait, 3, 22, 4, "too large for the topic")
            for task in tasks + [flush]:
                await task
            assert [getattr(one, "code", None) for one in outcomes] == [22, 22 if nowait else None], outcomes
            assert outcomes[0] is not outcomes[1]
            await producer.flush()  # said once

    asyncio.run(run())


def test_a_cancelled_sender_s_refusal_is_the_flush_s():
    async def run():
        broker, producer = _opened()
        task = _start(producer.send(b"x"), [])
        await _turns()
        task.cancel()
        await _turns()
        broker.sent(producer.core)
        broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 22, 4, "no")
        outcomes = []
        await _outcome(producer.flush(), outcomes)
        assert outcomes[0].code == 22

    asyncio.run(run())


def test_every_waiter_gets_an_error_of_its_own():
    async def run():
        broker, producer = _opened()
        outcomes = []
        tasks = [_start(producer.send(b"x"), outcomes) for _ in range(3)]
        await _turns()
        broker.sent(producer.core)
        broker.say(fake.SEND_ERROR, 1, 1, 2, 2, 3, 15, 4, "terminated")
        for task in tasks:
            await task
        for _ in range(2):
            await _outcome(producer.send(b"x"), outcomes)
            await _outcome(producer.flush(), outcomes)
            await _outcome(producer.room(5), outcomes)
        assert [error.code for error in outcomes] == [15] * 9
        assert len({id(error) for error in outcomes}) == 9
        assert "fate is unknown" in str(outcomes[0]) and "not sent" in str(outcomes[3])

    asyncio.run(run())


def test_flush_waits_for_all_though_the_last_is_refused_at_once():
    async def run():
        broker, producer = _opened(batching_max_messages=1)
        for payload in (b"0", b"1"):
            producer.send_nowait(payload)
        outcomes = []
        task = _start(producer.flush(), outcomes)
        await _turns()
        assert len(broker.sent(producer.core)) == 2
        broker.say(fake.SEND_ERROR, 1, 1, 2, 1, 3, 22, 4, "no")
        await _turns()
        assert outcomes == []
        broker.receipt(0)
        await task
        assert outcomes[0].code == 22

    asyncio.run(run())


def test_flush_waits_for_what_was_damaged_on_the_way():
    async def run():
        broker, producer = _opened(batching_max_messages=1)
        for payload in (b"0", b"1"):
            producer.send_nowait(payload)
        outcomes = []
        task = _start(producer.flush(), outcomes)
        await _turns()
        broker.sent(producer.core)
        broker.say(fake.SEND_ERROR, 1, 1, 2, 1, 3, 9, 4, "checksum")
        broker.receipt(0)
        await _turns()
        assert outcomes == [] and len(broker.sent(producer.core)) == 1
        broker.receipt(2)
        await task
        assert outcomes == [None]

    asyncio.run(run())


def test_closing_tells_waiting_senders_what_became_of_their_messages():
    async def run():
        broker, producer = _opened(batching_max_messages=1, send_buffer_size=400)
        outcomes, waiting = [], []
        tasks = [_start(producer.send(b"transmitted"), outcomes)]
        await _turns()
        broker.sent(producer.core)
        tasks.append(_start(producer.send(b"queued"), outcomes))
        await _turns()
        while producer.has_room(100):
            producer.send_nowait(bytes(100))
        tasks.append(_start(producer.send(bytes(100)), waiting))
        await _turns()
        close = _start(producer.close(), [])
        await _turns()
        assert isinstance(waiting[0], AlreadyClosed) and "not sent" in str(waiting[0])
        close.cancel()
        await _turns()
        assert [isinstance(error, AlreadyClosed) for error in outcomes] == [True, True]
        assert "fate is unknown" in str(outcomes[0]) and "not sent" in str(outcomes[1])
        # Cancelled, it goes on closing at the broker; who closes again waits for that.
        again = []
        task = _start(producer.close(), again)
        await _turns()
        assert again == []
        broker.say(fake.SUCCESS, 1, broker.hear(fake.CLOSE_PRODUCER)[2])
        await task
        assert again == [None] and producer.core.state == CLOSED
        for task in tasks:
            await task

    asyncio.run(run())


def test_options_that_are_wrong_or_not_built_are_refused():
    async def run():
        for options in (
            {"batching_max_messages": 0}, {"batching_max_publish_delay_ms": -1}, {"max_pending_messages": -1},
            {"send_timeout_millis": -1}, {"access_mode": 4}, {"chunking_enabled": True}, {"compression_type": 1},
        ):
            raises(ValueError, make_producer, TOPIC, 1, TIMEOUT, **options)
        raises(TypeError, make_producer, TOPIC, 1, TIMEOUT, colour="red")
        make_producer(TOPIC, 1, TIMEOUT, compression_type=0, chunking_enabled=False)
        _, producer = _opened()
        for options in ({"replication_clusters": ["b"]}, {"disable_replication": True}):
            outcomes = []
            await _outcome(producer.send(b"x", **options), outcomes)
            assert isinstance(outcomes[0], ValueError) and list(options)[0] in str(outcomes[0])

    asyncio.run(run())


def test_what_no_ring_of_its_size_holds_is_refused_on_a_board_and_goes_alone_on_the_twin():
    async def run():
        broker, producer = _opened(send_buffer_size=600)
        large = bytes(2000)
        if not LARGE_MESSAGES:
            outcomes = []
            await _outcome(producer.send(large), outcomes)
            assert isinstance(outcomes[0], MessageTooBig)
            raises(MessageTooBig, producer.send_nowait, large)
            assert not producer.has_room(2000)
            return
        assert producer.has_room(2000)
        outcomes = []
        producer.send_nowait(b"before")
        producer.send_nowait(large)
        assert not producer.has_room(2000)
        raises(QueueFull, producer.send_nowait, large)
        tasks = [_start(producer.send(large, partition_key="k", properties={"k": "v"}), outcomes),
                 _start(producer.send(b"after"), outcomes), _start(producer.room(2000), outcomes)]
        frames = []
        await _serve(broker, producer, frames)
        for task in tasks:
            await task
        assert _contents(frames) == [b"before", large, large, b"after"]
        assert read_send(frames[2])[1][6] == b"k" and outcomes.count(None) == 1
        raises(MessageTooBig, producer.send_nowait, bytes(5242880))
        await _outcome(producer.room(5242880), outcomes)
        assert isinstance(outcomes[-1], MessageTooBig)

    asyncio.run(run())


def test_a_failed_message_leaves_the_producer_as_it_was():
    async def run():
        broker, producer = _opened()
        outcomes = []
        for content in ("text", 7, [1]):
            await _outcome(producer.send(content), outcomes)
            await _outcome(producer.send(content, partition_key="k"), outcomes)
        wide = array("H", [1, 2])
        for content in ("text", 7, wide, memoryview(wide) if hasattr(memoryview, "nbytes") else wide):
            await _outcome(producer.send_batch([b"one", content]), outcomes)
        assert [isinstance(one, TypeError) for one in outcomes] == [True] * 10 and producer.core.ring.idle()
        task = _start(producer.send(b"fine"), outcomes)
        frames = []
        await _serve(broker, producer, frames)
        await task
        assert _contents(frames) == [b"fine"] and not isinstance(outcomes[-1], PulsarError)

    asyncio.run(run())
