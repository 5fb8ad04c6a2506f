"""Acknowledgements that a seek makes void, their order, and those by ids from elsewhere, without sockets."""
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.features.by_id import ByIds
from mpy_pulsar.features.cumulative import acknowledge_cumulative
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.redelivery import NegativeAcks
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import heard_of, opened, take_all

SEEK = 28
REDELIVER = 20
SHARED = 1


def _seek(core, message_id=MessageId.earliest):
    call = Call(message_id, None, None, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    return call


def _finish(broker, number):
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.say(fake.SUCCESS, 1, number)
    asked = broker.hear(fake.SUBSCRIBE)
    return asked


def _acked(broker, core):
    """(cumulative, ids) of the acknowledgements since the last look."""
    core.flush()
    return [(one[2], one.all(3)) for one in heard_of(broker, fake.ACK)]


def _by_id(entry, index, size):
    return MessageId.deserialize(MessageId(fake.message_id(entry), index, size).serialize())


def test_a_cumulative_acknowledgement_of_before_a_seek_is_void():
    broker, core = opened()
    broker.feed(fake.single(3, b"a") + fake.single(9, b"b"))
    first, second = take_all(core)
    _seek(core)
    number = broker.hear(SEEK)[2]
    acknowledge_cumulative(core, first)
    asked = _finish(broker, number)
    acknowledge_cumulative(core, second)  # the broker has sought, and the consumer is not open again
    core.acknowledge(second)
    broker.say(fake.SUCCESS, 1, asked[5])
    assert _acked(broker, core) == []


def test_negative_acknowledgements_of_before_a_seek_are_void():
    broker, core = opened(consumer_type=SHARED)
    _seek(core)
    number = broker.hear(SEEK)[2]
    extra_of(core, NegativeAcks).add(fake.message_id(3), fake.START, 10)
    broker.say(fake.SUCCESS, 1, _finish(broker, number)[5])
    broker.heard()
    core.sweep(ticks_add(fake.START, 20))
    assert heard_of(broker, REDELIVER) == []


def test_what_comes_again_after_a_seek_is_acknowledged_again():
    broker, core = opened()
    ids = [_by_id(5, index, 3) for index in range(3)]
    for _ in range(2):
        broker.feed(fake.single(3, b"a"))
        acknowledge_cumulative(core, core.take())
        for one in ids:
            core.acknowledge(one)
        assert _acked(broker, core) == [(0, [fake.message_id(5)]), (1, [fake.message_id(3)])]
        core.acknowledge(ids[0])  # counted, until the seek
        _seek(core)
        broker.say(fake.SUCCESS, 1, _finish(broker, broker.hear(SEEK)[2])[5])
        broker.heard()
        assert not extra_of(core, ByIds).tracked


def test_of_cumulative_acknowledgements_the_greatest_counts():
    broker, core = opened()
    broker.feed(fake.single(3, b"a") + fake.single(9, b"b"))
    first, second = take_all(core)
    acknowledge_cumulative(core, second)
    acknowledge_cumulative(core, first)
    assert _acked(broker, core) == [(1, [fake.message_id(9)])]
    acknowledge_cumulative(core, first)
    acknowledge_cumulative(core, second)
    assert _acked(broker, core) == []


def test_a_batch_acknowledged_up_to_a_message_and_one_by_one_behind_it():
    for by_ids in (False, True):
        broker, core = opened()
        broker.feed(fake.batch(5, [b"a", b"b", b"c"]))
        messages = take_all(core)
        if by_ids:
            messages = [_by_id(5, index, 3) for index in range(3)]
        acknowledge_cumulative(core, messages[1])
        core.acknowledge(messages[2])
        assert _acked(broker, core) == [(0, [fake.message_id(5)]), (1, [fake.message_id(4)])]
        acknowledge_cumulative(core, messages[0])
        core.acknowledge(messages[2])
        assert _acked(broker, core) == []


def test_ids_from_elsewhere_are_counted_until_their_entry_is_done_with():
    broker, core = opened()
    extra_of(core, ByIds).most = 10
    core.acknowledge(_by_id(0, 0, 2))
    for entry in range(1, 12):
        core.acknowledge(_by_id(entry, 0, 2))
        core.acknowledge(_by_id(entry, 1, 2))
    core.acknowledge(_by_id(0, 1, 2))
    ids = []
    for _, some in _acked(broker, core):
        ids += some
    assert len(ids) == 12 and ids[-1] == fake.message_id(0) and not extra_of(core, ByIds).tracked


def test_of_too_many_entries_acknowledged_in_part_the_oldest_comes_again():
    broker, core = opened()
    extra_of(core, ByIds).most = 10
    for entry in range(11):
        core.acknowledge(_by_id(entry, 0, 2))
    core.acknowledge(_by_id(0, 1, 2))
    core.acknowledge(_by_id(10, 1, 2))
    core.acknowledge(_by_id(2, 1, 2))
    assert _acked(broker, core) == [(0, [fake.message_id(10), fake.message_id(2)])]
