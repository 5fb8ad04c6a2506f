"""What happens besides a seek: messages that come during it, somebody else's reset, a refusal nobody waits for."""
from mpy_pulsar.core.handle import IDLE, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.reader import ReaderCore
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened, permits, take_data
from tests.unit.fake_broker import Broker

SEEK = 28
SHARED = 1


def _seek(core, message_id=MessageId.earliest, time=None, start=None):
    call = Call(message_id, time, start, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    return call


def _finish(broker, number):
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.say(fake.SUCCESS, 1, number)
    broker.say(fake.SUCCESS, 1, broker.hear(fake.SUBSCRIBE)[5])
    broker.hear(fake.FLOW)


def test_what_comes_during_a_seek_that_is_refused_is_delivered():
    broker, core = opened(permits=2)
    _seek(core)
    number = broker.hear(SEEK)[2]
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
    assert core.take() is None
    broker.say(fake.ERROR, 1, number, 2, 0, 3, "no")
    assert core.state == READY and take_data(core) == [b"a", b"b"] and permits(broker) == 2


def test_what_comes_during_a_seek_without_a_close_gives_its_permits_back():
    broker, core = opened(permits=2)
    _seek(core)
    number = broker.hear(SEEK)[2]
    broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
    broker.say(fake.SUCCESS, 1, number)
    assert core.state == READY and core.take() is None and permits(broker) == 2
    broker.feed(fake.single(1, b"sought"))
    assert take_data(core) == [b"sought"]


def test_what_comes_behind_the_close_of_a_seek_is_of_before():
    broker, core = opened(permits=2)
    _seek(core)
    number = broker.hear(SEEK)[2]
    broker.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    broker.feed(fake.single(3, b"late"))
    broker.say(fake.SUCCESS, 1, number)
    broker.feed(fake.single(4, b"later"))
    broker.say(fake.SUCCESS, 1, broker.hear(fake.SUBSCRIBE)[5])
    assert broker.hear(fake.FLOW)[2] == 2 and core.take() is None


def test_a_time_sought_again_and_refused_is_no_reason_to_begin_anywhere():
    core = ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.start_from(MessageId.latest, False)
    broker = Broker()
    open_again(broker, core)
    broker.heard()
    _seek(core, None, fake.TIME)
    _finish(broker, broker.hear(SEEK)[2])
    core.lost(ConnectError("gone"), fake.START)
    other = Broker()
    open_again(other, core)
    other.say(fake.ERROR, 1, other.hear(SEEK)[2], 2, 0, 3, "failed to reset")
    other.feed(fake.single(0, b"ancient"))
    assert core.take() is None and core.state == IDLE and "failed to reset" in str(core.watch.errors[-1])
    other.heard()
    open_again(other, core)
    assert other.hear(SEEK)[4] == fake.TIME
