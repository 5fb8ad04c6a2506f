"""What the tests of a consumer's features share."""
import mpy_pulsar.core.consumer_core as module
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker

module.ACK_GROUP = 1000  # as on CPython; a board acknowledges at once


def opened(permits=1000, consumer_type=0, **options):
    """A Broker and an open consumer."""
    broker, core = Broker(**options), fake.consumer(permits, consumer_type)
    open_again(broker, core)
    broker.hear(fake.FLOW)
    return broker, core


def open_again(broker, core):
    """Open it (again) on a broker; the SUBSCRIBE."""
    module.QUEUE_BYTES, kept = 0, module.QUEUE_BYTES
    try:
        core.not_before = None
        return broker.open(core)
    finally:
        module.QUEUE_BYTES = kept


def take_all(core):
    """The messages that can be taken."""
    found = []
    one = core.take()
    while one:
        found.append(one)
        one = core.take()
    return found


def take_data(core):
    """Their contents."""
    return [one.data() for one in take_all(core)]


def heard_of(broker, kind):
    """The commands of one kind since the last look; all others are forgotten."""
    return [one for one in broker.heard() if one.kind == kind]


def permits(broker):
    """Permits given back since the last look."""
    return sum([one[2] for one in heard_of(broker, fake.FLOW)])
