"""Any interleaving of sends, receipts, refusals, time-outs, lost links and closing: each message has one outcome, which
is true; what is stored stands in order; memory stays bounded; nobody waits for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, strategies
from hypothesis.stateful import initialize, invariant, precondition, rule

from mpy_pulsar.core.handle import CLOSED, IDLE, READY
from mpy_pulsar.errors import AlreadyClosed, ConnectError, MessageTooBig, ProtocolError, PulsarError, QueueFull
from mpy_pulsar.features.large import LargeProducer
from mpy_pulsar.features.send_timeout import SendTimeout
from tests.twin.broker_model import NOWHERE, bounded, look, patience
from tests.twin.producer_life import ProducerSides
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import message_id

_SEND_TIMEOUT = 1000
_ROUNDS = 100
_LARGEST = 5242880
_SHORT = 300
_WHAT = strategies.sampled_from(["store"] * 6 + ["refuse", "refuse", "drop", "push"])
_CODE = strategies.sampled_from([22, 22, 22, 9, 9, 9, 2, 2, 0, 6, 7, *range(15), *range(16, 25), *range(26)])
_STEP = rule(
    writes=strategies.integers(1, 4),
    reads=strategies.integers(0, 5),
    what=_WHAT,
    code=_CODE,
    hears=strategies.integers(0, 5),
)


class ProducerLife(ProducerSides):
    """All that may happen to a producer."""

    @initialize(
        size=strategies.sampled_from([500, 700, 1200, 4000]),
        slots=strategies.integers(1, 5),
        messages=strategies.integers(1, 4),
        delay=strategies.sampled_from([0, 0, 40]),
        pending=strategies.sampled_from([0, 0, 1, 2, 5]),
        timeout=strategies.booleans(),
        first=strategies.sampled_from([0, 0, 7]),
        known=strategies.sampled_from([-1, -1, 5, (1 << 28) - 3, (1 << 56) - 3]),
        batching=strategies.sampled_from([True, True, False]),
        block=strategies.sampled_from([True, True, False]),
        weeds_out=strategies.booleans(),
        persistent=strategies.sampled_from([True, True, False]),
        largest=strategies.sampled_from([_LARGEST, _LARGEST, _SHORT]),
        opened=strategies.sampled_from([True, True, False]),
    )
    def begin(
        self,
        size: int,
        slots: int,
        messages: int,
        delay: int,
        pending: int,
        timeout: bool,
        first: int,
        known: int,
        batching: bool,
        block: bool,
        weeds_out: bool,
        persistent: bool,
        largest: int,
        opened: bool,
    ) -> None:
        """A producer of any kind."""
        self.core: Any = fake.producer(size=size, slots=slots, messages=messages, delay=delay, first=first)
        self.ring = self.core.ring
        if pending:
            self.ring.max_pending = pending
        if timeout:
            SendTimeout(self.core, _SEND_TIMEOUT)
        if not persistent:
            self.core.topic = "non-persistent://public/default/t"
        self.producer: Any = LargeProducer(self.core, batching, block)
        self.producer.ticket = self.ticket
        self.persistent = persistent
        self.weeds_out = weeds_out and persistent
        self.highest = self.known = known if self.weeds_out else -1
        self.messages, self.largest = messages, largest
        self.confirmed = {-1, first - 1, self.known}
        if opened:
            self.go_on_well()

    # The application

    @rule(data=strategies.data())
    def send_nowait(self, data: Any) -> None:
        """With what `has_room` says of it."""
        payload = self.payload(self.size_of(data))
        room = self.producer.has_room(len(payload))
        try:
            self.producer.send_nowait(payload)
        except QueueFull:
            assert not room and not self.ring.idle()
        except (MessageTooBig, AlreadyClosed) as error:
            assert not room
            assert self.core.failure or self.ring.failure or len(payload) + 120 > self.largest, error  # noqa: PT017
        except PulsarError:
            assert self.core.failure
        else:
            self.accept(payload, self.ticket(self.ring.last_batch()))
            self.unwatched.add(payload)
        self.after()

    @rule(data=strategies.data(), kind=strategies.sampled_from(["bare", "bare", "key", "id", "at"]))
    def send(self, data: Any, kind: str) -> None:
        """Any kind of message, by somebody who waits."""
        content = self.payload(self.size_of(data))
        fields: dict[str, Any] = {}
        if kind == "key":
            fields = {"partition_key": "k", "properties": {"p": "v"}}
        elif kind == "at":
            fields = {"deliver_at": fake.TIME + 5000}
        elif kind == "id" and self.core.established:
            highest = max([self.highest, self.core.last_own, (self.ring.sequence_high << 28) + self.ring.sequence])
            fields = {"sequence_id": max(0, highest + data.draw(strategies.integers(-1, 6)))}
            self.own[content] = fields["sequence_id"]
        self.call("send", (content,), self.producer.send(content, **fields))

    @rule(data=strategies.data(), count=strategies.integers(1, 5))
    def send_batch(self, data: Any, count: int) -> None:
        """Several at once."""
        contents = [self.payload(self.size_of(data)) for _ in range(count)]
        self.call("batch", (list(contents), contents), self.producer.send_batch(contents))

    @rule(data=strategies.data(), what=strategies.sampled_from(["flush", "flush", "room", "cancel"]))
    def wait(self, data: Any, what: str) -> None:
        """Somebody waits: for all there is, or for room; or does not want to any more."""
        if what == "flush":
            self.call("flush", list(self.accepted), self.producer.flush())
        elif what == "room":
            self.call("room", None, self.producer.room(self.size_of(data)))
        elif self.world.tasks:
            data.draw(strategies.sampled_from(self.world.tasks)).cancel()
        self.after()

    @precondition(lambda self: self.turn > 20 and self.turn % 4 == 0)
    @rule()
    def close(self) -> None:
        """The application has enough."""
        self.call("close", list(self.accepted), self.producer.close())

    # The link

    @precondition(lambda self: self.core.state == IDLE and not self.half)
    @rule(less=strategies.booleans())
    def attach(self, less: bool = False) -> None:
        """The supervisor puts it on a link once it may. less: the broker there takes only short messages."""
        if less and not self.link:
            self.largest = _SHORT
        self.pass_time(self.core.wait_before(self.world.now))
        if self.core.state == IDLE and not self.core.wait_before(self.world.now):
            if not self.link:
                self.new_link()
            self.core.attach(self.link.connection, self.world.now)
        self.after()

    @precondition(lambda self: self.link)
    @rule(arrive=strategies.integers(0, 5))
    def lose_the_link(self, arrive: int) -> None:
        """Some of what is on its way arrives, and is not answered."""
        for _ in range(min(arrive, len(self.pipe))):
            self.read("store", 0)
        self.lose(ConnectError("gone"))

    @precondition(lambda self: self.link and not self.half)
    @rule()
    def write_half(self) -> None:
        """The socket takes half a frame."""
        slot = self.core.next_frame(self.link.clock, self.world.now)
        if slot >= 0:
            start, end = self.ring.frame_start(slot), self.ring.frame_end(slot)
            middle = (start + end) // 2
            self.begins(slot)
            self.half = (self.ring.out, middle, end, self.ring.unsent, bytes(self.ring.out[start:middle]))
        self.after()

    @precondition(lambda self: self.link)
    @rule(count=strategies.integers(1, 4))
    def write(self, count: int) -> None:
        """The socket takes a frame or more."""
        if self.half:
            buffer, start, end, behind, written = self.half
            self.half = None
            if self.ring.oldest >= behind:
                self.lose(ConnectError("a message's receipt came while it was written"))
                return
            self.pipe.append(written + bytes(buffer[start:end]))
            self.listen()
        for _ in range(count):
            slot = self.core.next_frame(self.link.clock, self.world.now)
            if slot < 0:
                break
            self.begins(slot)
            self.pipe.append(bytes(self.ring.out[self.ring.frame_start(slot) : self.ring.frame_end(slot)]))
        self.after()

    @precondition(lambda self: self.ring.oldest < self.ring.unsent and not self.half)
    @rule(data=strategies.data(), here=strategies.booleans())
    def damage(self, data: Any, here: bool) -> None:
        """A bit of a frame changes: in memory, or on its way."""
        frames = [index for index, one in enumerate(self.pipe) if isinstance(one, bytes)]
        if here:
            slot = self.ring.oldest % self.ring._slots
            buffer = self.ring.own.get(slot, self.ring.buffer)
            buffer[self.ring.frame_end(slot) - 1] ^= 64
        elif frames:
            index = data.draw(strategies.sampled_from(frames))
            frame = self.pipe[index]
            self.pipe[index] = frame[:-1] + bytes([frame[-1] ^ 64])

    # The broker

    @precondition(lambda self: self.pipe)
    @rule(count=strategies.integers(1, 6), what=_WHAT, code=_CODE)
    def broker_reads(self, count: int, what: str, code: int) -> None:
        """What came; the first of it may be refused."""
        for _ in range(min(count, len(self.pipe))):
            self.read(what, code)
            what = "store"

    def everybody(self, writes: int, reads: int, what: str, code: int, hears: int) -> None:
        """A step of all there are; the first frame that is read may be refused."""
        if self.core.state == IDLE and not self.half:
            self.attach()
        if self.link:
            self.write(writes)
        for _ in range(min(reads, len(self.pipe))):
            of_a_message = isinstance(self.pipe[0], bytes)
            self.read(what if of_a_message else "store", code)
            what = "store" if of_a_message else what
        if hears and self.answers:
            self.client_hears(hears, False)

    # Twice, so that it is likelier than what brings trouble.
    go_on = _STEP(everybody)
    go_on_more = _STEP(everybody)

    @precondition(lambda self: self.link and self.listening and self.turn % 3 == 0)
    @rule()
    def broker_closes(self) -> None:
        """The topic moves."""
        self.listening = False
        self.answer(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)

    @precondition(lambda self: self.answers)
    @rule(count=strategies.integers(1, 6), twice=strategies.booleans())
    def client_hears(self, count: int, twice: bool) -> None:
        """What the broker says; receipts perhaps twice."""
        for _ in range(count):
            if self.answers:
                pairs, payloads = self.answers.pop(0)
                if not self.core.connection:
                    self.unheard.update(payloads)  # there is nobody to hear it
                self.say(*pairs)
                if twice and pairs[0] == fake.SEND_RECEIPT and self.link:
                    self.say(*pairs)

    @precondition(lambda self: self.core.state == READY and self.turn % 3 == 0)
    @rule(ahead=strategies.sampled_from([1, 2, 50]))
    def receipt_out_of_step(self, ahead: int) -> None:
        """For what is not the oldest."""
        ring = self.ring
        assume(ring.oldest < ring.unsent)
        first = ring._sequences[ring.oldest % ring._slots]
        try:
            self.say(fake.SEND_RECEIPT, 1, 1, 2, first + ahead, 3, message_id(1), 4, NOWHERE)
        except ProtocolError as error:
            self.lose(error)
        else:
            raise AssertionError("taken")

    # Time

    @rule(milliseconds=strategies.sampled_from([1, 40, 100, 400, 400, _SEND_TIMEOUT, 31000]))
    def pass_time(self, milliseconds: int) -> None:
        """It goes by, and the supervisor looks."""
        self.world.let_pass(milliseconds)
        if self.link:
            self.link.now = self.link.connection.now = self.world.now
            self.link.clock.update(self.world.now)
        if self.core.state != CLOSED:
            wait = self.core.sweep(self.world.now)
            assert wait > 0
        self.after()

    # What always holds

    @invariant()
    def bounded(self) -> None:
        """Numbers in order, lists short."""
        if not hasattr(self, "core"):
            return
        ring, core = self.ring, self.core
        assert ring.oldest <= ring.unsent <= ring.open <= ring.oldest + ring._slots
        held = [number for number in range(ring.oldest, ring.open) if ring.holds(number)]
        assert ring.pending == sum(ring.size_of(number) or 1 for number in held)
        assert ring.pending + ring._count <= ring.max_pending
        assert set(core.tickets) <= {*held, ring.open}
        slots = ring._slots
        assert len(core.suspects) <= slots and len(core.damaged) <= slots and len(core.requeued) <= slots
        assert set(ring.own) <= {number % slots for number in range(ring.oldest, ring.open)}
        assert core.last_sequence_id() in self.confirmed
        if self.link:
            bounded(self.link.connection)

    @invariant()
    def true(self) -> None:
        """No outcome is a lie."""
        for payload, error in self.outcomes.items():
            if error is None:
                assert (
                    payload in self.stored or payload in self.unheard or self.own.get(payload, NOWHERE) <= self.known
                ), "confirmed and lost: %r" % payload[:9]
            elif "unknown" not in str(error):
                assert payload not in self.stored, "stored, and the error denies it: %s" % error

    # The end

    def go_on_well(self) -> None:
        """From now on all is in order, until there is nothing to do."""
        for _ in range(_ROUNDS):
            if self.core.state == IDLE and not self.half:
                self.attach()
            if self.link:
                self.write(4)
            while self.link and self.pipe:
                self.read("store", 0)
            if self.answers:
                self.client_hears(99, False)
            if self.core.state == READY and not self.listening:
                self.lose(ConnectError("it does not listen"))
            if self.core.state == CLOSED or (self.core.state == READY and self.ring.idle() and not self.pipe):
                break
            self.pass_time(50)
        else:
            raise AssertionError("it never ends")

    def teardown(self) -> None:
        try:
            if hasattr(self, "core"):
                self.finish()
        finally:
            self.world.end()

    def finish(self) -> None:
        """All of it comes to its end."""
        self.go_on_well()
        if self.core.state != CLOSED:
            assert self.ring.idle() and not self.ring.own and not self.core.tickets and self.ring.pending == 0
            assert not self.world.tasks, "somebody waits for ever"
            assert all(payload in self.outcomes for payload in self.accepted)
            self.call("close", list(self.accepted), self.producer.close())
            self.go_on_well()
        self.after()
        assert self.core.state == CLOSED and not self.world.tasks, "somebody waits for ever"
        assert all(payload in self.outcomes for payload in self.accepted), "without an outcome"
        self.true()
        moved = self.moved | self.unheard
        order = [self.accepted.index(one) for one in dict.fromkeys(self.stored) if one not in moved]
        assert order == sorted(order), "out of order"
        if self.weeds_out:
            assert len(set(self.stored)) == len(self.stored), "stored twice"
        with pytest.raises(PulsarError):
            self.producer.send_nowait(b"too late")


ProducerLife.TestCase.settings = look(500, 40)
TestProducerLife = patience()(ProducerLife.TestCase)
