"""Who gets the next entry: the dispatchers of Exclusive and Failover, and of Shared. No sockets.

After the broker's own. Exclusive and Failover have one active consumer, which reads on from the cursor; redelivery
there means rewinding the cursor, single ids are not honoured and nothing is counted. Shared hands entries round all
consumers, remembers who holds which, and counts redeliveries: those asked for, not those after a consumer left, and
only as long as the subscription has consumers. Key_Shared is in `key_shared`.
"""

import heapq
from typing import TYPE_CHECKING

from tools.devbroker.consumers import FAILOVER, Consumer, Delivery
from tools.devbroker.delayed import DelayedMessages
from tools.devbroker.sticky import place_on_ring

if TYPE_CHECKING:
    from tools.devbroker.subscription import Subscription
    from tools.devbroker.topic import Entry


class Dispatcher:
    """What the two have in common: the subscription they serve."""

    counts_redeliveries = False
    """Whether MESSAGE carries a redelivery count, and an entry is delivered again by its id."""

    def __init__(self, subscription: "Subscription") -> None:
        self.subscription = subscription

    @property
    def held_back(self) -> int:
        """How many entries wait for their time to be delivered."""
        return 0

    def check(self, newcomer: Consumer) -> Consumer | None:
        """A consumer in the newcomer's way, which leaves if its peer is dead. Raises Refused where nothing helps."""
        return None

    def deliver(self, consumer: Consumer, index: int) -> None:
        """Send one entry and take its price off the permits."""
        subscription = self.subscription
        entry = subscription.topic.entries[index]
        bits = subscription.cursor.unacknowledged_bits(index)
        consumer.permits -= entry.message_count if bits is None else bits.bit_count()
        consumer.link.deliver(consumer, Delivery(entry, subscription.redelivery_counts.get(index, 0), bits))


class SingleActive(Dispatcher):
    """Exclusive and Failover."""

    def added(self, consumer: Consumer) -> None:
        """A consumer came."""
        self._choose_active()

    def removed(self, consumer: Consumer) -> None:
        """A consumer went."""
        self._choose_active()

    def acknowledged(self, index: int) -> None:
        """Acknowledgements change nothing here."""

    def clear(self) -> None:
        """All consumers are gone."""
        self.subscription.active = None

    def pick(self, entry: "Entry") -> Consumer | None:
        """Whom an entry goes to that cannot wait."""
        return self.subscription.active

    def redeliver(self, consumer: Consumer, positions: list[tuple[int, int]], epoch: int | None) -> None:
        """All that is not acknowledged, whatever ids were named."""
        if consumer is self.subscription.active:
            if epoch is not None and (consumer.epoch is None or epoch > consumer.epoch):
                consumer.epoch = epoch
            self.subscription.cursor.rewind()

    def dispatch(self) -> None:
        """Read on while the active consumer has a permit."""
        subscription = self.subscription
        consumer, limits = subscription.active, subscription.limits
        while consumer and consumer.is_ready:
            entries_left = 1 if limits.precise_flow_control else limits.entries_per_read
            entries_left = min(entries_left, consumer.permits)
            bytes_left = limits.bytes_per_read
            while entries_left > 0 and bytes_left > 0:
                index = subscription.cursor.read(len(subscription.topic.entries))
                if index is None:
                    return
                entries_left -= 1
                bytes_left -= len(subscription.topic.entries[index].data)
                self.deliver(consumer, index)

    def _choose_active(self) -> None:
        subscription = self.subscription
        best = self._best()
        changed = best is not subscription.active
        subscription.active = best
        if changed:
            subscription.cursor.rewind()
        if subscription.type == FAILOVER:
            for consumer in subscription.consumers if changed else subscription.consumers[-1:]:
                consumer.link.tell_active(consumer, consumer is best)

    def _best(self) -> Consumer | None:
        """One of the best priority: partitions are dealt out among them by name, other topics by a hash ring."""
        consumers = self.subscription.consumers
        if not consumers:
            return None
        priority = min(consumer.priority for consumer in consumers)
        best = [consumer for consumer in consumers if consumer.priority == priority]
        best.sort(key=lambda consumer: consumer.name)
        topic = self.subscription.topic
        if topic.partition >= 0:
            return best[topic.partition % len(best)]
        return best[place_on_ring(topic.name.full, [consumer.name for consumer in best])]


class RoundRobin(Dispatcher):
    """Shared."""

    counts_redeliveries = True

    def __init__(self, subscription: "Subscription") -> None:
        super().__init__(subscription)
        self._replay: list[int] = []
        self._turn = 0
        self.delayed = DelayedMessages(subscription.limits.delayed_delivery_tick_seconds, self._delayed_are_due)

    @property
    def held_back(self) -> int:
        """How many entries wait for their time to be delivered."""
        return len(self.delayed)

    def added(self, consumer: Consumer) -> None:
        """A consumer came; the first one finds a clean slate."""
        if len(self.subscription.consumers) == 1:
            self.clear()

    def removed(self, consumer: Consumer) -> None:
        """A consumer went: what it held is for the others, and not counted."""
        self._give_back(consumer, set(consumer.pending))
        if not self.subscription.consumers:
            self.clear()

    def acknowledged(self, index: int) -> None:
        """Whoever holds the entry holds it no longer."""
        for consumer in self.subscription.consumers:
            consumer.pending.discard(index)

    def clear(self) -> None:
        """All consumers are gone."""
        self._replay.clear()
        self.delayed.clear()

    def pick(self, entry: "Entry") -> Consumer | None:
        """Whom an entry goes to that cannot wait."""
        consumer = self._next_ready()
        self._turn += 1
        return consumer

    def redeliver(self, consumer: Consumer, positions: list[tuple[int, int]], epoch: int | None) -> None:
        """What the consumer has not acknowledged: all of it, or the entries named."""
        indexes = set(consumer.pending)
        if positions:
            indexes.intersection_update(self.subscription.topic.find(*position) for position in positions)
        counts = self.subscription.redelivery_counts
        for index in indexes:
            counts[index] = counts.get(index, 0) + 1
        self._give_back(consumer, indexes)

    def dispatch(self) -> None:
        """Hand out entries while somebody has a permit."""
        while consumer := self._next_ready():
            index = self._next_index()
            if index is None:
                return
            self._turn += 1
            consumer.pending.add(index)
            self.deliver(consumer, index)

    def _give_back(self, consumer: Consumer, indexes: set[int]) -> None:
        """Take entries from a consumer, to be delivered again."""
        for index in indexes:
            self._set_aside(index)
        consumer.pending -= indexes

    def _set_aside(self, index: int) -> None:
        heapq.heappush(self._replay, index)

    def _delayed_are_due(self) -> None:
        for index in self.delayed.take_due():
            self._set_aside(index)
        self.subscription.dispatch()
        self.subscription.topic.changed()

    def _next_ready(self) -> Consumer | None:
        """The next in turn, of those with a permit the ones with the best priority."""
        consumers = self.subscription.consumers
        ready = [place for place, consumer in enumerate(consumers) if consumer.is_ready]
        if not ready:
            return None
        priority = min(consumers[place].priority for place in ready)
        turn = self._turn % len(consumers)
        self._turn = min(
            (place for place in ready if consumers[place].priority == priority),
            key=lambda place: (place - turn) % len(consumers),
        )
        return consumers[self._turn]

    def _next_index(self) -> int | None:
        cursor = self.subscription.cursor
        while self._replay:
            index = heapq.heappop(self._replay)
            if not cursor.is_acknowledged(index):
                return index
        return self._read()

    def _read(self) -> int | None:
        """The next new entry that is not to be held back."""
        entries = self.subscription.topic.entries
        while (index := self.subscription.cursor.read(len(entries))) is not None:
            if not self.delayed.hold(index, entries[index].deliver_at):
                return index
        return None
