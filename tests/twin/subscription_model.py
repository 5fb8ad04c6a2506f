"""A broker's half of one consumer: the topic's entries, what is acknowledged, permits; and the frames of MESSAGE."""

from __future__ import annotations

from typing import Any

from mpy_pulsar.wire.writer import message
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, batch_entry, entry_frame
from tools.pulsar_api import classes

LEDGER = 7
NOT_SUPPORTED = ("compressed", "encrypted", "chunked")
GARBAGE = ("malformed", "boastful", "no metadata")
_SHARING = (1, 3)
_WORD = 64
_OVERSIZE = 6000


class Entry:
    """What was published at one place. count: messages in the batch, 0: a single message."""

    def __init__(self, number: int, kind: str, count: int) -> None:
        self.number, self.kind, self.count = number, kind, count
        self.size = count or 1
        self.done: set[int] = set()
        """Messages that the broker knows to be acknowledged."""
        self.acknowledged: set[int] = set()
        """Messages with which the application, or the client for it, is done."""
        self.may_be_given_up = False

    def payload(self, index: int) -> bytes:
        """Of one of its messages."""
        return b"%d/%d" % (self.number, index)

    @property
    def readable(self) -> bool:
        """May its messages be delivered?"""
        return self.kind == "sound"


class Delivery:
    """An entry, sent once. Its number stands where a producer's name belongs."""

    def __init__(self, number: int, entry: Entry, epoch: int, corrupt: bool, counts: int) -> None:
        self.number, self.entry, self.epoch, self.corrupt, self.counts = number, entry, epoch, corrupt, counts
        self.wanted = [index for index in range(entry.size) if index not in entry.done]

    @property
    def cost(self) -> int:
        """The permits that the broker takes for it."""
        return (
            7 if self.entry.kind == "boastful" and not self.entry.done else len(self.wanted) if self.entry.count else 1
        )

    def frame(self) -> bytes:
        """MESSAGE."""
        entry = self.entry
        kind = entry.kind
        more: tuple[Any, ...] = {
            "compressed": (8, 1),
            "encrypted": (13, [(1, "k", 2, b"v")]),
            "chunked": (26, 0, 27, 3),
        }.get(kind, ())
        payload = entry.payload(0)
        if entry.count:
            payload = b"".join([batch_entry(entry.payload(index)) for index in range(entry.count)])
            more += (11, 7 if kind == "boastful" else entry.count)
        if kind == "malformed":
            payload = payload[:-1]
        elif kind == "boastful":
            payload = payload[:20]
        elif kind == "oversize":
            payload += bytes(_OVERSIZE)
        pairs: list[Any] = [3, self.counts or None]
        if len(self.wanted) < entry.size:
            pairs += [4, _words(self.wanted, entry.size)]
        if self.epoch >= 0:
            pairs += [5, self.epoch]
        metadata = message(1, str(self.number), 2, 5, 3, TIME + entry.number, *more)
        if kind == "no metadata":
            metadata = b"\x0a\x7f"
        frame = entry_frame(
            entry.number,
            metadata,
            payload,
            checksum=b"\0\0\0\0" if self.corrupt else True,  # pyright: ignore[reportArgumentType]
            command_pairs=pairs,
        )
        return frame


def _words(wanted: list[int], size: int) -> list[int]:
    words = [0] * ((size + _WORD - 1) // _WORD)
    for index in wanted:
        words[index // _WORD] |= 1 << index % _WORD
    while words and not words[-1]:
        words.pop()
    return words


def _indexes(words: Any, size: int) -> set[int]:
    """The messages that an ack_set says are acknowledged."""
    return {
        index
        for index in range(size)
        if not index // _WORD < len(words) or not words[index // _WORD] >> index % _WORD & 1
    }


class Subscription:
    """What the broker knows. answers: what it is going to say: bytes, Delivery, or a command's fields."""

    def __init__(self, consumer_type: int, permits_most: int, remembers_batches: bool) -> None:
        self.sharing = consumer_type in _SHARING
        self.most = permits_most
        self.remembers_batches = remembers_batches
        self.entries: list[Entry] = []
        self.counts: dict[int, int] = {}
        self.todo: list[int] = []
        self.unacked: set[int] = set()
        self.answers: list[Any] = []
        self.is_open = False
        self.permits = 0
        self.epoch = -1
        self.deliveries = 0
        self.seek_request: Any = None

    def settled(self, entry: Entry) -> bool:
        """Is it done with?"""
        return len(entry.done) == entry.size

    def publish(self, kind: str, count: int) -> None:
        """An entry more."""
        entry = Entry(len(self.entries), kind, count)
        self.entries.append(entry)
        self.todo.append(entry.number)

    def gone(self) -> None:
        """The consumer is closed: what it did not acknowledge is for the next one."""
        self.is_open = False
        self.permits = 0
        self.start_over()

    def start_over(self) -> None:
        """Everything that is not acknowledged is to be sent."""
        self.unacked.clear()
        self.todo = [entry.number for entry in self.entries if not self.settled(entry)]

    def may_send(self) -> bool:
        """Is there something, and a permit for it?"""
        return self.is_open and self.permits > 0 and bool(self.todo)

    def send(self, corrupt: bool = False) -> None:
        """The next entry."""
        number = self.todo.pop(0)
        entry = self.entries[number]
        self.unacked.add(number)
        self.deliveries += 1
        delivery = Delivery(
            self.deliveries, entry, -1 if self.sharing else self.epoch, corrupt, self.counts.get(number, 0)
        )
        self.counts[number] = self.counts.get(number, 0) + 1
        self.permits -= delivery.cost
        self.answers.append(delivery)

    def read(self, name: str, command: Any, refuse: int = -1, closes: bool = True) -> None:
        """A command of the client. refuse: the error that a request is answered with, -1: none."""
        if name == "ping":
            self.answers.append((fake.PONG,))
        elif name == "lookupTopic":
            self.answers.append((fake.LOOKUP_RESPONSE, 1, fake.HERE, 3, 1, 4, command.request_id))
        elif name == "flow":
            if self.is_open:
                assert command.messagePermits > 0
                self.permits += command.messagePermits
                assert self.permits <= self.most, "more permits than the queue holds"
        elif name == "ack":
            if self.is_open:
                self.acknowledge(command)
        elif name == "redeliverUnacknowledgedMessages":
            if self.is_open:
                self.redeliver(command)
        elif refuse >= 0 and name != "close_consumer":
            if name == "seek" and closes:
                self.close()
            self.answers.append((fake.ERROR, 1, command.request_id, 2, refuse, 3, "no"))
        elif name == "subscribe":
            assert not self.is_open, "subscribed twice"
            self.gone()
            self.is_open = True
            self.epoch = command.consumer_epoch if command.HasField("consumer_epoch") else -1
            self.answers.append((fake.SUCCESS, 1, command.request_id))
        elif name == "seek":
            self.seek(command, closes)
        elif name == "getLastMessageId":
            last = message(1, LEDGER, 2, len(self.entries) - 1)
            self.answers.append((30, 1, last, 2, command.request_id))
        else:
            assert name in ("close_consumer", "unsubscribe"), name
            self.gone()
            self.answers.append((fake.SUCCESS, 1, command.request_id))

    def close(self) -> None:
        """CLOSE_CONSUMER."""
        if self.is_open:
            self.gone()
            self.answers.append((fake.CLOSE_CONSUMER, 1, 2, 2, fake.NO_REQUEST))

    def seek(self, command: Any, closes: bool) -> None:
        """Go to another place; the consumer is closed for it."""
        if command.HasField("message_id"):
            number = _signed(command.message_id.entryId)
            done = (
                _indexes(command.message_id.ack_set, self.entries[number].size) if command.message_id.ack_set else set()
            )
        else:
            number, done = command.message_publish_time - TIME, set()
        for entry in self.entries:
            entry.done = set(range(entry.size)) if entry.number < number else set()
            if entry.number == number and self.remembers_batches:
                entry.done = done
        if closes:
            self.close()
        else:
            self.start_over()
        self.answers.append((fake.SUCCESS, 1, command.request_id))

    def acknowledge(self, command: Any) -> None:
        """ACK: never of what nobody is done with."""
        cumulative = command.ack_type == classes().CommandAck.Cumulative
        for one in command.message_id:
            number = _signed(one.entryId)
            assert one.ledgerId == LEDGER and number < len(self.entries)
            if cumulative:
                for entry in self.entries[: max(number, 0)]:
                    self.settle(entry, set(range(entry.size)), not entry.may_be_given_up)
                if number < 0:
                    continue
            entry = self.entries[number]
            if one.ack_set and not self.remembers_batches:
                assert _indexes(one.ack_set, entry.size) <= entry.acknowledged
                continue
            done = _indexes(one.ack_set, entry.size) if one.ack_set else set(range(entry.size))
            self.settle(entry, done, not command.HasField("validation_error"))

    def settle(self, entry: Entry, done: set[int], by_application: bool) -> None:
        """So much of an entry is done with."""
        assert by_application or entry.may_be_given_up, "given up, and there is nothing wrong with it"
        if by_application:
            assert done <= entry.acknowledged, "acknowledged, and nobody was done with it"
        entry.done |= done
        if self.settled(entry):
            self.unacked.discard(entry.number)
            if entry.number in self.todo:
                self.todo.remove(entry.number)

    def redeliver(self, command: Any) -> None:
        """REDELIVER_UNACKNOWLEDGED_MESSAGES: some where consumers share, else all."""
        if command.HasField("consumer_epoch"):
            assert not self.sharing and command.consumer_epoch > self.epoch
            self.epoch = command.consumer_epoch
        if command.message_ids:
            assert self.sharing
            again = {one.entryId for one in command.message_ids} & self.unacked
            self.unacked -= again
            self.todo = sorted({*self.todo, *again})
        else:
            self.start_over()


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
