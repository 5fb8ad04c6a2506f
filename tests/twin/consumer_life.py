"""What a stateful test of the consumer keeps: its application, the link, the broker at the other end, and what is to be
taken; the rules that move it are in test_consumer_properties.py."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

import mpy_pulsar.endpoint
import mpy_pulsar.features.receiving
import mpy_pulsar.features.redelivery
import mpy_pulsar.features.requests
import mpy_pulsar.features.seeking
from mpy_pulsar.core.handle import OPENING, READY
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import PulsarError
from mpy_pulsar.features.seeking import Seek
from tests.twin.broker_model import World, read_control
from tests.twin.subscription_model import GARBAGE, Delivery, Entry, Subscription
from tests.unit.fake_broker import TIME, message_id

_MODULES = (
    mpy_pulsar.endpoint,
    mpy_pulsar.features.receiving,
    mpy_pulsar.features.redelivery,
    mpy_pulsar.features.requests,
    mpy_pulsar.features.seeking,
)


class ConsumerSides(RuleBasedStateMachine):
    """A consumer and all that is about it; `core`, `consumer` and `broker` are there once it has begun."""

    core: Any
    consumer: Any
    broker: Subscription
    inclusive: bool
    gives_up: bool

    def __init__(self) -> None:
        super().__init__()
        self.world = World(*_MODULES)
        self.turn = 0
        self.link: Any = None
        self.pipe: list[Any] = []
        """Commands that the broker is going to read."""
        self.expected: list[tuple[Delivery, int]] = []
        """What is to be taken, in this order."""
        self.held: list[tuple[Any, Delivery, int]] = []
        """Messages that the application has and is not done with."""
        self.start: tuple[int, int] | None = None
        """Entry and index of the place sought last."""
        self.epoch = 0
        self.leaked = 0
        self.wanted = 0
        self.calls: dict[Any, tuple[str, Any]] = {}

    # The application

    def call(self, kind: str, content: Any, coroutine: Any) -> None:
        """Somebody calls, and perhaps waits."""
        if len(self.world.tasks) > 5 and kind != "close":
            coroutine.close()
            return
        task = self.world.loop.create_task(coroutine)
        self.calls[task] = (kind, content)
        self.world.tasks.append(task)
        self.after()

    def run(self, coroutine: Any) -> bool:
        """A call that waits for nothing: did it succeed?"""
        task = self.world.loop.create_task(coroutine)
        self.world.loop.settle()
        assert task.done()
        if isinstance(task.exception(), PulsarError):
            return False
        task.result()
        return True

    def after(self) -> None:
        """Look at what has ended, and at what the client says."""
        self.turn += 1
        if self.core.epoch != self.epoch:
            self.epoch = self.core.epoch
            self.expected = []  # it asked for all of it once more
        for task in self.world.done():
            kind, content = self.calls.pop(task)
            if task.cancelled():
                continue
            error = task.exception()
            assert error is None or isinstance(error, PulsarError), repr(error)
            if kind == "receive" and error is None:
                for message in task.result():
                    self.taken(message)
        self.listen()

    def taken(self, message: Any) -> None:
        """It is the next one, whole."""
        assert self.expected, "it came out of nowhere"
        delivery, index = self.expected.pop(0)
        entry = delivery.entry
        place = message.message_id()
        assert message.producer_name() == str(delivery.number), "out of order, or void"
        assert message.data() == entry.payload(index)
        assert (place.entry_id(), place.batch_index(), place.batch_size()) == (
            entry.number,
            index if entry.count else -1,
            entry.count,
        )
        assert message.redelivery_count() == delivery.counts
        self.wanted = max(self.wanted - 1, 0)
        self.held.append((message, delivery, index))

    def be_done_with(self, message: Any, delivery: Delivery, index: int, how: str) -> None:
        """Acknowledge it; or have it sent again."""
        entry = delivery.entry
        consumer = self.consumer
        what: Any = message.message_id() if how == "id" else message
        done = {index}
        before = [set(one.acknowledged) for one in self.broker.entries]
        if how in ("entry", "stored ids"):
            done = set(range(entry.size))
        elif how == "all":
            done = set(range(index + 1))
            if not self.broker.sharing:
                for one in self.broker.entries[: entry.number]:
                    one.acknowledged = set(range(one.size))
        if how != "nack" and not (how == "all" and self.broker.sharing):
            entry.acknowledged |= done
        if how == "nack":
            ran = self.run(consumer.negative_acknowledge(what))
        elif how == "entry":
            ran = self.run(consumer.acknowledge_entry(what))
        elif how == "stored ids":
            outcomes = [self.run(consumer.acknowledge(one)) for one in self.stored_ids(entry)]
            ran = all(outcomes)
        elif how == "all":
            ran = self.run(consumer.acknowledge_cumulative(what))
        else:
            ran = self.run(consumer.acknowledge(what))
        if not ran:
            for one, kept in zip(self.broker.entries, before):
                one.acknowledged = kept
            assert self.core.failure or (how == "all" and self.broker.sharing)
        elif how != "nack":
            self.held = [
                (message, other, number)
                for message, other, number in self.held
                if not (other is delivery and number in done or how == "all" and other.entry.number < entry.number)
            ]

    def stored_ids(self, entry: Entry) -> list[MessageId]:
        """The ids of an entry's messages, as somebody else has kept them."""
        ids = [MessageId(message_id(entry.number), index, entry.count) for index in range(entry.count)]
        return [MessageId.deserialize(one.serialize()) for one in ids or [MessageId(message_id(entry.number))]]

    # The link and the broker

    def listen(self) -> None:
        """What the client has to say goes on its way."""
        if self.link:
            control = self.link.connection.control
            while control:
                self.pipe.append(read_control(control.pop(0)))

    def lose(self, error: PulsarError) -> None:
        """The link is gone, with what it had still to bring."""
        self.pipe, self.broker.answers, self.expected, self.held = [], [], [], []
        self.broker.gone()
        connection, self.link = self.link.connection, None
        for handle in list(connection.handles.values()):
            handle.lost(error, self.world.now)
        self.after()

    def read(self, refuse: int = -1, closes: bool = True) -> None:
        """The broker reads a command."""
        name, command = self.pipe.pop(0)
        self.broker.read(name, command, refuse, closes)
        if name == "seek" and refuse < 0:
            self.sought_at(command)

    def sought_at(self, command: Any) -> None:
        """From now on all behind that place is to be done with anew; what is before is done with."""
        number = command.message_publish_time - TIME
        if command.HasField("message_id"):
            number = command.message_id.entryId
        for entry in self.broker.entries:
            entry.acknowledged = set(entry.done)
            assert entry.number >= number or self.broker.settled(entry)

    def skipped(self, number: int, index: int) -> set[int]:
        """The messages of the entry sought that are not delivered."""
        entry = self.broker.entries[number]
        if self.inclusive:
            return set(range(max(index, 0) if entry.count else 0))
        return set(range(min(index + 1, entry.size) if entry.count and index >= 0 else entry.size))

    # What the client hears

    def hear(self, one: Any) -> None:
        """A broker in order never costs the link."""
        self.link.now = self.world.now
        listening = self.core.state == READY or (self.core.state == OPENING and self.seeking())
        if isinstance(one, Delivery):
            if listening:
                self.expect(one)
            self.link.feed(one.frame())
        else:
            seek = self.seeking()
            self.link.say(*one)
            if seek and self.seek_extra()._sought:
                self.begin_at(seek)
                self.expected, self.held = [], []
            elif self.core.state != READY and not (self.core.state == OPENING and self.seeking()):
                self.expected = []
                self.held = self.held if self.core.connection and listening else []
        self.after()

    def extras(self) -> list[Any]:
        """What features have added to the core."""
        extras = getattr(self.core, "extras", [])
        return getattr(extras, "list", extras)

    def seek_extra(self) -> Any:
        """What makes seeks, None: there was none yet."""
        return next((extra for extra in self.extras() if isinstance(extra, Seek)), None)

    def seeking(self) -> Any:
        """The seek under way."""
        extra = self.seek_extra()
        return extra and extra.call

    def begin_at(self, call: Any) -> None:
        """The place is reached."""
        self.start = None
        if call.message_id:
            self.start = (call.message_id.entry_id(), call.message_id.batch_index())

    def expect(self, delivery: Delivery) -> None:
        """What is to be taken of an entry that comes now."""
        entry = delivery.entry
        if delivery.corrupt or not entry.readable:
            if delivery.corrupt:
                self.leaked += delivery.cost - 1
            entry.may_be_given_up = True
            if delivery.corrupt or entry.kind in GARBAGE or self.gives_up:
                entry.acknowledged = set(range(entry.size))  # the client sees to it
            if entry.kind == "malformed" and not delivery.corrupt and self.is_valid(delivery):
                self.expect_messages(
                    delivery, delivery.wanted[:-1] if entry.size - 1 in delivery.wanted else delivery.wanted
                )
        elif self.is_valid(delivery):
            self.expect_messages(delivery, delivery.wanted)

    def is_valid(self, delivery: Delivery) -> bool:
        """Was it sent after the last redelivery that an only consumer asked for?"""
        return self.broker.sharing or delivery.epoch >= self.core.epoch

    def expect_messages(self, delivery: Delivery, wanted: list[int]) -> None:
        """These, but not what is before the place sought."""
        if self.start and self.start[0] == delivery.entry.number:
            gone = self.skipped(*self.start)
            wanted = [index for index in wanted if index not in gone]
            delivery.entry.acknowledged |= gone
        self.expected += [(delivery, index) for index in wanted]

    def quiet(self) -> bool:
        """Is nothing on its way?"""
        return self.core.state == READY and not self.pipe and not self.broker.answers and self.broker.is_open
