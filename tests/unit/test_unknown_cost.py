"""Entries of which nobody knows how many permits they have cost: the consumer is opened again, and counts anew."""
from mpy_pulsar.core.handle import IDLE, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.features.reader import ReaderCore
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened, permits, take_data
from tests.unit.fake_broker import Broker

_EARLY = (4, message(1, "k", 2, "v" * 900))
_LATE = (18, "o" * 900)


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


def _cut_off(before=(), behind=(), count=None, **options):
    """A MESSAGE whose metadata is larger than a read buffer of 200 bytes, cut off in field 4 or in field 18."""
    metadata = message(1, "from", 2, 5, 3, fake.TIME, *(before + (11, count) + behind))
    return fake.entry_frame(3, metadata, b"x" * 50, **options)


def _small(core, size=200):
    broker = Broker(size=size, limit=size)
    open_again(broker, core)
    broker.heard()
    return broker


def test_metadata_that_is_cut_off_behind_the_count_still_says_it():
    for count, permits_back in ((7, 7), (None, 1)):
        core = fake.consumer(2)
        broker = _small(core)
        broker.feed(_cut_off(behind=_LATE, count=count))
        assert permits(broker) == permits_back and len(core.watch.errors) == 1 and core.state == READY


def test_an_ack_set_says_what_an_entry_cost_whose_head_does_not_fit():
    core = fake.consumer(2)
    broker = _small(core)
    broker.feed(_cut_off(before=_EARLY, count=7, command_pairs=(4, 0b1010011)))
    assert permits(broker) == 4 and len(core.watch.errors) == 1 and core.state == READY


def test_nothing_is_taken_from_the_message_before():
    core = fake.consumer(1)
    broker = _small(core)
    broker.feed(fake.batch(2, [b"a", b"b", b"c"]))
    take_data(core)
    assert permits(broker) == 3
    broker.feed(_cut_off(before=_EARLY, count=7, checksum=False, broker_entry=bytes(300)))
    assert permits(broker) == 1 and core.state == READY


def test_a_consumer_of_an_entry_of_unknown_cost_is_opened_again_where_that_is_acknowledged():
    core = fake.consumer(1)
    broker = _small(core)
    broker.feed(_cut_off(before=_EARLY, count=7))
    assert permits(broker) == 1 and core.state == READY and len(core.watch.errors) == 1
    core.acknowledges_unreadable = True
    broker.feed(_cut_off(before=_EARLY, count=7))
    assert core.state == IDLE and len(core.watch.errors) == 2 and "does not fit" in str(core.watch.errors[1])
    acked, _, closed = broker.heard()
    assert (acked.kind, acked[3]) == (fake.ACK, fake.message_id(3)) and closed.kind == fake.CLOSE_CONSUMER
    open_again(broker, core)
    assert broker.hear(fake.FLOW)[2] == 1


def test_a_reader_of_an_entry_of_unknown_cost_is_opened_again_behind_it():
    core = ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.start_from(MessageId.earliest, False)
    broker = _small(core)
    broker.feed(_cut_off(before=_EARLY, count=7))
    assert core.state == IDLE
    broker.heard()
    assert MessageId.deserialize(open_again(broker, core)[9]) == MessageId(fake.message_id(4))
