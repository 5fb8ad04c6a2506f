"""Topics, their entries and their producers, in memory. No asyncio: sessions call in, time and sockets stay outside.

What a topic loses when its broker restarts or it moves to another is decided here as well (`Store.reload`).
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

from tools.devbroker.frames import EntryParts, ServerError, parse_metadata, split_entry
from tools.devbroker.names import TopicName
from tools.devbroker.subscription import Subscription

_SHARED_ACCESS = 0
"""ProducerAccessMode.Shared."""
_SIGN_BIT = 1 << 63


def signed(number: int) -> int:
    """An unsigned 64-bit id as the broker's signed one: 2^64-1 is -1."""
    return number - (1 << 64) if number & _SIGN_BIT else number


class Refused(Exception):
    """A request the broker answers with an error; the link stays open."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


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

    @property
    def metadata(self) -> Any:
        """The MessageMetadata, decoded anew."""
        return parse_metadata(self.data, self.parts)

    @property
    def payload(self) -> bytes:
        """The payload: of a batch, all its messages with their heads; compressed if it was sent so."""
        return self.data[self.parts.payload_from :]


@dataclass(eq=False)
class Producer:
    """A producer that is open on a topic. `link` is the session that holds it."""

    name: str
    producer_id: int
    topic: "Topic"
    link: Any
    access_mode: int
    topic_epoch: int | None = None
    """Of an exclusive producer: what PRODUCER said, then the epoch it was let in with."""

    @property
    def is_exclusive(self) -> bool:
        """Whether it wants the topic for itself."""
        return self.access_mode != _SHARED_ACCESS


def _place(entry: Entry) -> tuple[int, int]:
    return entry.ledger_id, entry.entry_id


class Topic:
    """One topic: entries in order, producers by name, subscriptions by name."""

    def __init__(self, name: TopicName, ledger_id: int) -> None:
        self.name = name
        self.partition = name.partition
        self.entries: list[Entry] = []
        self.producers: dict[str, Producer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.epoch = -1
        """How many exclusive producers came one after the other, from 0; -1 before the first."""
        self._ledger_ids = [ledger_id]
        self._ledger_starts = [0]

    @property
    def message_count(self) -> int:
        """Messages stored, those in batches counted singly."""
        return sum(entry.message_count for entry in self.entries)

    def start_ledger(self, ledger_id: int) -> None:
        """Store what follows in a new ledger, as a broker does after a restart. Ledger ids must rise."""
        self._ledger_ids.append(ledger_id)
        self._ledger_starts.append(len(self.entries))

    def publish(self, data: bytes, parts: EntryParts | None = None) -> Entry:
        """Store one entry and offer it to every subscription. Raises ProtocolViolation for undecodable metadata."""
        parts = parts or split_entry(data)
        metadata = parse_metadata(data, parts)
        is_batch = metadata.HasField("num_messages_in_batch")
        entry = Entry(
            ledger_id=self._ledger_ids[-1],
            entry_id=len(self.entries) - self._ledger_starts[-1],
            data=data,
            parts=parts,
            is_batch=is_batch,
            message_count=max(metadata.num_messages_in_batch, 1),
            publish_time=metadata.publish_time,
        )
        self.entries.append(entry)
        for subscription in self.subscriptions.values():
            subscription.dispatch()
        return entry

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

    def add_producer(self, producer: Producer) -> None:
        """Let a producer in. Raises Refused: name held (ProducerBusy), or an exclusive producer in the way."""
        if producer.name in self.producers:
            raise self.name_held(producer.name)
        exclusive = [held.name for held in self.producers.values() if held.is_exclusive]
        if exclusive:
            code = ServerError.ProducerFenced if producer.is_exclusive else ServerError.ProducerBusy
            raise Refused(code, f"Topic has an existing exclusive producer: {exclusive[0]}")
        if producer.is_exclusive:
            self._admit_exclusive(producer)
        self.producers[producer.name] = producer

    def name_held(self, producer_name: str) -> Refused:
        """The refusal of a producer whose name another live one holds."""
        text = f"Producer with name '{producer_name}' is already connected to topic '{self.name.full}'"
        return Refused(ServerError.ProducerBusy, text)

    def _admit_exclusive(self, producer: Producer) -> None:
        if self.producers:
            raise Refused(ServerError.ProducerFenced, "Topic has existing shared producers")
        if producer.topic_epoch is None:
            self.epoch += 1
        elif producer.topic_epoch < self.epoch:
            text = f"Topic epoch {producer.topic_epoch} is past, the topic is at {self.epoch}"
            raise Refused(ServerError.ProducerFenced, text)
        else:
            self.epoch = producer.topic_epoch
        producer.topic_epoch = self.epoch

    def remove_producer(self, producer: Producer) -> None:
        """Forget a producer; harmless when another one holds its name by now."""
        if self.producers.get(producer.name) is producer:
            del self.producers[producer.name]

    def drop_if_unused(self, subscription: Subscription) -> None:
        """Delete a non-durable subscription whose last consumer has gone."""
        if not subscription.durable and not subscription.consumers:
            self.subscriptions.pop(subscription.name, None)


class Store:
    """Everything the broker keeps while its process runs."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self._next_ledger_id = 1
        self._next_producer_number = 0

    def topic(self, name: TopicName) -> Topic:
        """The topic of that name, created on first use."""
        topic = self.topics.get(name.full)
        if topic is None:
            topic = self.topics[name.full] = Topic(name, self._new_ledger_id())
        return topic

    def find(self, name: TopicName) -> Topic | None:
        """The topic of that name, None if it was never used."""
        return self.topics.get(name.full)

    def new_producer_name(self) -> str:
        """A name for a producer that brought none; never the same twice, also across restarts."""
        name = f"devbroker-{self._next_producer_number}"
        self._next_producer_number += 1
        return name

    def reload(self, topic: Topic) -> None:
        """Forget what of a topic lives in a broker's memory only; entries and durable subscriptions stay.

        Its producers and consumers have to be gone already. It goes on in a new ledger.
        """
        topic.producers.clear()
        topic.start_ledger(self._new_ledger_id())
        for subscription in list(topic.subscriptions.values()):
            subscription.forget_consumers()
            topic.drop_if_unused(subscription)

    def _new_ledger_id(self) -> int:
        self._next_ledger_id += 1
        return self._next_ledger_id - 1
