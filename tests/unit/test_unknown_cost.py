"""Entries of which nobody knows how many permits they have cost: the consumer is opened again, and counts anew."""
from mpy_pulsar.core.handle import IDLE
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.features.reader import ReaderCore
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened, take_data
from tests.unit.fake_broker import Broker


def _damaged_batch(entry):
    return fake.batch(entry, [b"a"] * 100, checksum=b"\0\0\0\0")


def test_a_damaged_batch_makes_the_permits_start_anew():
    for frame in (_damaged_batch(5), fake.entry_frame(5, b"\x0b", b"x")):
        broker, core = opened(permits=2)
        broker.feed(fake.single(4, b"before"))
        core.acknowledge(core.take())
        broker.heard()
        broker.feed(frame)
        assert core.state == IDLE and core.connection is None and len(core.watch.errors) == 1
        given_up, acked, closed = broker.heard()
        assert (given_up.kind, given_up[3]) == (fake.ACK, fake.message_id(5)) and given_up[4] in (2, 3)
        assert (acked.kind, acked.all(3)) == (fake.ACK, [fake.message_id(4)])
        assert closed.kind == fake.CLOSE_CONSUMER
        broker.feed(fake.single(6, b"of before"))
        open_again(broker, core)
        assert broker.hear(fake.FLOW)[2] == 2
        broker.feed(fake.single(6, b"next"))
        assert take_data(core) == [b"next"]


def test_a_damaged_single_message_costs_one():
    broker, core = opened(permits=1)
    broker.feed(fake.single(5, b"a", checksum=b"\0\0\0\0"))
    assert broker.hear(fake.ACK, fake.FLOW)[2] == 1


def test_a_reader_is_opened_again_once_its_place_is_behind_the_damage():
    core = ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.start_from(MessageId.earliest, False)
    broker = Broker()
    open_again(broker, core)
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b") + _damaged_batch(5))
    assert core.take().data() == b"a" and core.connection
    broker.heard()
    assert core.take().data() == b"b" and core.state == IDLE
    assert broker.heard()[-1].kind == fake.CLOSE_CONSUMER
    asked = open_again(broker, core)
    # Not 5: a broker begins with the entry that it is told.
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(6))
    broker.feed(fake.single(6, b"c"))
    assert take_data(core) == [b"c"] and core.last == MessageId(fake.message_id(6))
