"""What a consumer refuses, and questions to the broker that outlive who asked, without sockets."""
import asyncio

from mpy_pulsar.core.handle import CLOSED, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import AlreadyClosed, ConnectError, ProtocolError
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.requests import Request, Requests, remove_subscription
from mpy_pulsar.features.seeking import Call, Seek
from mpy_pulsar.port import ticks_add
from mpy_pulsar.wire.consumer_requests import get_last_message_id
from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import open_again, opened
from tests.unit.fake_broker import Broker
from tests.unit.support import raises

UNSUBSCRIBE = 12
SEEK = 28
GET_LAST_MESSAGE_ID = 29
GET_LAST_MESSAGE_ID_RESPONSE = 30


def test_a_message_id_of_a_batch_that_no_frame_holds_is_none():
    for size in ((1 << 20) + 1, 1 << 62):
        raises(ProtocolError, MessageId.deserialize, message(1, 7, 2, 5, 4, 1, 6, size))
    assert MessageId.deserialize(message(1, 7, 2, 5, 4, 1, 6, 1 << 20)).batch_size() == 1 << 20


def test_a_delay_that_no_tick_holds_is_refused():
    # Imported first of all, it would need more of a small stack than there is.
    from mpy_pulsar.features.new_consumer import make_consumer

    def make(delay):
        return make_consumer(fake.TOPIC, 1, fake.TIMEOUT, "sub", negative_ack_redelivery_delay_ms=delay)

    async def run():
        raises(ValueError, make, 1 << 29)
        raises(ValueError, make, -1)
        assert make(400000000).nack_delay == 400000000

    asyncio.run(run())  # what waits belongs to an event loop


class _Consumer:
    """What `remove_subscription` needs of one."""

    def __init__(self, core):
        self.core = core
        self._changed = asyncio.Event()


def test_unsubscribing_that_nobody_waits_for_ends_the_consumer():
    async def run():
        broker, core = opened()
        task = asyncio.create_task(remove_subscription(_Consumer(core)))
        while not core.connection.control:
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        broker.say(fake.SUCCESS, 1, broker.hear(UNSUBSCRIBE)[2])
        assert core.state == CLOSED
        raises(AlreadyClosed, core.check)

    asyncio.run(run())


def test_on_a_new_link_a_question_waits_for_the_seek():
    broker, core = opened()
    request = Request(get_last_message_id, GET_LAST_MESSAGE_ID_RESPONSE, "asking", ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Requests).add(request)
    call = Call(MessageId.earliest, None, None, ticks_add(fake.START, fake.TIMEOUT))
    extra_of(core, Seek).begin(call, fake.START)
    core.lost(ConnectError("gone"), broker.now)
    other = Broker()
    open_again(other, core)
    number = other.hear(SEEK)[2]  # and nothing else
    other.say(fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST)
    other.say(fake.SUCCESS, 1, number)
    other.say(fake.SUCCESS, 1, other.hear(fake.SUBSCRIBE)[5])
    assert [one.kind for one in other.heard()] == [GET_LAST_MESSAGE_ID, fake.FLOW] and core.state == READY


def test_an_only_consumer_says_its_epoch_from_the_beginning():
    for consumer_type, epoch in ((0, 0), (2, 0), (1, None), (3, None)):
        core = fake.consumer(4, consumer_type)
        assert Broker().attach(core).get(19) == epoch  # else what is on its way at the first redelivery bears none
