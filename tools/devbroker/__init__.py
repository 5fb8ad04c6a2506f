"""A Pulsar broker for development and tests: one process, in memory, nothing on disk. Never for production.

    async with DevBroker() as broker:            # in an event loop
        client = Client(broker.url)
    with DevBrokerThread() as broker: ...        # in a thread of its own
    python -m tools.devbroker --port 6650        # on its own

It speaks the binary protocol with a codec of its own (Google's protobuf), so it shares no mistake with the client it
tests. `names`, `frames`, `cursor`, `subscription` and `store` know nothing of sockets; `session` is one link and sends
each command to its handler in `handshake`, `lookup_commands`, `producer_commands` or `consumer_commands`; `server` and
`thread` run it.
"""

from tools.devbroker.server import DevBroker
from tools.devbroker.store import Entry, Store, Topic
from tools.devbroker.subscription import DispatchLimits
from tools.devbroker.thread import DevBrokerThread

__all__ = ["DevBroker", "DevBrokerThread", "DispatchLimits", "Entry", "Store", "Topic"]
