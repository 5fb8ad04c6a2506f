"""A Pulsar broker for development and tests: one process, in memory, nothing on disk. Never for production.

    async with DevBroker() as broker:            # in an event loop
        client = Client(broker.url)
    with DevBrokerThread() as broker: ...        # in a thread of its own
    python -m tools.devbroker --port 6650        # on its own

It speaks the binary protocol with a codec of its own (Google's protobuf), so it shares no mistake with the client it
tests. `session` is one link and sends each command to its handler in `handshake`, `lookup_commands`,
`producer_commands`, `consumer_commands` or `schema_commands`; `server` and `thread` run it; `administration` is what
one does to a real broker over REST. The rest knows nothing of sockets:

- `store` has the topics, `topic` one of them (`nonpersistent`: one that stores nothing), `policies` their settings,
  `schemas` their schemas, `access` lets producers in, `deduplication` knows their ids;
- `subscription` has a cursor (`cursor`) and its consumers (`consumers`), `dispatch` and `key_shared` (with the hashing
  of `sticky`) say who gets what, `delayed` holds messages back.
"""

from tools.devbroker.server import DevBroker
from tools.devbroker.store import Entry, Store, Topic
from tools.devbroker.subscription import DispatchLimits
from tools.devbroker.thread import DevBrokerThread

__all__ = ["DevBroker", "DevBrokerThread", "DispatchLimits", "Entry", "Store", "Topic"]
