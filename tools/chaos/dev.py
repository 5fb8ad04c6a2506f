"""The development broker, in a thread of this process, with its own faults and restarts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import TracebackType

from tools.chaos.faults import Schedule, receiving_schedule
from tools.chaos.places import Deed
from tools.chaos.proxy import ProxyThread
from tools.devbroker import DevBroker, DevBrokerThread

# As `DevBroker.fault` takes them; each ends by itself.
_FAULTS = (
    "cut",
    "cut rst=yes",
    "cut on=SEND times=1",
    "cut on=SEND_RECEIPT times=1",
    "cut on=PRODUCER times=1",
    "cut on=PRODUCER_SUCCESS times=1",
    "cut on=SUBSCRIBE times=1",
    "cut on=MESSAGE times=1",
    "cut on=ACK times=1",
    "close_producer",
    "close_consumer",
    "failed_write seconds=0.05 times=1",
    "late_receipt seconds=0.2 times=3",
    "delay seconds=0.2 times=5",
    "error on=PRODUCER code=ServiceNotReady times=1",
    "error on=LOOKUP code=ServiceNotReady times=1",
    "error on=SUBSCRIBE code=ServiceNotReady times=1",
    "swallow on=SEND_RECEIPT times=1",
    "garbage",
)


class DevPlace:
    """See places.Place. seed: of the links' faults and of what the deeds leave to chance."""

    sending_listener = receiving_listener = ""
    namespace = "public/default"

    def __init__(self, seed: int, most_bytes: int = 8000) -> None:
        self.proxies = ProxyThread()
        self.broker = DevBrokerThread(deduplication=True, liveness_check_seconds=0.5)
        self._chance = random.Random(seed)
        self._schedules = Schedule(seed, most_bytes=most_bytes), receiving_schedule(seed)

    @property
    def direct_url(self) -> str:
        """See places.Place."""
        return self.broker.url

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """See places.Place."""
        return {"fault": Deed(8, self._fault), "unload": Deed(4, self._unload), "restart": Deed(2, self._restart)}

    def _fault(self) -> None:
        self.broker.fault(self._chance.choice(_FAULTS), lasting=5)

    def _unload(self) -> None:
        def unload(broker: DevBroker) -> None:
            topics = sorted(broker.topics)
            if topics:
                broker.unload_topic(self._chance.choice(topics), lookup_needed=self._chance.random() < 0.5)

        self.broker.call(unload)

    def _restart(self) -> None:
        self.broker.restart(self._chance.uniform(0, 0.3))

    def backlog(self, topic: str, subscription: str) -> int:
        """See places.Place."""

        def look(broker: DevBroker) -> int:
            found = broker.topics[topic]
            return len(found.entries) - found.subscriptions[subscription].cursor.acknowledged_before

        return self.broker.call(look)

    def mend(self) -> None:
        """See places.Place."""
        self.broker.clear_faults()

    def __enter__(self) -> DevPlace:
        self.broker.__enter__()
        self.proxies.__enter__()
        target = "127.0.0.1", self.broker.port
        sending, receiving = (self.proxies.add(target, schedule) for schedule in self._schedules)
        self.sending_url, self.receiving_url = sending.url, receiving.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxies.__exit__(kind, error, trace)
        self.broker.__exit__(kind, error, trace)
