"""A reader without sockets: what it subscribes to, where it goes on after a lost link, what it has read."""
import asyncio

from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.reader import ReaderCore, make_reader
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker
from tests.unit.support import raises

SEEK = 28


def _reader(start, inclusive=False):
    core = ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.inclusive = inclusive
    core.start_from(start, inclusive)
    return core


def _taken(core):
    found = []
    one = core.take()
    while one:
        found.append(one.data())
        one = core.take()
    return found


def _reopened(core):
    core.lost(ConnectError("gone"), fake.START)
    core.not_before = None
    broker = Broker()
    return broker, broker.open(core)


def test_its_subscription_is_no_durable_one():
    broker = Broker()
    asked = broker.attach(_reader(MessageId.earliest))
    assert (asked[3], asked[8], asked[9]) == (0, 0, MessageId.earliest.serialize())
    asked = Broker().attach(_reader(MessageId(fake.message_id(5), 2, 9)))
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(5), 2, 9)


def test_it_starts_behind_the_message_it_was_given_or_at_it():
    for inclusive, expected in ((False, [b"c", b"next"]), (True, [b"b", b"c", b"next"])):
        broker, core = Broker(), _reader(MessageId(fake.message_id(5), 1, 3), inclusive)
        broker.open(core)
        broker.feed(fake.batch(5, [b"a", b"b", b"c"]) + fake.single(6, b"next"))
        assert _taken(core) == expected


def test_after_a_lost_link_it_goes_on_behind_the_last_message_it_handed_out():
    broker, core = Broker(), _reader(MessageId.earliest)
    broker.open(core)
    broker.feed(fake.single(4, b"a") + fake.batch(5, [b"b", b"c", b"d"]))
    assert [core.take().data() for _ in range(2)] == [b"a", b"b"]
    other, asked = _reopened(core)
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(5), 0, 3)
    # A broker may begin earlier than it was asked to.
    other.feed(fake.single(4, b"a") + fake.batch(5, [b"b", b"c", b"d"]) + fake.single(6, b"e"))
    assert _taken(core) == [b"c", b"d", b"e"]
    other, asked = _reopened(core)
    other.feed(fake.single(6, b"e"))
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(6)) and _taken(core) == []
    assert not core.waiting()
    other.feed(fake.single(7, b"f"))
    assert core.waiting() and _taken(core) == [b"f"]


def _sought(broker, core, message_id, time):
    call = Call(message_id, time, None, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    _answer_seek(broker, broker.heard()[-1][2])
    assert call.done and call.error is None


def _answer_seek(broker, number):
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.say(fake.SUCCESS, 1, number)
    asked = broker.hear(fake.SUBSCRIBE)
    broker.say(fake.SUCCESS, 1, asked[5])
    broker.hear(fake.FLOW)
    return asked


def test_after_a_seek_it_starts_from_there():
    broker, core = Broker(), _reader(MessageId.latest)
    broker.open(core)
    broker.feed(fake.single(9, b"x"))
    core.take()
    _sought(broker, core, MessageId(fake.message_id(3)), None)
    other, asked = _reopened(core)
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(3))


def test_a_time_that_was_sought_is_sought_again_while_nothing_came_of_it():
    broker, core = Broker(), _reader(MessageId.latest)
    broker.open(core)
    _sought(broker, core, None, 1700000000000)
    other, _ = _reopened(core)
    again = other.hear(SEEK)  # and no FLOW
    assert again[4] == 1700000000000
    _answer_seek(other, again[2])
    other.feed(fake.single(3, b"a"))
    assert _taken(core) == [b"a"]
    third, asked = _reopened(core)
    third.hear(fake.FLOW)
    assert MessageId.deserialize(asked[9]) == MessageId(fake.message_id(3))


def test_options_of_a_reader_are_checked():
    def make(start, **options):
        return make_reader(fake.TOPIC, 1, fake.TIMEOUT, start, **options)

    async def run():
        raises(ValueError, make, 5)
        raises(ValueError, make, MessageId.earliest, is_read_compacted=True)
        raises(TypeError, make, MessageId.earliest, colour="red")
        raises(ValueError, make, MessageId.earliest, receiver_queue_size=0)
        names = [make(MessageId(fake.message_id(3)).serialize(), subscription_role_prefix=prefix).subscription_name()
                 for prefix in (None, "role")]
        digits = [name.split("reader-")[1] for name in names]
        assert names[1].startswith("role-reader-")
        assert [len(one) == 10 and all(letter in "0123456789abcdef" for letter in one) for one in digits] == [True] * 2

    asyncio.run(run())  # what waits belongs to an event loop
