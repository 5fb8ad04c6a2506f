"""Negative acknowledgements of one entry, several times: it is sent again once."""
from mpy_pulsar.core.handle import NEVER
from mpy_pulsar.features.extra import extra_of
from mpy_pulsar.features.redelivery import NegativeAcks
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker

REDELIVER = 20
SHARED = 1
DELAY = 200


def _opened():
    broker, core = Broker(), fake.consumer(1000, SHARED)
    broker.open(core)
    broker.heard()
    return broker, core, extra_of(core, NegativeAcks)


def test_an_entry_is_sent_again_once_whenever_its_messages_were_refused():
    broker, core, nacks = _opened()
    first, second = fake.message_id(1), fake.message_id(2)
    nacks.add(first, fake.START, DELAY)
    nacks.add(second, ticks_add(fake.START, 1), DELAY)
    nacks.add(first, ticks_add(fake.START, 2), DELAY)  # another message of that entry
    assert core.sweep(ticks_add(fake.START, DELAY)) == 1
    assert broker.hear(REDELIVER).all(2) == [first]
    core.sweep(ticks_add(fake.START, DELAY + 5))
    assert broker.hear(REDELIVER).all(2) == [second]
    assert core.sweep(ticks_add(fake.START, 2 * DELAY)) == NEVER and broker.heard() == []


def test_it_can_be_refused_again_once_it_was_sent_again():
    broker, core, nacks = _opened()
    for start in (fake.START, ticks_add(fake.START, DELAY)):
        nacks.add(fake.message_id(1), start, DELAY)
        core.sweep(ticks_add(start, DELAY))
        broker.hear(REDELIVER)
    nacks.add(fake.message_id(1), fake.START, DELAY)
    nacks.on_lost()
    nacks.add(fake.message_id(1), fake.START, DELAY)
    core.sweep(ticks_add(fake.START, DELAY))
    assert broker.hear(REDELIVER).all(2) == [fake.message_id(1)]
