"""One topic: its entries in order, its producers and subscriptions, and the way of a SEND into it.

No sockets: sessions call in. A SEND is a `Write`: pushed first, and stored, or failed, by whoever is `Store.writer`.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tools.devbroker.access import Admission, Producer
from tools.devbroker.deduplication import NONE_YET, Deduplication, Verdict
from tools.devbroker.frames import EntryParts, Refused, ServerError, parse_metadata, split_entry
from tools.devbroker.names import TopicName
from tools.devbroker.policies import Policy
from tools.devbroker.subscription import Subscription

if TYPE_CHECKING:
    from tools.devbroker.consumers import DispatchLimits
    from tools.devbroker.store import Store

_SIGN_BIT = 1 << 63


def signed(number: int) -> int:
    """An unsigned 64-bit id as the broker's signed one: 2^64-1 is -1."""
    return number - (1 << 64) if number & _SIGN_BIT else number


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored SEND: a message or a whole batch, as the bytes it came in."""

    ledger_id: int
    entry_id: int
    data: bytes
    """All that followed the command in SEND: checksum if there was one, metadata, payload."""
    parts: EntryParts
    is_batch: bool
    message_count: int
    publish_time: int
    """Milliseconds since 1970, from the metadata."""
    deliver_at: int | None = None
    """Milliseconds since 1970, from the metadata; None when it may be delivered at once."""

    @property
    def metadata(self) -> Any:
        """The MessageMetadata, decoded anew."""
        return parse_metadata(self.data, self.parts)

    @property
    def payload(self) -> bytes:
        """The payload: of a batch, all its messages with their heads; compressed if it was sent so."""
        return self.data[self.parts.payload_from :]


@dataclass(eq=False)
class Write:
    """A SEND that was pushed and is not stored yet. Exactly one of `complete` and `fail` ends it."""

    topic: "Topic"
    producer_name: str
    first_id: int
    highest_id: int
    data: bytes
    parts: EntryParts
    metadata: Any
    on_stored: Callable[[Entry], None]
    on_failed: Callable[[Refused], None]
    is_ended: bool = False
    failure: str | None = None

    def complete(self) -> None:
        """It is stored, as soon as those pushed before it are."""
        self._end(None)

    def fail(self, text: str = "Bookie operation timeout") -> None:
        """It is not stored. The broker then closes all producers of the topic, whose SENDs it can no longer trust."""
        self._end(text)

    def _end(self, failure: str | None) -> None:
        if not self.is_ended:
            self.is_ended, self.failure = True, failure
            self.topic.write_ended()


def _place(entry: Entry) -> tuple[int, int]:
    return entry.ledger_id, entry.entry_id


class Topic:
    """One topic: entries in order, producers by name, subscriptions by name."""

    def __init__(self, name: TopicName, ledger_id: int, store: "Store") -> None:
        self.name = name
        self.partition = name.partition
        self.store = store
        self.entries: list[Entry] = []
        self.admission = Admission(name.full)
        self.subscriptions: dict[str, Subscription] = {}
        self.is_terminated = False
        """Whether it takes no more messages, for ever."""
        self._ledger_ids = [ledger_id]
        self._ledger_starts = [0]
        self._writes: deque[Write] = deque()
        self._is_fenced = False
        self._deduplication: Deduplication | None = None

    @property
    def producers(self) -> dict[str, Producer]:
        """The producers that are open, by name."""
        return self.admission.producers

    @property
    def policy(self) -> Policy:
        """The settings that hold for this topic now."""
        return self.store.policies.of(self.name)

    @property
    def message_count(self) -> int:
        """Messages stored, those in batches counted singly."""
        return sum(entry.message_count for entry in self.entries)

    def changed(self) -> None:
        """Something happened that no command brought about."""
        self.store.changed()

    # Publishing

    def push(self, write: Write) -> None:
        """Take a SEND in: `on_stored` or `on_failed` is called when it is decided, at once or later.

        Raises Refused for what the topic does not take, NotStored for what it drops on purpose.
        """
        if self._is_fenced:
            raise Refused(ServerError.PersistenceError, "Topic is temporarily unavailable")
        policy = self.policy
        if policy.max_message_size and len(write.data) > policy.max_message_size:
            raise Refused(ServerError.NotAllowedError, "Exceed maximum message size")
        longest = policy.max_delivery_delay_ms
        if longest:
            if write.metadata.deliver_at_time - write.metadata.publish_time > longest:
                text = f"Exceeds max allowed delivery delay of {longest} milliseconds"
                raise Refused(ServerError.NotAllowedError, text)
        if self.is_terminated:
            raise _terminated()
        deduplication = self.deduplication
        if deduplication is not None:
            verdict = deduplication.push(write.producer_name, write.first_id, write.highest_id)
            if verdict is Verdict.DUPLICATE:
                raise NotStored
            if verdict is Verdict.UNKNOWN:
                text = "Cannot determine whether the message is a duplicate at this time"
                raise Refused(ServerError.PersistenceError, text)
        self._writes.append(write)
        self.store.writer(write)

    @property
    def writes_pending(self) -> int:
        """How many SENDs are pushed and not decided."""
        return len(self._writes)

    def write_ended(self) -> None:
        """A write was completed or failed: act on all that those before it no longer keep waiting."""
        while self._writes and self._writes[0].is_ended:
            write = self._writes.popleft()
            if self.is_terminated:
                write.on_failed(_terminated())
            elif write.failure is None:
                entry = self.publish(write.data, write.parts, write.metadata)
                if self._deduplication is not None:
                    self._deduplication.stored(write.producer_name, write.highest_id)
                write.on_stored(entry)
            else:
                self._is_fenced = True
                self.admission.close_all(_unavailable())
                write.on_failed(Refused(ServerError.PersistenceError, write.failure))
        if self._is_fenced and not self._writes:
            self._is_fenced = False
            if self._deduplication is not None:
                self._deduplication.take_back()
        self.changed()

    def publish(self, data: bytes, parts: EntryParts | None = None, metadata: Any = None) -> Entry:
        """Store one entry and offer it to every subscription.

        `parts` and `metadata`, where they are known; else raises ProtocolViolation for data that has none.
        """
        entry = self._entry(data, parts or split_entry(data), metadata)
        self.entries.append(entry)
        for subscription in self.subscriptions.values():
            subscription.offer(entry)
        return entry

    def _entry(self, data: bytes, parts: EntryParts, metadata: Any) -> Entry:
        metadata = metadata or parse_metadata(data, parts)
        ledger_id, entry_id = self._next_place()
        return Entry(
            ledger_id=ledger_id,
            entry_id=entry_id,
            data=data,
            parts=parts,
            is_batch=metadata.HasField("num_messages_in_batch"),
            message_count=max(metadata.num_messages_in_batch, 1),
            publish_time=metadata.publish_time,
            deliver_at=metadata.deliver_at_time if metadata.HasField("deliver_at_time") else None,
        )

    def _next_place(self) -> tuple[int, int]:
        return self._ledger_ids[-1], len(self.entries) - self._ledger_starts[-1]

    @property
    def deduplication(self) -> Deduplication | None:
        """What is known of sequence ids, None while deduplication is off; it knows nothing of before it was put on."""
        if not self.policy.deduplication:
            self._deduplication = None
        elif self._deduplication is None:
            self._deduplication = Deduplication(len(self.entries))
        return self._deduplication

    def last_sequence_id(self, producer_name: str) -> int:
        """The highest id pushed under that name; -1 without deduplication."""
        deduplication = self.deduplication
        return NONE_YET if deduplication is None else deduplication.last_id(producer_name)

    # Positions

    def find(self, ledger_id: int, entry_id: int) -> int | None:
        """The index of the entry with these ids (unsigned, from the wire), None if there is none."""
        place = bisect_left(self._ledger_ids, ledger_id)
        if place == len(self._ledger_ids) or self._ledger_ids[place] != ledger_id:
            return None
        following = self._ledger_starts[place + 1 : place + 2]
        index = self._ledger_starts[place] + entry_id
        return index if index < (following[0] if following else len(self.entries)) else None

    def count_up_to(self, ledger_id: int, entry_id: int) -> int | None:
        """How many entries there are up to and with a position (unsigned ids); None for one past the last entry."""
        place = signed(ledger_id), signed(entry_id)
        return None if self._is_past_end(place) else bisect_right(self.entries, place, key=_place)

    def count_before(self, ledger_id: int, entry_id: int) -> int | None:
        """How many entries there are before a position (unsigned ids); None for one past the last entry."""
        place = signed(ledger_id), signed(entry_id)
        return None if self._is_past_end(place) else bisect_left(self.entries, place, key=_place)

    def _is_past_end(self, place: tuple[int, int]) -> bool:
        return place > self.position(len(self.entries) - 1)

    def index_published_at(self, publish_time: int) -> int:
        """The index of the first entry published at that time (milliseconds) or later."""
        return bisect_left(self.entries, publish_time, key=lambda entry: entry.publish_time)

    def position(self, index: int) -> tuple[int, int]:
        """Ledger and entry id of the entry at `index`; -1 gives what a broker calls the place before the first."""
        if index >= 0:
            entry = self.entries[index]
            return entry.ledger_id, entry.entry_id
        first = bisect_right(self._ledger_starts, 0) - 1
        return self._ledger_ids[first], -1

    # Producers and subscriptions

    def admit(self, producer: Producer) -> None:
        """Let a producer in, or have it wait. Raises Refused: terminated, fenced by others, name held."""
        self.check_access(producer)
        self.admission.admit(producer)

    def check_access(self, producer: Producer) -> None:
        """Raises Refused where a producer may not come in, whatever its name."""
        self.admission.check_access(producer)
        if self._is_fenced:
            raise _unavailable()
        if self.is_terminated:
            raise _terminated()

    def remove_producer(self, producer: Producer) -> None:
        """Forget a producer; harmless when another one holds its name by now."""
        self.admission.remove(producer)

    def new_subscription(self, name: str, start: int, durable: bool, limits: "DispatchLimits") -> Subscription:
        """A subscription that reads from `start`, an index; not entered in `subscriptions`."""
        return Subscription(self, name, start, durable, limits)

    def drop_if_unused(self, subscription: Subscription) -> None:
        """Delete a non-durable subscription whose last consumer has gone."""
        if not subscription.durable and not subscription.consumers:
            self.subscriptions.pop(subscription.name, None)

    # Its life

    def terminate(self) -> tuple[int, int]:
        """Take no more messages: producers are closed, consumers told as they come to the end. The last position."""
        self.is_terminated = True
        self.admission.close_all(_terminated())
        for subscription in self.subscriptions.values():
            subscription.tell_end_of_topic()
        return self.position(len(self.entries) - 1)

    def close_all(self, assigned: tuple[str, str] = ("", "")) -> None:
        """Close all producers and consumers from the broker's side; `assigned` are the URLs of where to go."""
        self.admission.close_all(_unavailable(), assigned)
        for subscription in list(self.subscriptions.values()):
            subscription.close_all(assigned)

    def reload(self, ledger_id: int) -> None:
        """Forget what lives in a broker's memory only, and go on in a new ledger. Ledger ids must rise.

        Producers and consumers have to be gone already. Writes that were not decided are lost.
        """
        self.admission.forget()
        self._writes.clear()
        self._is_fenced = False
        if self._deduplication is not None:
            self._deduplication.replay(self.entries[self._deduplication.start :])
        self._ledger_ids.append(ledger_id)
        self._ledger_starts.append(len(self.entries))
        for subscription in list(self.subscriptions.values()):
            subscription.forget_consumers()
            subscription.cursor.forget_parts()
            self.drop_if_unused(subscription)


class NotStored(Exception):
    """A SEND that is dropped on purpose, such as a duplicate: it gets a receipt, with ids of -1."""


def _unavailable() -> Refused:
    return Refused(ServerError.ServiceNotReady, "Topic is temporarily unavailable")


def _terminated() -> Refused:
    return Refused(ServerError.TopicTerminatedError, "Topic was already terminated")
