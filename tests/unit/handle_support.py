"""A broker and a handle of it, on the way to READY or there."""
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import Broker


def opening(make=fake.producer):
    """A broker and a handle whose opening it has not answered yet, with the request's number."""
    broker, core = Broker(), make()
    asked = broker.attach(core)
    return broker, core, asked[3] if asked.kind == fake.PRODUCER else asked[5]


def opened(make=fake.producer):
    """A broker and a handle that is READY, with nothing unread and no state noted."""
    broker, core = Broker(), make()
    broker.open(core)
    broker.heard()
    core.watch.states.clear()
    return broker, core
