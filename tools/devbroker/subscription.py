"""Subscriptions and their dispatch: which consumer gets which entry, and when. No asyncio.

Two dispatchers, after the broker's own. Exclusive and Failover have one active consumer, which reads on from the
cursor; redelivery there means rewinding the cursor, single ids are not honoured and nothing is counted. Shared hands
entries round all consumers, remembers who holds which, and counts redeliveries: those asked for, not those after a
consumer left, and only as long as the subscription has consumers.
"""

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tools.devbroker.cursor import Cursor

if TYPE_CHECKING:
    from asyncio import Future

    from tools.devbroker.store import Entry, Topic

EXCLUSIVE, SHARED, FAILOVER = 0, 1, 2
"""CommandSubscribe.SubType."""


class ConsumerLink(Protocol):
    """What a subscription needs of the link a consumer came over."""

    @property
    def writable(self) -> bool:
        """False while the peer reads too slowly; the link asks for dispatch again when it is true."""
        ...

    def deliver(self, consumer: "Consumer", delivery: "Delivery") -> None:
        """Send one entry to the consumer."""
        ...

    def tell_active(self, consumer: "Consumer", active: bool) -> None:
        """Tell a Failover consumer whether it is the active one."""
        ...

    def close_consumer(self, consumer: "Consumer", assigned: tuple[str, str] = ("", "")) -> None:
        """Close the consumer from the broker's side; `assigned` are the URLs, plain and TLS, of where to go."""
        ...

    def probe(self) -> "Future[bool]":
        """Find out whether the peer is alive; the future gives the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry on its way to a consumer."""

    entry: "Entry"
    redelivery_count: int
    unacknowledged_bits: int | None
    """Of a batch acknowledged in part: which messages are not. Else None."""


@dataclass(eq=False)
class Consumer:
    """A consumer attached to a subscription."""

    consumer_id: int
    name: str
    subscription: "Subscription"
    link: ConsumerLink
    priority: int = 0
    epoch: int | None = None
    """The consumer epoch of SUBSCRIBE or the last redeliver command; repeated in MESSAGE."""
    permits: int = 0
    """Messages it still takes; goes negative, since entries are never split."""
    pending: set[int] = field(default_factory=set)
    """Shared only: indexes of entries delivered to it and not acknowledged."""


@dataclass(frozen=True)
class DispatchLimits:
    """How much is read at once, named after the broker's settings."""

    entries_per_read: int = 100
    """dispatcherMaxReadBatchSize. Exclusive and Failover read up to this many *entries* while one permit is left."""
    bytes_per_read: int = 5 * 1024 * 1024
    """dispatcherMaxReadSizeBytes."""
    precise_flow_control: bool = False
    """preciseDispatcherFlowControl: look at the permits after every entry."""
    batch_index_acknowledgment: bool = True
    """acknowledgmentAtBatchIndexLevelEnabled: remember acknowledgements of single messages of a batch."""


class Subscription:
    """A subscription of a topic, its cursor and its consumers."""

    def __init__(self, topic: "Topic", name: str, start: int, durable: bool, limits: DispatchLimits) -> None:
        self.topic = topic
        self.name = name
        self.durable = durable
        self.type = EXCLUSIVE
        self.cursor = Cursor(start)
        self.consumers: list[Consumer] = []
        self.active: Consumer | None = None
        self._limits = limits
        self._replay: list[int] = []
        self.redelivery_counts: dict[int, int] = {}
        """Shared only: how often an entry (by index) was asked for again."""
        self._turn = 0
        self._dispatching = False

    def add(self, consumer: Consumer, subscription_type: int) -> None:
        """Attach a consumer. Whether it may attach was checked before."""
        if not self.consumers:
            self.type = subscription_type
            self._replay.clear()
            self.cursor.rewind()
        self.consumers.append(consumer)
        if self.type != SHARED:
            self._choose_active()

    def remove(self, consumer: Consumer) -> None:
        """Detach a consumer; what it had not acknowledged is delivered again, to whoever comes next."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        if self.type == SHARED:
            self._give_back(consumer, set(consumer.pending))
        else:
            self._choose_active()
        if not self.consumers:
            self.redelivery_counts.clear()
        self.dispatch()

    def forget_consumers(self) -> None:
        """Drop all consumers and what is kept about deliveries in memory only (restart, seek)."""
        self.consumers.clear()
        self.active = None
        self._replay.clear()
        self.redelivery_counts.clear()
        self.cursor.rewind()

    def _choose_active(self) -> None:
        best = min(self.consumers, key=lambda consumer: consumer.priority, default=None)
        changed = best is not self.active
        self.active = best
        if changed:
            self.cursor.rewind()
        if self.type == FAILOVER:
            for consumer in self.consumers if changed else self.consumers[-1:]:
                consumer.link.tell_active(consumer, consumer is best)

    # Acknowledgements

    def acknowledge(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Individual acknowledgement of an entry, or of the messages of a batch whose bits are clear."""
        index = self.topic.find(ledger_id, entry_id)
        if index is None:
            return
        if unacknowledged_bits is None:
            self.cursor.acknowledge(index)
        elif not self._limits.batch_index_acknowledgment:
            return
        elif not self.cursor.acknowledge_in_batch(index, unacknowledged_bits):
            return
        self.redelivery_counts.pop(index, None)
        for consumer in self.consumers:
            consumer.pending.discard(index)

    def acknowledge_up_to(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Cumulative acknowledgement. A position past the last entry is ignored, as the broker does."""
        count = self.topic.count_up_to(ledger_id, entry_id)
        if count is None:
            return
        if unacknowledged_bits is None:
            self.cursor.acknowledge_up_to(count - 1)
        elif self._limits.batch_index_acknowledgment:
            self.cursor.acknowledge_up_to(count - 1, unacknowledged_bits)
        else:
            self.cursor.acknowledge_up_to(count - 2)

    def redeliver(self, consumer: Consumer, positions: list[tuple[int, int]], epoch: int | None) -> None:
        """Deliver again what the consumer has not acknowledged: all of it, or for Shared the entries named."""
        if self.type == SHARED:
            indexes = set(consumer.pending)
            if positions:
                indexes.intersection_update(self.topic.find(*position) for position in positions)
            for index in indexes:
                self.redelivery_counts[index] = self.redelivery_counts.get(index, 0) + 1
            self._give_back(consumer, indexes)
        elif consumer is self.active:
            if epoch is not None and (consumer.epoch is None or epoch > consumer.epoch):
                consumer.epoch = epoch
            self.cursor.rewind()
        self.dispatch()

    def _give_back(self, consumer: Consumer, indexes: set[int]) -> None:
        """Take entries from a Shared consumer, to be delivered again."""
        for index in indexes:
            heapq.heappush(self._replay, index)
        consumer.pending -= indexes

    # Dispatch

    def flow(self, consumer: Consumer, permits: int) -> None:
        """The consumer takes that many more messages."""
        consumer.permits += permits
        self.dispatch()

    def dispatch(self) -> None:
        """Deliver what permits, entries and the links' buffers allow."""
        if self._dispatching:
            return
        self._dispatching = True
        try:
            if self.type == SHARED:
                self._dispatch_shared()
            else:
                self._dispatch_to_active()
        finally:
            self._dispatching = False

    def _dispatch_to_active(self) -> None:
        consumer = self.active
        while consumer and consumer.permits > 0 and consumer.link.writable:
            entries_left = 1 if self._limits.precise_flow_control else self._limits.entries_per_read
            entries_left = min(entries_left, consumer.permits)
            bytes_left = self._limits.bytes_per_read
            while entries_left > 0 and bytes_left > 0:
                index = self.cursor.read(len(self.topic.entries))
                if index is None:
                    return
                entries_left -= 1
                bytes_left -= len(self.topic.entries[index].data)
                self._deliver(consumer, index)

    def _dispatch_shared(self) -> None:
        while consumer := self._next_ready():
            index = self._next_shared_index()
            if index is None:
                return
            self._turn += 1
            consumer.pending.add(index)
            self._deliver(consumer, index)

    def _next_ready(self) -> Consumer | None:
        count = len(self.consumers)
        for step in range(count):
            consumer = self.consumers[(self._turn + step) % count]
            if consumer.permits > 0 and consumer.link.writable:
                self._turn = (self._turn + step) % count
                return consumer
        return None

    def _next_shared_index(self) -> int | None:
        while self._replay:
            index = heapq.heappop(self._replay)
            if not self.cursor.is_acknowledged(index):
                return index
        return self.cursor.read(len(self.topic.entries))

    def _deliver(self, consumer: Consumer, index: int) -> None:
        entry = self.topic.entries[index]
        bits = self.cursor.unacknowledged_bits(index)
        consumer.permits -= entry.message_count if bits is None else bits.bit_count()
        consumer.link.deliver(consumer, Delivery(entry, self.redelivery_counts.get(index, 0), bits))
