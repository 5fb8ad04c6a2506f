"""What a subscription knows of a consumer and of the link it came over, and the figures its dispatch obeys."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from asyncio import Future

    from tools.devbroker.subscription import Subscription
    from tools.devbroker.topic import Entry

EXCLUSIVE, SHARED, FAILOVER, KEY_SHARED = range(4)
"""CommandSubscribe.SubType."""
TYPE_NAMES = ("Exclusive", "Shared", "Failover", "Key_Shared")


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

    def tell_end_of_topic(self, consumer: "Consumer") -> None:
        """Tell the consumer of a terminated topic that nothing is left to be acknowledged."""
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
    """Of SUBSCRIBE; the lowest comes first."""
    epoch: int | None = None
    """The consumer epoch of SUBSCRIBE or the last redeliver command; repeated in MESSAGE."""
    key_shared: Any = None
    """Key_Shared only: the KeySharedMeta of SUBSCRIBE."""
    has_any_schema: bool = False
    """Whether it takes whatever schema the topic has (AutoConsume); such a consumer decides none."""
    properties: dict[str, str] = field(default_factory=dict)
    """What SUBSCRIBE says of its consumer, for whoever looks."""
    permits: int = 0
    """Messages it still takes; goes negative, since entries are never split."""
    pending: set[int] = field(default_factory=set)
    """Shared and Key_Shared only: indexes of entries delivered to it and not acknowledged."""
    told_end_of_topic: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether an entry can be sent to it now."""
        return self.permits > 0 and self.link.writable


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
    look_ahead_per_consumer: int = 2000
    """keySharedLookAheadMsgInReplayThresholdPerConsumer: entries set aside for blocked keys before reading stops."""
    delayed_delivery_tick_seconds: float = 1
    """delayedDeliveryTickTimeMillis: a message due within that time is delivered at once."""
