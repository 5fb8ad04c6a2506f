"""A consumer on a heap that is full just now: no message, no permit and no acknowledgement is lost for it."""
import asyncio

import mpy_pulsar.core.consumer_core as module
import mpy_pulsar.features.reader as reader
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import AlreadyClosed
from mpy_pulsar.features.batch_acks import encode_acks
from mpy_pulsar.features.listening import Listener
from mpy_pulsar.features.manual_flow import ManualFlow
from tests.unit import fake_broker as fake
from tests.unit.consumer_support import heard_of, open_again, opened, permits, take_all, take_data
from tests.unit.fake_broker import Broker
from tests.unit.support import raises


def _no_memory(*_):
    raise MemoryError


def _without(name, call, *args):
    """Call it while what the core makes with `name` finds no memory."""
    kept = getattr(module, name)
    setattr(module, name, _no_memory)
    try:
        return call(*args)
    finally:
        setattr(module, name, kept)


def test_a_message_without_memory_is_still_to_be_taken():
    broker, core = opened()
    broker.feed(fake.batch(3, [b"a", b"b"]) + fake.single(4, b"c"))
    for expected in (b"a", b"b", b"c"):
        raises(MemoryError, _without, "Message", core.take)
        assert core.take().data() == expected
    assert core.take() is None


def test_permits_without_memory_are_given_back_later():
    broker, core = opened(permits=1)
    broker.feed(fake.single(3, b"a"))
    assert _without("flow", core.take).data() == b"a" and permits(broker) == 0 and core.watch.attended
    assert _without("flow", core.sweep, fake.START) == 100 and permits(broker) == 0
    core.sweep(fake.START)
    assert permits(broker) == 1
    core.sweep(fake.START)
    assert permits(broker) == 0


def test_so_are_those_that_the_application_gives():
    broker, core = Broker(), fake.consumer(10)
    ManualFlow(core)
    open_again(broker, core)
    _without("flow", core.flow, 3)
    assert permits(broker) == 0
    core.sweep(fake.START)
    assert permits(broker) == 3
    core.sweep(fake.START)
    assert permits(broker) == 0


def test_acknowledgements_without_memory_leave_later():
    for partial in (None, encode_acks):
        broker, core = opened()
        core.partial = partial
        broker.feed(fake.single(3, b"a") + fake.single(4, b"b"))
        first, second = take_all(core)
        core.acknowledge(first)
        module.ACK_GROUP, kept = 1, module.ACK_GROUP
        try:
            _without("ack", core.acknowledge, second)
        finally:
            module.ACK_GROUP = kept
        raises(MemoryError, _without, "ack", core.flush)
        assert heard_of(broker, fake.ACK) == []
        core.flush()
        assert broker.hear(fake.ACK).all(3) == [fake.message_id(3), fake.message_id(4)]
        core.flush()
        assert broker.heard() == []


def test_an_acknowledgement_that_found_no_memory_can_be_repeated():
    broker, core = opened()
    broker.feed(fake.single(3, b"a"))
    message = core.take()
    core.acknowledged = _no_memory
    raises(MemoryError, core.acknowledge, message)
    del core.acknowledged
    core.acknowledge(message)
    core.flush()
    assert broker.hear(fake.ACK).all(3) == [fake.message_id(3)]


def test_an_ack_grows_while_the_one_before_waits_to_be_written():
    broker, core = opened()
    broker.feed(b"".join([fake.single(entry, b"x") for entry in range(60)]))
    messages = take_all(core)
    control = core.connection.control
    module.ACK_GROUP, kept = 1, module.ACK_GROUP
    try:
        for message in messages[:50]:
            core.acknowledge(message)
        assert len(control) == 1
        core.flush()
        assert [one.all(3) for one in broker.heard()] == [
            [fake.message_id(0)], [fake.message_id(entry) for entry in range(1, 50)]]
        core.acknowledge(messages[50])  # nothing waits: at once
        assert broker.hear(fake.ACK).all(3) == [fake.message_id(50)]
    finally:
        module.ACK_GROUP = kept


def test_a_reader_takes_nothing_that_it_cannot_remember():
    core = reader.ReaderCore(fake.TOPIC, 2, fake.TIMEOUT, "reader-0123456789", 0, 0, 1000, "me")
    core.watch = fake.Watch(core)
    core.start_from(MessageId.earliest, False)
    broker = Broker()
    open_again(broker, core)
    broker.feed(fake.single(3, b"a"))
    reader.MessageId, kept = _no_memory, reader.MessageId
    try:
        raises(MemoryError, core.take)
    finally:
        reader.MessageId = kept
    assert take_data(core) == [b"a"] and core.last == MessageId(fake.message_id(3))


class _Receiver:
    """In place of a Consumer: what its receive() does, one after the other."""

    def __init__(self, core, outcomes):
        self.core = core
        self._outcomes = outcomes

    async def receive(self):
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_a_listener_goes_on_after_an_error_that_is_none_of_the_consumers():
    async def run():
        core = opened()[1]
        heard = []
        listener = Listener(_Receiver(core, [MemoryError(), "message", AlreadyClosed("closed")]), heard.append)
        await listener._task
        assert heard == ["message"] and "MemoryError" in str(core.watch.errors[0]) and len(core.watch.errors) == 1

    asyncio.run(run())
