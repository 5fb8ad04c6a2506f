"""Any interleaving of messages, takes, acknowledgements, redelivery, seeks, permits, lost links, closing: each message
comes in order and once for each time it is sent; nothing is acknowledged that nobody is done with, and what is not
acknowledged comes again; permits are never too many, never gone; nobody waits for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies
from hypothesis.stateful import initialize, invariant, precondition, rule

from mpy_pulsar.features.new_consumer import make_consumer
from mpy_pulsar.core.handle import CLOSED, IDLE, READY
from mpy_pulsar.core.message import Message
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import ConnectError, PulsarError
from mpy_pulsar.features import part_of_entry
from mpy_pulsar.port import ACK_GROUP
from tests.twin.broker_model import bounded, look, patience
from tests.twin.consumer_life import ConsumerSides
from tests.twin.subscription_model import GARBAGE, NOT_SUPPORTED, Subscription
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import TIME, TIMEOUT, Broker, message_id

_NACK_DELAY = 500
_pass_over = part_of_entry.pass_over
_ROUNDS = 200
_IDLE = 15  # of them, in which all that waits for a time has left
_CODES = list(range(26))
_HOW = strategies.sampled_from(["one", "one", "one", "id", "id", "stored ids", "entry", "all", "all", "nack"])
_STEP = rule(
    publishes=strategies.integers(0, 2),
    count=strategies.sampled_from([0, 1, 2, 3, 5, 66]),
    sends=strategies.integers(0, 4),
    hears=strategies.integers(0, 6),
    takes=strategies.integers(0, 4),
)


class ConsumerLife(ConsumerSides):
    """All that may happen to a consumer."""

    @initialize(
        kind=strategies.integers(0, 3),
        permits=strategies.sampled_from([1, 2, 3, 5, 10, 100]),
        inclusive=strategies.booleans(),
        partial=strategies.booleans(),
        remembers=strategies.booleans(),
        automatic=strategies.sampled_from([True, True, False]),
        gives_up=strategies.booleans(),
        first=strategies.integers(0, 4),
        opened=strategies.sampled_from([True, True, False]),
    )
    def begin(
        self,
        kind: int,
        permits: int,
        inclusive: bool,
        partial: bool,
        remembers: bool,
        automatic: bool,
        gives_up: bool,
        first: int,
        opened: bool,
    ) -> None:
        """A consumer of any kind."""
        self.consumer: Any = make_consumer(
            fake.TOPIC,
            2,
            TIMEOUT,
            "sub",
            consumer_type=kind,
            receiver_queue_size=permits,
            consumer_name="me",
            negative_ack_redelivery_delay_ms=_NACK_DELAY,
            start_message_id_inclusive=inclusive,
            batch_index_ack_enabled=partial,
            auto_flow=automatic,
            acknowledge_unreadable=gives_up,
        )
        self.core: Any = self.consumer.core
        self.core.plain = True
        self.errors: list[Any] = []
        self.core.report = self.errors.append
        part_of_entry.pass_over = self.pass_over
        self.inclusive, self.partial, self.automatic, self.gives_up = inclusive, partial, automatic, gives_up
        self.broker = Subscription(kind, permits, remembers)
        for _ in range(first):
            self.broker.publish("sound", 0)
        if opened:
            self.go_on_well(False)

    # The application

    @rule(count=strategies.integers(1, 6))
    def take(self, count: int) -> None:
        """Whatever is there; nothing where nothing is to be there."""
        for _ in range(count):
            message = self.core.take()
            if message is None:
                assert self.core.state != READY or not self.expected, "a message is lost"
                break
            self.taken(message)
        self.after()

    def pass_over(self, core: Any, entry: Any) -> None:
        """The client does not deliver what is acknowledged and came again after a lost link."""
        number = Message(entry, entry.metadata, 0, 0, 0, "").producer_name()
        again = [one for one in self.expected if str(one[0].number) == number]
        assert again and len(again[0][0].entry.acknowledged) == again[0][0].entry.size
        self.expected = [one for one in self.expected if one not in again]
        _pass_over(core, entry)

    @rule(data=strategies.data(), what=strategies.sampled_from(["receive", "receive", "ask", "cancel"]))
    def wait(self, data: Any, what: str) -> None:
        """Somebody waits: for messages, or for the last one's id; or does not want to any more."""
        if what == "receive":
            most, milliseconds = data.draw(strategies.sampled_from([(1, 0), (3, 1000), (2, None)]))
            self.call("receive", None, self.consumer.receive_batch(most, milliseconds))
        elif what == "ask":
            self.call("ask", None, self.consumer.get_last_message_id())
        elif self.world.tasks:
            data.draw(strategies.sampled_from(self.world.tasks)).cancel()
        self.after()

    @precondition(lambda self: self.held)
    @rule(data=strategies.data(), how=_HOW, times=strategies.integers(1, 3))
    def acknowledge(self, data: Any, how: str, times: int) -> None:
        """In any way, any messages that were taken and not lost since."""
        for _ in range(times):
            if self.held:
                self.be_done_with(*data.draw(strategies.sampled_from(self.held)), how)  # pyright: ignore[reportCallIssue]
        self.after()

    @rule()
    def redeliver(self) -> None:
        """All of it, please."""
        try:
            self.consumer.redeliver_unacknowledged_messages()
        except PulsarError:
            assert self.core.failure
        else:
            if self.core.state == READY:
                self.expected = []
        self.after()

    @precondition(lambda self: not self.automatic)
    @rule(permits=strategies.integers(1, 12))
    def flow(self, permits: int) -> None:
        """So many more."""
        self.wanted += permits
        self.consumer.flow(permits)
        self.after()

    @precondition(lambda self: self.broker.entries and not any(kind == "seek" for kind, _ in self.calls.values()))
    @rule(data=strategies.data())
    def seek(self, data: Any) -> None:
        """To an entry, a message of a batch, or a time."""
        number = data.draw(strategies.integers(0, len(self.broker.entries) - 1))
        entry = self.broker.entries[number]
        index = data.draw(strategies.integers(-1, entry.count - 1))
        place: Any = MessageId(message_id(number), index, entry.count if index >= 0 else 0)
        if data.draw(strategies.sampled_from([False, False, True])):
            place = TIME + number
        self.call("seek", place, self.consumer.seek(place))

    @precondition(lambda self: self.turn > 20 and self.turn % 4 == 0)
    @rule(forever=strategies.booleans())
    def close(self, forever: bool) -> None:
        """The application has enough."""
        self.call("close", None, self.consumer.unsubscribe() if forever else self.consumer.close())

    # The link

    @precondition(lambda self: self.core.state == IDLE)
    @rule()
    def attach(self) -> None:
        """The supervisor puts it on a link once it may."""
        self.pass_time(self.core.wait_before(self.world.now))
        if self.core.state == IDLE and not self.core.wait_before(self.world.now):
            if not self.link:
                self.link = Broker(now=self.world.now)
            self.core.attach(self.link.connection, self.world.now)
        self.after()

    @precondition(lambda self: self.link)
    @rule(arrive=strategies.integers(0, 5))
    def lose_the_link(self, arrive: int) -> None:
        """Some of what is on its way arrives, and is not answered."""
        for _ in range(min(arrive, len(self.pipe))):
            self.read()
        held = self.held
        self.lose(ConnectError("gone"))
        self.held = held  # it goes on with those that it has

    # The broker

    @rule(
        kind=strategies.sampled_from(["sound"] * 8 + ["oversize", *NOT_SUPPORTED, *GARBAGE]),
        count=strategies.sampled_from([0, 0, 1, 2, 3, 5, 66]),
    )
    def publish(self, kind: str, count: int) -> None:
        """By somebody."""
        if kind in GARBAGE:
            count = max(count, 2)
        if kind in ("chunked", "no metadata"):
            count = 0
        self.broker.publish(kind, count)

    @precondition(lambda self: self.broker.may_send())
    @rule(count=strategies.integers(1, 6), corrupt=strategies.sampled_from([False] * 7 + [True]))
    def broker_sends(self, count: int, corrupt: bool) -> None:
        """As much as there are permits for."""
        for _ in range(count):
            if self.broker.may_send():
                self.broker.send(corrupt)

    @precondition(lambda self: self.pipe)
    @rule(
        count=strategies.integers(1, 6),
        refuse=strategies.sampled_from([-1] * 24 + _CODES),
        closes=strategies.sampled_from([True, True, False]),
    )
    def broker_reads(self, count: int, refuse: int, closes: bool) -> None:
        """What came; a request may be refused."""
        for _ in range(min(count, len(self.pipe))):
            self.read(refuse, closes)

    def everybody(self, publishes: int, count: int, sends: int, hears: int, takes: int) -> None:
        """A step of all there are."""
        if self.core.state == IDLE:
            self.attach()
        for _ in range(publishes):
            self.broker.publish("sound", count)
        while self.pipe:
            self.read()
        for _ in range(sends):
            if self.broker.may_send():
                self.broker.send()
        if hears and self.broker.answers:
            self.client_hears(hears)
        if takes:
            self.take(takes)

    # Twice, so that it is likelier than what brings trouble.
    go_on = _STEP(everybody)
    go_on_more = _STEP(everybody)

    @precondition(lambda self: self.link and self.turn % 3 == 0)
    @rule()
    def broker_closes(self) -> None:
        """The topic moves."""
        self.broker.close()

    @precondition(lambda self: self.broker.answers)
    @rule(count=strategies.integers(1, 6))
    def client_hears(self, count: int) -> None:
        """What the broker says."""
        for _ in range(count):
            if self.broker.answers:
                self.hear(self.broker.answers.pop(0))

    # Time

    @rule(milliseconds=strategies.sampled_from([1, 50, 100, 100, 500, 31000]))
    def pass_time(self, milliseconds: int) -> None:
        """It goes by, and the supervisor looks."""
        self.world.let_pass(milliseconds)
        if self.link:
            self.link.now = self.link.connection.now = self.world.now
        if self.core.state != CLOSED:
            state = self.core.state
            assert self.core.sweep(self.world.now) > 0
            if self.core.state != state:
                self.expected, self.held = [], []
        self.after()

    # What always holds

    @invariant()
    def bounded(self) -> None:
        """Few entries, few commands."""
        if not hasattr(self, "core"):
            return
        core = self.core
        assert len(core._queue) <= 2 * core.permits and len(core._acks) <= ACK_GROUP and len(self.extras()) <= 8
        assert not self.broker.permits > core.permits
        if self.link:
            bounded(self.link.connection)

    @invariant()
    def permits(self) -> None:
        """The broker has them, or they are those of what waits to be taken, or they wait to be given back."""
        if hasattr(self, "core") and self.automatic and not self.leaked and self.quiet():
            core = self.core
            queued = sum(sum(flag != 2 for flag in entry.flags()[entry.index :]) for entry in core._queue)
            assert self.broker.permits + queued + core._used == core.permits

    # The end

    def go_on_well(self, take: bool = True) -> None:
        """From now on all is in order, until there is nothing to do. take: whatever comes is taken and acknowledged."""
        idle = 0
        for _ in range(_ROUNDS):
            if self.core.state == IDLE:
                self.attach()
            while self.link and self.pipe:
                self.read()
            while take and self.broker.may_send():
                self.broker.send()
                idle = 0
            while self.broker.answers:
                self.hear(self.broker.answers.pop(0))
            if self.core.state == CLOSED:
                return
            if take:
                self.take(99)
                for one in list(self.held):
                    if one in self.held:
                        self.be_done_with(*one, "one")
                if not self.automatic and not self.wanted:
                    self.flow(10)
            self.pass_time(50)
            idle += 1
            if self.quiet() and (not take or (idle > _IDLE and (self.leaked or not self.broker.todo))):
                return
        raise AssertionError("it never ends")

    def teardown(self) -> None:
        try:
            if hasattr(self, "core"):
                self.finish()
        finally:
            part_of_entry.pass_over = _pass_over
            self.world.end()

    def finish(self) -> None:
        """All of it comes to its end."""
        self.go_on_well()
        if self.core.state != CLOSED:
            self.all_done()
            self.call("close", None, self.consumer.close())
            self.go_on_well()
        self.after()
        assert self.core.state == CLOSED and not self.world.tasks, "somebody waits for ever"
        with pytest.raises(PulsarError):
            self.consumer.redeliver_unacknowledged_messages()

    def all_done(self) -> None:
        """Every message that can be read was delivered and acknowledged, and the broker knows."""
        if self.leaked:
            return  # an entry damaged on its way costs permits that nobody knows of
        assert not any(kind != "receive" for kind, _ in self.calls.values()), "somebody waits for ever"
        assert not self.broker.todo, "starved"
        for entry in self.broker.entries:
            if entry.readable or entry.kind in GARBAGE or self.gives_up:
                assert self.broker.settled(entry), "not acknowledged: %d %s" % (entry.number, entry.kind)


ConsumerLife.TestCase.settings = look(700, 40)
TestConsumerLife = patience()(ConsumerLife.TestCase)
