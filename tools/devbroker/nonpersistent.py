"""Non-persistent topics: nothing is stored, who is connected and has a permit gets a message, the others never do."""

from typing import TYPE_CHECKING, Any

from tools.devbroker.consumers import Consumer, Delivery, DispatchLimits
from tools.devbroker.frames import EntryParts, split_entry
from tools.devbroker.subscription import Subscription
from tools.devbroker.topic import Entry, NotStored, Topic, Write

if TYPE_CHECKING:
    from tools.devbroker.deduplication import Deduplication

MOST_WRITES_PENDING = 1000
"""maxConcurrentNonPersistentMessagePerConnection: beyond it a SEND is dropped, with a receipt of (-1, -1)."""


class NonPersistentSubscription(Subscription):
    """A subscription without a cursor worth the name: acknowledging, seeking and redelivery do nothing."""

    dropped = 0
    """Messages nobody was ready to take."""

    def offer(self, entry: Entry) -> None:
        """Deliver the entry now, or drop it."""
        consumer = self.dispatcher.pick(entry) if self.consumers else None
        if consumer is None or not consumer.is_ready:
            self.dropped += entry.message_count
            return
        consumer.permits -= entry.message_count
        consumer.link.deliver(consumer, Delivery(entry, 0, None))

    def acknowledge(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Nothing is kept that could be acknowledged."""

    def acknowledge_up_to(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Nothing is kept that could be acknowledged."""

    def redeliver(self, consumer: Consumer, positions: list[tuple[int, int]], epoch: int | None) -> None:
        """Nothing is kept that could be delivered again."""


class NonPersistentTopic(Topic):
    """A topic whose `entries` stay empty and whose every message id is (0, 0)."""

    def push(self, write: Write) -> None:
        """Take a SEND in. Raises NotStored while too many are not decided, Refused as any topic does."""
        if self.writes_pending >= MOST_WRITES_PENDING:
            raise NotStored
        super().push(write)

    def publish(self, data: bytes, parts: EntryParts | None = None, metadata: Any = None) -> Entry:
        """Offer one entry to every subscription; arguments and errors as for any topic."""
        entry = self._entry(data, parts or split_entry(data), metadata)
        for subscription in self.subscriptions.values():
            subscription.offer(entry)
        return entry

    @property
    def deduplication(self) -> "Deduplication | None":
        """There is none here."""
        return None

    def new_subscription(self, name: str, start: int, durable: bool, limits: DispatchLimits) -> Subscription:
        """A subscription; where it starts means nothing."""
        return NonPersistentSubscription(self, name, 0, durable, limits)

    def _next_place(self) -> tuple[int, int]:
        return 0, 0
