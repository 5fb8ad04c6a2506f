"""A reader's place where nothing was read yet, and behind what cannot be read."""
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.reader import Reader, ReaderCore
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import take_data
from tests.unit.fake_broker import Broker


def _reader(start, inclusive=False):
    core = ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.inclusive = inclusive
    core.start_from(start, inclusive)
    broker = Broker()
    broker.open(core)
    broker.heard()
    return broker, core


def _reopened(core):
    core.lost(ConnectError("gone"), fake.START)
    core.not_before = None
    broker = Broker()
    asked = broker.open(core)
    return broker, MessageId.deserialize(asked[9])


class _Holder:
    """In place of a Reader, which belongs to an event loop."""

    def __init__(self, core):
        self.core = core


def _is_behind(core, encoded):
    return Reader._is_behind(_Holder(core), MessageId(encoded))


def test_what_came_to_a_reader_at_the_latest_is_not_lost_with_the_link():
    broker, core = _reader(MessageId.latest)
    broker.feed(fake.single(4, b"a") + fake.single(5, b"b"))
    for _ in range(2):
        broker, place = _reopened(core)
        assert place == MessageId(fake.message_id(4)) and _is_behind(core, fake.message_id(4))
        broker.feed(fake.single(3, b"before") + fake.single(4, b"a") + fake.single(5, b"b"))
    assert take_data(core) == [b"a", b"b"] and not _is_behind(core, fake.message_id(5))
    broker, core = _reader(MessageId.latest)
    broker.feed(fake.batch(4, [b"a", b"b"]))
    broker, place = _reopened(core)
    assert place == MessageId(fake.message_id(4), 0, 2)
    broker.feed(fake.batch(4, [b"a", b"b"]))
    assert take_data(core) == [b"a", b"b"]
    broker, core = _reader(MessageId.latest)
    assert _reopened(core)[1] == MessageId.latest


def _unreadable(entry):
    return fake.single(entry, b"garbage", 8, 1), fake.single(entry, b"x" * 5000), fake.batch(entry, b"\0" * 20, 2)


def test_behind_an_entry_that_cannot_be_read_there_is_nothing_more():
    for bad in _unreadable(5):
        broker, core = _reader(MessageId.earliest)
        broker.feed(fake.single(4, b"a") + bad)
        assert _is_behind(core, fake.message_id(5))
        assert take_data(core) == [b"a"] and not _is_behind(core, fake.message_id(5))
        assert _is_behind(core, fake.message_id(6))
        broker.feed(_unreadable(6)[0])
        assert not _is_behind(core, fake.message_id(6))
        assert _reopened(core)[1] == MessageId(fake.message_id(7))  # that of the entry would bring it again


def test_an_entry_that_cannot_be_read_passes_nothing_that_waits():
    broker, core = _reader(MessageId.earliest)
    broker.feed(fake.single(4, b"a") + _unreadable(5)[0] + fake.single(6, b"b"))
    assert core.take().data() == b"a"
    broker, place = _reopened(core)
    assert place == MessageId(fake.message_id(4))
    broker.feed(_unreadable(5)[0] + fake.single(6, b"b"))
    assert take_data(core) == [b"b"]
    assert _reopened(core)[1] == MessageId(fake.message_id(6))
