"""What becomes of acknowledgements where the link is lost, or the topic moves, before the broker has them for sure."""
import mpy_pulsar.core.consumer_core as module
from mpy_pulsar.core.handle import IDLE, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.batch_acks import encode_acks
from mpy_pulsar.features.cumulative import acknowledge_cumulative
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.reader import make_reader
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened, take_all, take_data
from tests.unit.fake_broker import START, TIMEOUT, TOPIC, Broker, Watch
from tests.unit.support import in_a_loop

_SEEK = 28
_KEPT = 20
_SURE = 5000


def _taken(count, **options):
    """A broker, a consumer and so many messages in its hands."""
    broker, core = opened(**options)
    broker.feed(b"".join([fake.single(number, b"%d" % number) for number in range(count)]))
    messages = take_all(core)
    assert len(messages) == count
    broker.heard()
    return broker, core, messages


def _lose(broker, core):
    core.lost(ConnectError("gone"), broker.now)
    assert core.state == IDLE


def _reopen(core):
    """A new link: the broker, and the kinds of what the client said behind its SUBSCRIBE."""
    broker = Broker()
    open_again(broker, core)
    said = broker.heard()
    return broker, [one.kind for one in said], [one.all(3) for one in said if one.kind == fake.ACK]


def _ids(*numbers):
    return [fake.message_id(number) for number in numbers]


def test_what_waits_is_sent_before_the_permits_of_the_next_opening():
    broker, core, messages = _taken(3)
    core.acknowledge(messages[0])
    _lose(broker, core)
    core.acknowledge(messages[2])  # without a link
    _, kinds, acks = _reopen(core)
    assert kinds == [fake.ACK, fake.FLOW] and acks == [_ids(0, 2)]


def test_what_was_sent_just_before_the_link_was_lost_is_sent_again():
    broker, core, messages = _taken(3)
    core.acknowledge(messages[0])
    core.flush()
    core.acknowledge(messages[1])
    assert len(broker.heard()) == 1
    _lose(broker, core)
    _, kinds, acks = _reopen(core)
    assert kinds == [fake.ACK, fake.ACK, fake.FLOW] and acks == [_ids(0), _ids(1)]


def test_what_the_broker_had_time_to_get_is_not_sent_again():
    broker, core, messages = _taken(2)
    core.acknowledge(messages[0])
    core.flush()
    broker.now = ticks_add(START, _SURE)
    broker.say(fake.PONG)  # it lives
    core.acknowledge(messages[1])
    _lose(broker, core)
    assert _reopen(core)[2] == [_ids(1)]


def test_a_half_open_link_is_a_doubt_however_long_it_lasts():
    broker, core, messages = _taken(1)
    broker.connection.sweep(ticks_add(START, 30000))
    core.acknowledge(messages[0])
    core.flush()
    _lose(broker, core)
    assert _reopen(core)[2] == [_ids(0)]


def test_a_move_keeps_what_waits_and_nothing_else():
    broker, core, messages = _taken(2)
    core.acknowledge(messages[0])
    core.flush()
    core.acknowledge(messages[1])
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    assert core.state == IDLE
    broker, _, acks = _reopen(core)
    assert acks == [_ids(1)]
    broker.feed(fake.single(0, b"0") + fake.single(1, b"1"))
    assert take_data(core) == [b"0"]  # somebody may have moved the subscription back: it is to be seen again


def test_what_is_acknowledged_and_comes_again_is_not_delivered_twice():
    broker, core, messages = _taken(3)
    core.acknowledge(messages[0])
    core.flush()
    core.acknowledge(messages[1])
    _lose(broker, core)
    broker, _, _ = _reopen(core)
    broker.feed(b"".join([fake.single(number, b"%d" % number) for number in range(4)]))
    core.acknowledge(messages[2])  # while its like waits to be taken
    assert take_data(core) == [b"3"]
    # The broker is told again, and its permits come back.
    core.flush()
    core.give_permits(core.permits)
    said = broker.heard()
    acked = [one for command in said if command.kind == fake.ACK for one in command.all(3)]
    assert sorted(set(acked)) == _ids(0, 1, 2)
    assert sum([command[2] for command in said if command.kind == fake.FLOW]) == core.permits + 4


def test_what_is_not_acknowledged_comes_again():
    broker, core, messages = _taken(2)
    core.acknowledge(messages[1])
    _lose(broker, core)
    broker, _, _ = _reopen(core)
    broker.feed(fake.single(0, b"0"))
    assert take_data(core) == [b"0"]


def test_an_entry_is_acknowledged_by_messages_of_before_and_after_alike():
    broker, core = opened()
    broker.feed(fake.batch(7, [b"a", b"b"]))
    a, b = take_all(core)
    core.acknowledge(a)
    _lose(broker, core)
    broker, _, acks = _reopen(core)
    assert acks == []
    broker.feed(fake.batch(7, [b"a", b"b"]))
    core.acknowledge(b)  # of before: now all of them are done with
    assert take_data(core) == []
    core.flush()
    assert broker.heard()[-1].all(3)[:1] == _ids(7)


def test_so_many_are_kept_without_a_link_and_no_more():
    module.ACK_GROUP, before = _KEPT, module.ACK_GROUP
    try:
        broker, core, messages = _taken(_KEPT + 5)
        _lose(broker, core)
        for message in messages:
            core.acknowledge(message)
        _, _, acks = _reopen(core)
    finally:
        module.ACK_GROUP = before
    assert acks == [_ids(*range(5, _KEPT + 5))]


def test_links_that_are_lost_one_after_the_other_forget_nothing():
    broker, core, messages = _taken(2)
    core.acknowledge(messages[0])
    core.flush()
    for _ in range(3):
        _lose(broker, core)
        broker, _, acks = _reopen(core)
        assert acks == [_ids(0)]


def test_a_second_loss_before_the_opening_changes_nothing():
    broker, core, messages = _taken(2)
    core.acknowledge(messages[0])
    _lose(broker, core)
    broker = Broker()
    core.not_before = None
    broker.attach(core)
    core.acknowledge(messages[1])
    _lose(broker, core)
    assert _reopen(core)[2] == [_ids(0, 1)]


def test_a_seek_makes_them_void():
    for granted in (True, False):
        broker, core, messages = _taken(2)
        core.acknowledge(messages[0])
        if not granted:
            _lose(broker, core)
        core.acknowledge(messages[1])
        call = Call(MessageId(fake.message_id(0)), None, None, ticks_add(START, TIMEOUT))
        extra_of(core, Seek).begin(call, START)
        if granted:
            assert broker.hear(fake.ACK, _SEEK)  # those that wait leave before it
            _lose(broker, core)
        broker = Broker()
        open_again(broker, core)
        asked = broker.hear(_SEEK)
        broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
        broker.say(fake.SUCCESS, 1, asked[2])
        subscribe = broker.hear(fake.SUBSCRIBE)
        broker.say(fake.SUCCESS, 1, subscribe[5])
        assert [one.kind for one in broker.heard()] == [fake.FLOW] and call.done
        broker.feed(fake.single(0, b"0") + fake.single(1, b"1"))
        assert take_data(core) == [b"0", b"1"]


def test_a_seek_of_unknown_outcome_makes_them_void_too():
    for lost in (True, False):
        broker, core, messages = _taken(2, consumer_type=2)
        call = Call(MessageId(fake.message_id(0)), None, None, ticks_add(START, TIMEOUT))
        core.acknowledge(messages[0])
        extra_of(core, Seek).begin(call, START)
        assert broker.hear(fake.ACK, _SEEK)
        if lost:
            _lose(broker, core)
        acknowledge_cumulative(core, messages[1])
        core.acknowledge(messages[1])
        core.sweep(ticks_add(START, TIMEOUT))
        assert call.error and core.state == IDLE
        assert _reopen(core)[1] == [fake.FLOW]


def test_a_seek_that_waits_for_the_first_opening_and_is_refused():
    broker, core = Broker(), fake.consumer()
    core.established = True
    call = Call(MessageId(fake.message_id(0)), None, None, ticks_add(START, TIMEOUT))
    extra_of(core, Seek).begin(call, START)
    broker.open(core)
    broker.say(fake.ERROR, 1, broker.hear(_SEEK)[2], 2, 22)
    assert call.error and core.state == READY and [one.kind for one in broker.heard()] == [fake.FLOW]
    core.sweep(ticks_add(START, 10))
    _lose(broker, core)
    assert _reopen(core)[1] == [fake.FLOW]


@in_a_loop
def test_a_reader_has_nothing_to_say_to_its_next_cursor():
    reader = make_reader(TOPIC, 2, TIMEOUT, MessageId.earliest, receiver_queue_size=2)
    core = reader.core
    core.plain = True
    core.watch = Watch(core)
    broker = Broker()
    open_again(broker, core)
    broker.feed(fake.single(0, b"0"))
    core.acknowledge(core.take())
    _lose(broker, core)
    assert _reopen(core)[1] == [fake.FLOW]


def test_parts_of_a_batch_are_kept_too():
    broker, core = opened()
    core.partial = encode_acks
    broker.feed(fake.batch(7, [b"a", b"b", b"c"]))
    a, b, c = take_all(core)
    core.acknowledge(a)
    _lose(broker, core)
    core.acknowledge(b)
    _, kinds, ((*parts, last),) = _reopen(core)
    assert kinds == [fake.ACK, fake.FLOW] and last == fake.message_id(7, 7, 5, [4], 6, 3), (parts, last)


def _cumulative(broker):
    return [one[3] for one in broker.heard() if one.kind == fake.ACK and one[2] == 1]


def test_a_cumulative_one_is_sent_before_the_permits_too():
    for sent in (False, True):
        broker, core, messages = _taken(3, consumer_type=2)
        acknowledge_cumulative(core, messages[1])
        if sent:
            core.flush()
        _lose(broker, core)
        broker = Broker()
        open_again(broker, core)
        ack, flow = broker.heard()
        assert (ack.kind, ack[2], ack[3], flow.kind) == (fake.ACK, 1, fake.message_id(1), fake.FLOW)


def test_a_cumulative_one_that_arrived_is_not_repeated():
    broker, core, messages = _taken(2)
    acknowledge_cumulative(core, messages[1])
    core.flush()
    broker.now = ticks_add(START, _SURE)
    broker.say(fake.PONG)
    _lose(broker, core)
    broker, kinds, _ = _reopen(core)
    assert kinds == [fake.FLOW]
    # The subscription may have been moved back: what comes is acknowledged as ever.
    broker.feed(fake.single(0, b"0"))
    acknowledge_cumulative(core, core.take())
    core.flush()
    assert _cumulative(broker) == [fake.message_id(0)]


def test_a_cumulative_one_after_a_move_is_what_waited():
    broker, core, messages = _taken(3)
    acknowledge_cumulative(core, messages[0])
    core.flush()
    acknowledge_cumulative(core, messages[1])
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker = Broker()
    open_again(broker, core)
    assert _cumulative(broker) == [fake.message_id(1)]


def test_messages_that_came_again_are_passed_over_once_all_before_is_done_with():
    broker, core, messages = _taken(3)
    _lose(broker, core)
    broker, _, _ = _reopen(core)
    broker.feed(b"".join([fake.single(number, b"%d" % number) for number in range(4)]))
    acknowledge_cumulative(core, messages[2])
    assert take_data(core) == [b"3"]
    core.flush()
    assert _cumulative(broker) == [fake.message_id(2)]
