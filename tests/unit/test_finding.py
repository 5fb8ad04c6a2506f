"""The way to a topic's broker: partitions, and the opening that leaves together with the look-up."""
from mpy_pulsar.core.handle import CLOSED, IDLE, LOOKING, OPENING, READY
from mpy_pulsar.core.topic import is_partition
from mpy_pulsar.errors import ConnectError, ProtocolError, PulsarError
from mpy_pulsar.features.partitions import PartitionsQuery
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import HERE, THERE, TIMEOUT, TOPIC, Broker, Watch
from tests.unit.support import raises

PARTITIONED_METADATA = 21
PARTITIONED_METADATA_RESPONSE = 22


def _asked(core, kinds=(PARTITIONED_METADATA, fake.LOOKUP), speculation=0):
    """A handle on a fresh connection and the commands it has sent: broker, commands."""
    broker = Broker()
    broker.connection.speculation = speculation
    core.attach(broker.connection, broker.now)
    commands = broker.heard()
    assert [one.kind for one in commands] == list(kinds)
    return broker, commands


def _unknown(make=fake.producer, **options):
    core = make(**options)
    core.plain = False
    return core


def _answer(broker, asked, partitions):
    broker.say(PARTITIONED_METADATA_RESPONSE, 1, partitions, 2, asked[2], 3, 0)


def _found(broker, asked, url=HERE):
    broker.say(fake.LOOKUP_RESPONSE, 1, url, 3, 1, 4, asked[2], 5, True)


def test_names_of_partitions_are_told_from_others():
    for name in ("t-partition-0", "t-partition-17", "a-partition-1-partition-2"):
        assert is_partition(name), name
    for name in ("t", "t-partition-", "t-partition-03", "t-partition-x", "partition-1", "t-partition-1x",
                 "t-partition--1", "t-partition-\u00b2"):
        assert not is_partition(name), name


def test_partitions_and_look_up_are_asked_for_at_once_and_answered_in_any_order():
    for make in (fake.producer, fake.consumer):
        for look_up_first in (True, False):
            core = _unknown(make)
            broker, (metadata, look_up) = _asked(core)
            assert metadata[1] == look_up[1] == TOPIC.encode()
            if look_up_first:
                _found(broker, look_up)
                assert broker.heard() == [] and core.state == LOOKING
                _answer(broker, metadata, 0)
            else:
                _answer(broker, metadata, 0)
                assert broker.heard() == [] and core.state == LOOKING
                _found(broker, look_up)
            assert len(broker.heard()) == 1 and core.state == OPENING and core.plain


def test_a_refused_look_up_counts_only_once_the_partitions_are_known():
    core = _unknown()
    broker, (metadata, look_up) = _asked(core)
    broker.say(fake.LOOKUP_RESPONSE, 3, 2, 4, look_up[2], 6, 11, 7, "no such topic")
    assert core.failure is None
    _answer(broker, metadata, 0)
    assert core.state == CLOSED and core.failure.error() == 11 and "no such topic" in str(core.failure)


def test_partitions_that_cannot_be_asked_for_end_or_delay_the_opening_by_the_code():
    for code, state in ((11, CLOSED), (6, IDLE)):
        core = _unknown()
        broker, (metadata, _) = _asked(core)
        broker.say(PARTITIONED_METADATA_RESPONSE, 2, metadata[2], 3, 1, 4, code, 5, "sorry")
        assert core.state == state and (core.failure or core.error).error() == code


def test_a_producer_takes_the_partition_it_was_told_or_any():
    names = set()
    for partition in (2, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1):
        core = _unknown()
        core.partition = partition
        broker, (metadata, look_up) = _asked(core)
        _answer(broker, metadata, 4)
        second = broker.hear(fake.LOOKUP)
        assert second[1].decode() == core.topic and second[2] != look_up[2]
        _found(broker, look_up, "pulsar://the.parents.place:6650")  # not asked for any more
        _found(broker, second)
        assert broker.hear(fake.PRODUCER)[1].decode() == core.topic
        if partition == 2:
            assert core.topic == TOPIC + "-partition-2"
        names.add(core.topic)
    assert len(names) > 1 and names <= {TOPIC + "-partition-%d" % index for index in range(4)}


def test_a_partition_once_taken_is_kept():
    core = _unknown()
    core.partition = -1
    broker, (metadata, _) = _asked(core)
    _answer(broker, metadata, 1000)
    topic = core.topic
    core.lost(ConnectError("gone"), broker.now)
    _, (look_up,) = _asked(core, [fake.LOOKUP])
    assert look_up[1].decode() == core.topic == topic


def test_a_partitioned_topic_that_is_not_meant_is_refused_with_the_names_to_use():
    for core, partition in ((_unknown(fake.consumer), -2), (_unknown(), 4)):
        core.partition = partition
        broker, (metadata, _) = _asked(core)
        _answer(broker, metadata, 4)
        assert core.state == CLOSED and isinstance(core.failure, PulsarError)
        assert "4 partitions" in str(core.failure) and TOPIC + "-partition-3" in str(core.failure)
        assert broker.heard() == []


def test_the_opening_leaves_with_the_look_up_and_counts_once_both_are_answered():
    for look_up_first in (True, False):
        core = fake.producer()
        broker, (look_up, early) = _asked(core, [fake.LOOKUP, fake.PRODUCER], speculation=1)
        core.ring.add(b"reading")
        if look_up_first:
            _found(broker, look_up)
            assert core.state == OPENING
            broker.say(fake.PRODUCER_SUCCESS, 1, early[3], 2, "made", 3, None)
        else:
            broker.say(fake.PRODUCER_SUCCESS, 1, early[3], 2, "made", 3, None)
            assert core.state == LOOKING and core.next_frame(broker.clock, broker.now) == -1
            _found(broker, look_up)
        assert core.state == READY and core.established and core.name == "made" and broker.heard() == []
        assert broker.connection.speculation == 1 and len(broker.sent(core)) == 1


def test_an_early_opening_that_is_refused_is_tried_again_after_the_look_up():
    for look_up_first in (True, False):
        core = fake.producer()
        broker, (look_up, early) = _asked(core, [fake.LOOKUP, fake.PRODUCER], speculation=1)
        if look_up_first:
            _found(broker, look_up)
            broker.say(fake.ERROR, 1, early[3], 2, 6, 3, "please redo the lookup")
        else:
            broker.say(fake.ERROR, 1, early[3], 2, 6, 3, "please redo the lookup")
            assert core.state == LOOKING and core.error is None
            _found(broker, look_up)
        again = broker.hear(fake.PRODUCER)
        assert core.state == OPENING and again[3] != early[3] and broker.connection.speculation == 1
        broker.say(fake.PRODUCER_SUCCESS, 1, again[3], 2, "made", 3, None)
        assert core.state == READY and core.watch.errors == []


def test_an_early_opening_at_the_wrong_place_is_closed_there():
    for answered in (True, False):
        core = fake.producer()
        broker, (look_up, early) = _asked(core, [fake.LOOKUP, fake.PRODUCER], speculation=1)
        if answered:
            broker.say(fake.PRODUCER_SUCCESS, 1, early[3], 2, "made", 3, None)
        _found(broker, look_up, THERE)
        assert broker.hear(fake.CLOSE_PRODUCER)[1] == core.id
        assert core.state == IDLE and core.move_to[0] == THERE and not core.established
        broker.say(fake.PRODUCER_SUCCESS, 1, early[3], 2, "late", 3, None)
        assert core.state == IDLE and broker.connection.speculation == 1


def test_a_link_that_dies_of_an_early_opening_shows_it():
    core = fake.producer()
    broker, _ = _asked(core, [fake.LOOKUP, fake.PRODUCER], speculation=1)
    core.lost(ConnectError("closed by the broker"), broker.now)
    assert broker.connection.speculation == 2


def test_a_connection_to_a_proxy_takes_no_early_opening():
    for size, speculation in ((None, 0), (5242880, 1)):
        broker = Broker(connected=False)
        broker.connection.speculation = 1
        broker.connection.start("token", b"secret")
        broker.say(fake.CONNECTED, 1, "fake", 2, 21, 3, size)
        assert broker.connection.speculation == speculation


def test_the_names_of_partitions_are_asked_for_alone():
    for count, names in ((0, [TOPIC]), (2, [TOPIC + "-partition-0", TOPIC + "-partition-1"])):
        query = PartitionsQuery(TOPIC, 7, TIMEOUT)
        query.watch = Watch(query)
        broker, (metadata,) = _asked(query, [PARTITIONED_METADATA])
        _answer(broker, metadata, count)
        assert query.topics == names and query.established and query.state == CLOSED
        assert broker.connection.handles == {} and broker.heard() == []


def test_more_partitions_than_any_topic_has_cost_the_link():
    for core in (_unknown(), PartitionsQuery(TOPIC, 7, TIMEOUT)):
        core.attach(Broker().connection, fake.START)
        broker = Broker()
        core.lost(ConnectError("gone"), broker.now)
        core.attach(broker.connection, broker.now)
        metadata = broker.heard()[0]
        raises(ProtocolError, _answer, broker, metadata, 1 << 27)


def test_behind_a_forwarded_port_no_opening_leaves_early_a_second_time():
    # A broker there takes it, and the name is held when the opening comes by the way that the look-up says.
    for proxied, kinds in ((True, [fake.LOOKUP]), (False, [fake.LOOKUP, fake.PRODUCER])):
        core = fake.producer()
        broker, (look_up, early) = _asked(core, [fake.LOOKUP, fake.PRODUCER], speculation=1)
        broker.say(fake.LOOKUP_RESPONSE, 1, THERE, 3, 1, 4, look_up[2], 5, True, 8, proxied)
        assert core.move_to[2] is proxied
        core.attach(broker.connection, broker.now)
        core.retry(PulsarError("lost again"))
        _asked(core, kinds, speculation=1)
