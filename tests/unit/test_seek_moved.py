"""A topic that moves while a consumer seeks: the seek is made again, once the consumer is open again."""
from mpy_pulsar.core.handle import IDLE, NEVER, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import Timeout
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker

SEEK = 28


def _seek_that_the_move_refuses():
    """A broker, a consumer whose topic has moved before the broker saw its SEEK, and the call."""
    broker, core = Broker(), fake.consumer()
    broker.open(core)
    broker.heard()
    call = Call(MessageId(fake.message_id(1)), None, None, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    number = broker.hear(SEEK)[2]
    broker.say(fake.CLOSE_CONSUMER, 1, core.id, 2, fake.NO_REQUEST)
    broker.say(fake.ERROR, 1, number, 2, 1, 3, "Consumer not found")
    broker.heard()
    return broker, core, call


def test_a_seek_that_a_move_refuses_is_made_again():
    broker, core, call = _seek_that_the_move_refuses()
    assert not call.done and core.state == IDLE and "Consumer not found" in str(core.watch.errors[-1])
    core.not_before = None
    broker.open(core)
    asked = broker.hear(SEEK)  # and no FLOW yet
    assert asked[3] == fake.message_id(1)
    broker.say(fake.CLOSE_CONSUMER, 1, core.id, 2, fake.NO_REQUEST)
    broker.say(fake.SUCCESS, 1, asked[2])
    broker.say(fake.SUCCESS, 1, broker.hear(fake.SUBSCRIBE)[5])
    assert core.state == READY and call.done and call.error is None
    broker.hear(fake.FLOW)


def test_and_not_for_ever():
    _, core, call = _seek_that_the_move_refuses()
    assert core.sweep(fake.START) < NEVER and not call.done
    core.sweep(ticks_add(fake.START, fake.TIMEOUT))
    assert isinstance(call.error, Timeout) and "Consumer not found" in str(call.error)
