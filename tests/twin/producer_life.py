"""What a stateful test of the producer keeps: its application, the link, the broker at the other end, and what became
of each message; the rules that move it are in test_producer_properties.py."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine

import mpy_pulsar.endpoint
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.errors import AlreadyClosed, PulsarError
from mpy_pulsar.producer import Ticket
from tests.twin.broker_model import NOWHERE, Sent, World, read_control
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import message_id

_LOW_MASK = 0xFFFFFFF
_MARGIN = 64  # brokers take frames that much larger and more
_END = b"."  # what damage changes


class Outcome(Ticket):
    """Hears of one batch, and notes what became of its messages."""

    def __init__(self, life: ProducerSides) -> None:
        super().__init__()
        self.life = life
        self.payloads: list[bytes] = []

    def finish(self, message_id: bytes, size: int, error: PulsarError | None) -> None:
        super().finish(message_id, size, error)
        assert size == len(self.payloads) or (size == 0 and len(self.payloads) == 1)
        for payload in self.payloads:
            assert payload not in self.life.outcomes, "a second outcome"
            self.life.outcomes[payload] = error
            self.life.times[payload] = max(self.life.times.get(payload, 0), self.life.turn)


class ProducerSides(RuleBasedStateMachine):
    """A producer and all that is about it; `core`, `ring` and `producer` are there once it has begun."""

    core: Any
    ring: Any
    producer: Any
    persistent: bool
    weeds_out: bool
    messages: int
    largest: int

    def __init__(self) -> None:
        super().__init__()
        self.world = World(mpy_pulsar.endpoint)
        self.turn = 0
        self.link: Any = None
        self.half: Any = None
        """A frame of which half is written: buffer, start, end, the batch behind it, what is written."""
        self.pipe: list[Any] = []
        """What the broker is going to read: frames of SEND, and (name, command)."""
        self.answers: list[tuple[Any, list[bytes]]] = []
        """What the client is going to hear, and the messages that it refuses."""
        self.accepted: list[bytes] = []
        self.outcomes: dict[bytes, PulsarError | None] = {}
        self.times: dict[bytes, int] = {}
        self.calls: dict[Any, tuple[str, Any]] = {}
        self.own: dict[bytes, int] = {}
        self.unwatched: set[bytes] = set()
        """Messages whose refusal only a flush can tell."""
        self.told = -1
        """When a flush told of one last."""
        self.stored: list[bytes] = []
        self.places: dict[bytes, tuple[int, int, int]] = {}
        self.unheard: set[bytes] = set()
        """Messages refused by an answer that a lost link has swallowed: no client can tell."""
        self.moved: set[bytes] = set()
        self.frames: dict[int, bytes] = {}
        self.begun: dict[int, int] = {}
        """How often a frame was begun, by the low part of its first id."""
        self.listening = False
        """Does the broker take what this producer sends?"""
        self.highest = self.session = -1
        self.confirmed: set[int] = set()
        self.number = 0

    # The application

    def ticket(self, batch: int) -> Outcome:
        """What Producer.ticket does, and whose message it is that was taken last."""
        ticket = self.core.tickets.get(batch)
        if ticket is None:
            ticket = self.core.tickets[batch] = Outcome(self)
        kind, content = (
            self.calls.get(asyncio.current_task(), ("", None)) if self.world.loop.is_running() else ("", None)
        )
        if kind == "send":
            self.accept(content[0], ticket)  # pyright: ignore[reportOptionalSubscript]
        elif kind == "batch":
            self.accept(content[0].pop(0), ticket)  # pyright: ignore[reportOptionalSubscript]
        return ticket

    def accept(self, payload: bytes, ticket: Outcome) -> None:
        """The ring has taken it."""
        assert payload not in self.accepted
        self.accepted.append(payload)
        ticket.payloads.append(payload)

    def payload(self, size: int) -> bytes:
        """A message unlike all others."""
        self.number += 1
        return b"%d:" % self.number + bytes(size) + _END

    def size_of(self, data: Any) -> int:
        """Bytes: of a small message, of one that fills the ring, of one larger than that."""
        whole = len(self.ring.buffer)
        some = strategies.sampled_from([0, 0, whole - 220, whole + 50])
        return data.draw(strategies.one_of(some, strategies.integers(0, 60), strategies.integers(0, whole // 3)))

    def call(self, kind: str, content: Any, coroutine: Any) -> None:
        """Somebody calls, and perhaps waits."""
        if len(self.world.tasks) > 8 and kind != "close":
            coroutine.close()
            return
        task = self.world.loop.create_task(coroutine)
        self.calls[task] = (kind, content)
        self.world.tasks.append(task)
        self.after()

    def after(self) -> None:
        """Look at the calls that have ended."""
        self.turn += 1
        ended = self.world.done()
        if any(self.calls[task][0] in ("flush", "close") and (task.cancelled() or task.exception()) for task in ended):
            self.told = self.turn
        for task in ended:
            kind, content = self.calls.pop(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            assert error is None or isinstance(error, (PulsarError, ValueError, asyncio.CancelledError)), repr(error)
            if isinstance(error, asyncio.CancelledError):
                self.left_to_flush(content[-1:] if kind == "send" else content[-1] if kind == "batch" else [])
            elif kind == "send":
                self.answered(content[0], error, task)
            elif kind == "batch" and error and str(error) not in map(str, map(self.outcomes.get, content[1])):
                self.left_to_flush(content[1])  # it ended before all were taken
            elif kind == "batch" and not error:
                for payload, place in zip(content[1], task.result()):
                    assert self.outcomes[payload] is None
                    self.right_place(payload, place)
            elif kind in ("flush", "close"):
                self.flushed(kind, content, error)
        self.listen()

    def left_to_flush(self, payloads: Any) -> None:
        """Nobody waits for them any more: from the next turn on flushes tell."""
        self.unwatched.update(payloads)
        for payload in payloads:
            self.times[payload] = self.turn

    def answered(self, payload: bytes, error: BaseException | None, task: Any) -> None:
        """What `send` says is what became of the message."""
        if payload not in self.accepted:
            assert error is not None
            return
        outcome = self.outcomes[payload]
        assert str(outcome) == str(error)
        if error is None:
            self.right_place(payload, task.result())

    def right_place(self, payload: bytes, place: MessageId) -> None:
        """The id is that of the stored message, or of none."""
        if place.entry_id() >= 0 and self.persistent:
            assert (place.entry_id(), place.batch_index(), place.batch_size()) == self.places[payload]

    def flushed(self, kind: str, before: list[bytes], error: BaseException | None) -> None:
        """A flush has waited for all there was, and told of refusals that nobody else hears of."""
        if kind == "flush" or error is None:
            assert all(payload in self.outcomes for payload in before)
        if any(call[0] == "close" for call in self.calls.values()):
            return  # which tells of it at its end
        for payload in before:
            if payload in self.unwatched and self.outcomes.get(payload):
                closed = isinstance(self.outcomes[payload], AlreadyClosed)
                assert closed or not self.told < self.times[payload] < self.turn, "a refusal that nobody was told of"

    # The link

    def listen(self) -> None:
        """What the client has to say goes on its way; never in the middle of a frame."""
        if self.link and not self.half:
            control = self.link.connection.control
            while control:
                self.pipe.append(read_control(control.pop(0)))

    def new_link(self) -> None:
        """A link to a broker in order."""
        self.link = fake.Broker(now=self.world.now, connected=False)
        self.link.connection.speculation = 0
        self.link.connection.start("none", None)
        self.link.say(fake.CONNECTED, 1, "fake", 2, 21, 3, self.largest)
        self.link.connection.control.clear()

    def lose(self, error: PulsarError) -> None:
        """The link is gone, with what it had still to bring."""
        for _, payloads in self.answers:
            self.unheard.update(payloads)
        self.pipe, self.answers, self.half, self.listening = [], [], None, False
        connection, self.link = self.link.connection, None
        for handle in list(connection.handles.values()):
            handle.lost(error, self.world.now)
        self.after()

    def begins(self, slot: int) -> None:
        """A frame is transmitted, at least its beginning."""
        first = self.ring._sequences[slot] & _LOW_MASK
        self.begun[first] = self.begun.get(first, 0) + 1

    # The broker

    def read(self, what: str, code: int) -> None:
        """One command or frame."""
        one = self.pipe.pop(0)
        if isinstance(one, bytes):
            self.read_send(Sent(one), what, code)
            return
        name, command = one
        refused = what == "refuse" and name not in ("close_producer", "lookupTopic")
        if refused:
            self.answer(fake.ERROR, 1, command.request_id, 2, code, 3, "no")
        elif name == "lookupTopic":
            self.answer(fake.LOOKUP_RESPONSE, 1, fake.HERE, 3, 1, 4, command.request_id)
        elif name == "producer":
            self.listening = True
            self.session = -1
            last = self.highest if self.weeds_out else -1
            self.answer(fake.PRODUCER_SUCCESS, 1, command.request_id, 2, "made", 3, last)
        elif name == "close_producer":
            self.listening = False
            self.answer(fake.SUCCESS, 1, command.request_id)
        else:
            raise AssertionError(name)

    def answer(self, kind: int, *pairs: Any, refused: list[bytes] | None = None) -> None:
        """Something is on its way to the client."""
        self.answers.append(((kind, *pairs), refused or []))

    def read_send(self, sent: Sent, what: str, code: int) -> None:
        """Store a frame, or not."""
        assert len(sent.payloads) <= self.messages
        if not self.listening:
            return
        assert sent.first > self.session, "an id that does not rise"
        self.session = sent.last
        known = self.frames.get(sent.first)
        if sent.sound:
            assert sent.size <= self.largest + _MARGIN and sent.metadata.producer_name == "made"
            assert known in (None, sent.frame), "not the frame of before"
            self.frames[sent.first] = sent.frame
            (wanted,) = {self.own.get(payload, sent.first) for payload in sent.payloads}
            assert wanted == sent.first or sent.payloads[0] in self.moved
        if what == "push" and code in (9, 22):
            code = 2  # which is what a broker says when its storage fails
        refused = [payload[:-1] + _END for payload in sent.payloads]
        if not sent.sound or (what == "refuse" and code == 9):
            self.moved.update(refused)
            self.answer(fake.SEND_ERROR, 1, 1, 2, sent.last, 3, 9, 4, "checksum", refused=refused)
        elif what == "refuse" or what == "push":
            self.listening = code == 22
            if what == "push" and self.weeds_out:
                self.highest = max(self.highest, sent.last)
            self.answer(fake.SEND_ERROR, 1, 1, 2, sent.last, 3, code, 4, "no", refused=refused)
        elif (self.weeds_out and sent.first <= self.highest) or (
            what == "drop" and self.begun[sent.first & _LOW_MASK] == 1
        ):
            self.receipt(sent, NOWHERE, [one for one in refused if one not in self.stored])
        else:
            self.highest = max(self.highest, sent.last)
            self.stored += sent.payloads
            for index, payload in enumerate(sent.payloads):
                place = (index, len(sent.payloads)) if sent.batched else (-1, 0)
                self.places[payload] = (len(self.stored), *place)  # pyright: ignore[reportArgumentType]
            self.receipt(sent, len(self.stored) if self.persistent else 0)

    def receipt(self, sent: Sent, entry: int, dropped: list[bytes] | None = None) -> None:
        """It is on its way."""
        self.confirmed.add(sent.last)
        ledger = NOWHERE if entry == NOWHERE else 7 if self.persistent else 0
        self.answer(fake.SEND_RECEIPT, 1, 1, 2, sent.first, 3, message_id(entry, ledger), 4, NOWHERE, refused=dropped)

    def say(self, *pairs: Any) -> None:
        """A broker in order never costs the link."""
        self.link.now = self.world.now
        self.link.say(*pairs)
        self.after()
