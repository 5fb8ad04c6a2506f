"""stats(): every message is counted once, as what became of it, and sums stay right however large they grow."""
import asyncio

from mpy_pulsar import Client
from mpy_pulsar.consumer import Consumer
from mpy_pulsar.core.handle import CLOSED
from mpy_pulsar.errors import ConnectError, PulsarError, Timeout
from mpy_pulsar.features.refusal import drop
from mpy_pulsar.features.stats import add_up, stats_of, stats_of_all
from mpy_pulsar.port import ticks_add
from mpy_pulsar.features.new_producer import make_producer
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIMEOUT, TOPIC, Broker, producer_in_flight, reopen

_NOTHING = {
    "sent": 0, "acknowledged": 0, "unknown": 0, "pending": 0, "batches": 0, "bytes": 0, "resent": 0, "reconnects": 0,
    "dropped": {"full": 0, "expired": 0, "timeout": 0, "refused": 0, "too_large": 0, "closed": 0},
    "round_trip_ms": None,
}
_NOWHERE = (1 << 64) - 1


class Owner:
    """What holds the handles that live."""

    def __init__(self, handles):
        self.handles = handles


def _same(stats, dropped=None, **changed):
    """A producer's stats are as of one that has done nothing, but for these."""
    expected = dict(_NOTHING)
    expected.update(changed)
    expected["dropped"] = dict(_NOTHING["dropped"])
    expected["dropped"].update(dropped or {})
    assert stats == expected, (stats, expected)


def _without(stats, *names):
    return {name: stats[name] for name in stats if name not in names}


def test_a_new_producer_has_done_nothing():
    _same(stats_of(fake.producer()))


def test_messages_batches_bytes_and_round_trips():
    broker, core = fake.opened_producer(messages=3)
    for _ in range(7):
        core.ring.add(b"12345")
    frames = broker.sent(core)
    assert len(frames) == 3
    size = sum([len(frame) for frame in frames])
    _same(stats_of(core), sent=7, pending=7, bytes=size)
    for sequence, wait in ((0, 10), (3, 30), (6, 50)):
        broker.now = ticks_add(broker.now, wait)
        broker.receipt(sequence)
    _same(stats_of(core), sent=7, acknowledged=7, batches=3, bytes=size, round_trip_ms=(10, 46, 90))


def test_what_is_resent_is_counted_apart_and_timed_from_its_first_transmission():
    broker, core, frames, _ = producer_in_flight(2)
    core.ring.add(b"waits")
    core.lost(ConnectError("gone"), broker.now)
    broker.now += 500
    reopen(broker, core)
    sent = broker.sent(core)
    assert sent[:2] == frames
    broker.receipt(0)
    stats = stats_of(core)
    assert (stats["batches"], stats["resent"], stats["reconnects"]) == (1, 2, 1)
    assert stats["bytes"] == sum([len(frame) for frame in sent]) and stats["round_trip_ms"] == (500, 500, 500)
    core.lost(ConnectError("gone"), broker.now)
    reopen(broker, core)
    broker.sent(core)
    assert stats_of(core)["resent"] == 4 and stats_of(core)["reconnects"] == 2


def test_each_failure_has_its_reason():
    broker, core, _, _ = producer_in_flight(4)
    broker.say(fake.SEND_ERROR, 1, 1, 2, 0, 3, 22, 4, "no")  # NotAllowed
    broker.say(fake.SEND_ERROR, 1, 1, 2, 1, 3, 2, 4, "no")  # PersistenceError: again
    assert core.state != CLOSED
    reopen(broker, core)
    broker.sent(core)
    broker.say(fake.SEND_RECEIPT, 1, 1, 2, 1, 3, fake.message_id(_NOWHERE, _NOWHERE), 4, _NOWHERE)
    broker.receipt(2)
    stats = _without(stats_of(core), "bytes", "batches", "round_trip_ms", "resent", "reconnects")
    assert stats == {
        "sent": 4, "acknowledged": 1, "unknown": 1, "pending": 1, "dropped": dict(_NOTHING["dropped"], refused=1)
    }
    drop(core, 3, Timeout("late"), 13)
    assert stats_of(core)["unknown"] == 2  # after a link was lost nobody can tell


def test_what_is_left_at_the_end_is_unknown_or_was_not_sent():
    for end in (
        lambda core, now: core.start_close(now), lambda core, now: core.fail(PulsarError("for good")),
        lambda core, now: (core.start_close(now), core.fail(PulsarError("twice"))),
    ):
        broker, core, _, _ = producer_in_flight(2)
        core.ring.max_messages = 100
        core.ring.add(b"closed")
        core.ring.close_batch()
        core.ring.add(b"open")
        core.ring.add(b"open")
        end(core, broker.now)
        stats = stats_of(core)
        assert (stats["unknown"], stats["dropped"]["closed"], stats["pending"], stats["sent"]) == (2, 3, 0, 5), stats


def test_a_receipt_while_closing_still_counts():
    broker, core, _, _ = producer_in_flight(2)
    core.start_close(broker.now)
    broker.receipt(0)
    stats = stats_of(core)
    assert (stats["acknowledged"], stats["unknown"], stats["sent"]) == (1, 1, 2)


def test_sums_stay_small_numbers_and_right():
    broker, core = fake.opened_producer(messages=1, size=4000)
    core.counts[4] = (1 << 28) - 10
    core.ring.add(bytes(1000))
    (frame,) = broker.sent(core)
    assert core.counts[4] < 1 << 28
    assert stats_of(core)["bytes"] == (1 << 28) - 10 + len(frame)
    broker.receipt(0)
    for sequence in range(1, 20):
        core.ring.add(b"x")
        broker.sent(core)
        broker.now = ticks_add(broker.now, 50000000)
        broker.receipt(sequence)
        assert core.counts[6] < 1 << 28
    assert stats_of(core)["round_trip_ms"] == (0, 950000000 // 20, 50000000)


def test_a_consumer_counts_what_it_hands_out():
    broker, core = Broker(), fake.consumer(permits=20)
    broker.open(core)
    frames = [fake.batch(1, [b"a", b"b", b"c"]), fake.single(2, b"single")]
    for frame in frames:
        broker.feed(frame)
    size = sum([len(frame) for frame in frames])

    async def run():
        consumer = Consumer(core)
        stats = consumer.stats()
        assert (stats["entries"], stats["received"], stats["acknowledged"], stats["redelivered"]) == (2, 0, 0, 0)
        assert size - 2 * 40 < stats["bytes"] < size  # without the commands
        messages = [core.take() for _ in range(4)]
        await consumer.acknowledge(messages[0])
        await consumer.acknowledge(messages[0])
        assert consumer.stats()["received"] == 4 and consumer.stats()["acknowledged"] == 1
        await consumer.acknowledge_entry(messages[1])
        assert consumer.stats()["acknowledged"] == 3
        await consumer.acknowledge(messages[3].message_id())
        assert consumer.stats()["acknowledged"] == 4
        core.lost(ConnectError("gone"), broker.now)
        broker.heard()
        reopen(broker, core)
        broker.feed(fake.single(2, b"single", command_pairs=(3, 1)))
        stats = consumer.stats()
        assert (stats["redelivered"], stats["entries"], stats["reconnects"]) == (1, 3, 1)

    asyncio.run(run())


def test_the_sums_of_a_client_outlive_its_handles():
    lists = []
    live = []
    broker = Broker()
    for number in range(5):
        core = fake.producer(messages=1)
        core.id = number + 1
        core.ring.add(b"x")
        lists.append(core.counts)
        if number < 3:
            core.counts[2] = 1
            core.counts[6:10] = [10 * number + 10, 0, 10 * number + 10, 10 * number + 10]
            core.start_close(broker.now)
        else:
            live.append(core)
    for _ in range(2):
        consumer = fake.consumer()
        consumer.counts[0] = 3
        consumer.counts[6] = 20
        lists.append(consumer.counts)
    supervisor = Owner(live)
    before = stats_of_all(lists, supervisor)
    producers = before["producers"]
    assert (producers["sent"], producers["pending"], producers["dropped"]["closed"]) == (5, 2, 3)
    assert producers["round_trip_ms"] == (10, 20, 30)
    assert before["consumers"]["received"] == 40 and before["reconnects"] == 6
    add_up(lists, live)
    assert len(lists) == 4 and stats_of_all(lists, supervisor) == before
    live[0].counts[1] += 7  # the very list of the handle is still there
    assert stats_of_all(lists, supervisor)["producers"]["acknowledged"] == 7
    _same(stats_of_all([], None)["producers"])


def test_a_client_that_opens_producers_for_ever_keeps_few_counts():
    async def run():
        client = Client("pulsar://localhost:1", operation_timeout_seconds=0.001)
        assert client.stats()["reconnects"] == 0
        for _ in range(40):
            try:
                await client.create_producer("t")
            except PulsarError:
                pass
            assert len(client._counts) < 20
        await client.close()
        assert client.stats()["producers"]["sent"] == 0

    asyncio.run(run())


def test_the_dict_is_the_caller_s_own():
    async def run():
        producer = make_producer(TOPIC, 1, TIMEOUT)
        producer.stats()["dropped"]["full"] = 7
        assert producer.stats()["dropped"]["full"] == 0

    asyncio.run(run())
