"""Subscriptions: their cursor, their consumers, and the dispatcher for their type. No sockets.

Which consumer gets which entry, and when, is decided in `dispatch` and `key_shared`.
"""

from typing import TYPE_CHECKING

from tools.devbroker.consumers import (
    EXCLUSIVE,
    FAILOVER,
    KEY_SHARED,
    SHARED,
    TYPE_NAMES,
    Consumer,
    ConsumerLink,
    Delivery,
    DispatchLimits,
)
from tools.devbroker.cursor import Cursor
from tools.devbroker.dispatch import RoundRobin, SingleActive
from tools.devbroker.frames import Refused, ServerError
from tools.devbroker.key_shared import KeyShared

if TYPE_CHECKING:
    from tools.devbroker.topic import Entry, Topic

__all__ = [
    "EXCLUSIVE",
    "FAILOVER",
    "KEY_SHARED",
    "SHARED",
    "Consumer",
    "ConsumerLink",
    "Delivery",
    "DispatchLimits",
    "Subscription",
]


class Subscription:
    """A subscription of a topic, its cursor and its consumers."""

    def __init__(self, topic: "Topic", name: str, start: int, durable: bool, limits: DispatchLimits) -> None:
        self.topic = topic
        self.name = name
        self.durable = durable
        self.limits = limits
        self.type = EXCLUSIVE
        self.cursor = Cursor(start)
        self.consumers: list[Consumer] = []
        self.active: Consumer | None = None
        """Of Exclusive and Failover: the consumer that gets the messages."""
        self.redelivery_counts: dict[int, int] = {}
        """Shared and Key_Shared only: how often an entry (by index) was asked for again."""
        self.dispatcher: SingleActive | RoundRobin = SingleActive(self)
        self._dispatching = False

    @property
    def takes_cumulative(self) -> bool:
        """Whether acknowledgements may be cumulative."""
        return not self.dispatcher.counts_redeliveries

    @property
    def marks_epochs(self) -> bool:
        """Whether MESSAGE carries the consumer's epoch."""
        return not self.dispatcher.counts_redeliveries

    # Consumers

    def check(self, newcomer: Consumer, subscription_type: int, durable: bool) -> Consumer | None:
        """Whether a consumer may attach.

        Returns the consumer that is in its way and would leave if its peer were dead; None: nobody is. Raises Refused
        where nothing helps: ConsumerBusy, ConsumerAssignError, NotAllowedError.
        """
        if durable != self.durable:
            kind = "Durable" if self.durable else "NonDurable"
            raise Refused(ServerError.NotAllowedError, f"{kind} subscription with the same name already exists.")
        if not self.consumers:
            return KeyShared(self, newcomer).check(newcomer) if subscription_type == KEY_SHARED else None
        if self.type != subscription_type:
            text = (
                f"Subscription is of different type. Active subscription type of '{TYPE_NAMES[self.type]}' is "
                f"different than the connecting consumer's type '{TYPE_NAMES[subscription_type]}'."
            )
            raise Refused(ServerError.ConsumerBusy, text)
        return self.consumers[0] if self.type == EXCLUSIVE else self.dispatcher.check(newcomer)

    def refusal(self, holder: Consumer) -> Refused:
        """What a newcomer is told that would have to wait for this consumer to go."""
        if self.type == EXCLUSIVE:
            return Refused(ServerError.ConsumerBusy, "Exclusive consumer is already connected")
        text = f"Range conflict with consumer {holder.name!r}, consumerId={holder.consumer_id}"
        return Refused(ServerError.ConsumerAssignError, text)

    def add(self, consumer: Consumer, subscription_type: int) -> None:
        """Attach a consumer that was checked."""
        if not self.consumers:
            self.type = subscription_type
            self.dispatcher.clear()
            self.dispatcher = self._new_dispatcher(consumer)
            self.cursor.rewind()
        self.consumers.append(consumer)
        self.dispatcher.added(consumer)

    def _new_dispatcher(self, first: Consumer) -> SingleActive | RoundRobin:
        if self.type == KEY_SHARED:
            return KeyShared(self, first)
        return RoundRobin(self) if self.type == SHARED else SingleActive(self)

    def remove(self, consumer: Consumer) -> None:
        """Detach a consumer; what it had not acknowledged is delivered again, to whoever comes next."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        self.dispatcher.removed(consumer)
        if not self.consumers:
            self.redelivery_counts.clear()
        self.dispatch()

    def forget_consumers(self) -> None:
        """Drop all consumers and what is kept about deliveries in memory only (restart, seek)."""
        self.consumers.clear()
        self.active = None
        self.dispatcher.clear()
        self.redelivery_counts.clear()
        self.cursor.rewind()

    def close_all(self, assigned: tuple[str, str] = ("", "")) -> None:
        """Close every consumer from the broker's side; their links stay. `assigned` are the URLs of where to go."""
        for consumer in self.consumers:
            consumer.link.close_consumer(consumer, assigned)
        self.forget_consumers()

    # Acknowledgements

    def acknowledge(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Individual acknowledgement of an entry, or of the messages of a batch whose bits are clear."""
        index = self.topic.find(ledger_id, entry_id)
        if index is None:
            return
        if unacknowledged_bits is None:
            self.cursor.acknowledge(index)
        elif not self.limits.batch_index_acknowledgment:
            return
        elif not self.cursor.acknowledge_in_batch(index, unacknowledged_bits):
            return
        self.redelivery_counts.pop(index, None)
        self.dispatcher.acknowledged(index)
        self._acknowledged()

    def acknowledge_up_to(self, ledger_id: int, entry_id: int, unacknowledged_bits: int | None) -> None:
        """Cumulative acknowledgement. A position past the last entry is ignored, as the broker does."""
        count = self.topic.count_up_to(ledger_id, entry_id)
        if count is None:
            return
        if unacknowledged_bits is None:
            self.cursor.acknowledge_up_to(count - 1)
        elif self.limits.batch_index_acknowledgment:
            self.cursor.acknowledge_up_to(count - 1, unacknowledged_bits)
        else:
            self.cursor.acknowledge_up_to(count - 2)
        self._acknowledged()

    def redeliver(self, consumer: Consumer, positions: list[tuple[int, int]], epoch: int | None) -> None:
        """Deliver again what the consumer has not acknowledged: all of it, or for Shared types the entries named."""
        self.dispatcher.redeliver(consumer, positions, epoch)
        self.dispatch()

    # Dispatch

    def flow(self, consumer: Consumer, permits: int) -> None:
        """The consumer takes that many more messages."""
        consumer.permits += permits
        self.dispatch()
        if self._is_at_end and not consumer.told_end_of_topic:
            consumer.told_end_of_topic = True
            consumer.link.tell_end_of_topic(consumer)

    def offer(self, entry: "Entry") -> None:
        """The topic has one more entry."""
        self.dispatch()

    def dispatch(self) -> None:
        """Deliver what permits, entries and the links' buffers allow."""
        if self._dispatching:
            return
        self._dispatching = True
        try:
            self.dispatcher.dispatch()
        finally:
            self._dispatching = False

    # The end of a terminated topic

    @property
    def _is_at_end(self) -> bool:
        return self.topic.is_terminated and self.cursor.acknowledged_before >= len(self.topic.entries)

    def _acknowledged(self) -> None:
        if self.topic.is_terminated:
            self.tell_end_of_topic()

    def tell_end_of_topic(self) -> None:
        """Tell all consumers, if nothing is left to be acknowledged."""
        if self._is_at_end:
            for consumer in self.consumers:
                consumer.told_end_of_topic = True
                consumer.link.tell_end_of_topic(consumer)
