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

It misbehaves on command (`faults`, and the kinds in `link_faults` and `command_faults`), also by a port for other
processes (`control`); asks for fresh tokens (`token_refresh`); runs as several instances that move topics between them
(`cluster`, `placement`); speaks TLS (`tls`); and has a proxy to put before it (`proxy`).
"""

from tools.devbroker.cluster import DevCluster
from tools.devbroker.control import Control
from tools.devbroker.faults import Fault, FaultError
from tools.devbroker.placement import LookupMode
from tools.devbroker.proxy import DevProxy
from tools.devbroker.server import DevBroker
from tools.devbroker.store import Entry, Store, Topic
from tools.devbroker.subscription import DispatchLimits
from tools.devbroker.thread import DevBrokerThread, DevClusterThread

__all__ = [
    "Control",
    "DevBroker",
    "DevBrokerThread",
    "DevCluster",
    "DevClusterThread",
    "DevProxy",
    "DispatchLimits",
    "Entry",
    "Fault",
    "FaultError",
    "LookupMode",
    "Store",
    "Topic",
]
