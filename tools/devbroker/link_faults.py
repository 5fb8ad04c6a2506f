"""Faults of the link: what happens to bytes, to time and to connections. See `faults`."""

import asyncio
import random
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tools.devbroker.faults import Action, Fault, FaultError
from tools.devbroker.frames import BaseCommand, Frame, encode, new_command

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker
    from tools.devbroker.session import Session

_HOLDS_BACK = 1
_AFTER_HOLDING_BACK = 2
_NEVER = 1 << 62


@dataclass(eq=False, kw_only=True)
class Cut(Action):
    """Cuts the link after so many bytes `received` or `sent` (counted on each link from when the fault was set), or at
    the command `on`, before it is handled or leaves; at once with none of these. `rst`: with a TCP reset.
    """

    NAME = "cut"
    ORDER = _AFTER_HOLDING_BACK

    received: int | None = None
    sent: int | None = None
    rst: bool = False

    def check(self) -> None:
        """One way to say when."""
        if sum(way is not None for way in (self.received, self.sent, self.on)) > 1:
            raise FaultError("the fault cut takes one of received, sent and on")
        self._left: dict[Session, int] = {}

    @property
    def acts_at_once(self) -> bool:
        """Whether nothing says when."""
        return self.received is None and self.sent is None and self.on is None

    def act(self, session: "Session") -> None:
        """Let what was sent before leave, then cut."""
        session.flush()
        session.cut(self.rst)

    def _reached(self, session: "Session", limit: int | None, data: bytes) -> bytes | None:
        """The bytes before the cut, None if it is not reached."""
        if limit is None or self.exhausted or not self.matches(session):
            return None
        left = self._left.setdefault(session, limit)
        if len(data) < left:
            self._left[session] = left - len(data)
            return None
        self._left[session] = _NEVER
        return data[:left] if self.strikes(session) else None

    def bytes_in(self, session: "Session", data: bytes) -> bytes:
        """Count; the bytes before the cut are still looked at, nothing is answered any more."""
        before = self._reached(session, self.received, data)
        if before is None:
            return data
        asyncio.get_running_loop().call_soon(session.cut, self.rst)
        return before

    def bytes_out(self, session: "Session", data: bytes) -> bytes:
        """Count; the bytes before the cut still leave."""
        before = self._reached(session, self.sent, data)
        if before is None:
            return data
        session.write(before)
        session.cut(self.rst)
        return b""

    def link_closed(self, session: "Session") -> None:
        """Stop counting there."""
        self._left.pop(session, None)


@dataclass(eq=False, kw_only=True)
class Delay(Fault):
    """Holds answers back for `seconds`: those of the type `on`, or everything that leaves. Commands of the type given
    never overtake each other.
    """

    NAME = "delay"
    ORDER = _HOLDS_BACK

    seconds: float = 1.0

    def check(self) -> None:
        """Begin with nothing held."""
        self._held: dict[Session, deque[tuple[float, Any, bytes]]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is held."""
        return any(self._held.values())

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Hold it, also behind one that is held already."""
        if self.trigger not in (None, command.type):
            return payload
        held = self._held.setdefault(session, deque())
        loop = asyncio.get_running_loop()
        if self.strikes_command(session, command):
            due = loop.time() + self.seconds
        elif held:
            due = held[-1][0]
        else:
            return payload
        held.append((due, command, payload))
        loop.call_at(due, self._release, session)
        return None

    def _release(self, session: "Session") -> None:
        held = self._held.get(session)
        if held:
            _due, command, payload = held.popleft()
            session.send_past(self, command, payload)
        session.broker.faults.tidy()

    def removed(self, broker: "DevBroker") -> None:
        """Let go of all that is held."""
        for session, held in list(self._held.items()):
            while held:
                self._release(session)

    def link_closed(self, session: "Session") -> None:
        """Forget what was held there."""
        self._held.pop(session, None)


@dataclass(eq=False, kw_only=True)
class LateReceipt(Delay):
    """Holds SEND_RECEIPTs back for `seconds`, in their order."""

    NAME = "late_receipt"

    on: str | None = "SEND_RECEIPT"


@dataclass(eq=False, kw_only=True)
class Dribble(Fault):
    """Everything leaves in pieces of `size` bytes, one every `ms` milliseconds. What is held when the link is closed is
    lost. `times` and `after` count links.
    """

    NAME = "dribble"
    ORDER = _HOLDS_BACK

    size: int = 1
    ms: float = 10

    def check(self) -> None:
        """A piece has at least a byte."""
        if self.size < 1:
            raise FaultError("the fault dribble needs a size of 1 or more")
        self._held: dict[Session, bytearray] = {}
        self._spared: set[Session] = set()

    @property
    def busy(self) -> bool:
        """Whether a link it struck is still there."""
        return bool(self._held)

    def bytes_out(self, session: "Session", data: bytes) -> bytes:
        """Hold it; the first piece leaves at once."""
        held = self._held.get(session)
        if held is None:
            if session in self._spared or not self.strikes(session):
                self._spared.add(session)
                return data
            self._held[session] = held = bytearray()
        idle = not held
        held += data
        if idle:
            asyncio.get_running_loop().call_soon(self._release, session)
        return b""

    def _release(self, session: "Session") -> None:
        held = self._held.get(session)
        if not held or session.closed:
            return
        piece = bytes(held[: self.size])
        del held[: self.size]
        session.write_past(self, piece)
        if held:
            asyncio.get_running_loop().call_later(self.ms / 1000, self._release, session)

    def removed(self, broker: "DevBroker") -> None:
        """Let go of all that is held."""
        for session, held in self._held.items():
            session.write_past(self, bytes(held))
        self._held.clear()

    def link_closed(self, session: "Session") -> None:
        """Forget what was held there."""
        self._held.pop(session, None)
        self._spared.discard(session)


@dataclass(eq=False, kw_only=True)
class Silence(Fault):
    """Takes everything and answers nothing, not even PING; the broker's own PINGs stop too. `handled`: commands have
    their effect, only the answers are lost.
    """

    NAME = "silence"

    handled: bool = False

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Drop it, unless only answers are lost."""
        return self.handled or not self.strikes_command(session, frame.command)

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Drop it."""
        if self.handled:
            silent = self.strikes_command(session, command)
        else:
            topic = session.broker.faults.topic_of(session, command)
            silent = self.matches(session, topic) and self.seen >= self.after
        return None if silent else payload

    def silences(self, session: "Session") -> bool:
        """A dead broker neither asks nor closes."""
        return self.link in (None, session.number) and self.topic is None


@dataclass(eq=False, kw_only=True)
class Refuse(Fault):
    """Nobody listens: new connections are refused, those there are stay."""

    NAME = "refuse"

    def check(self) -> None:
        """It has neither links nor occasions."""
        if (self.on, self.topic, self.link, self.times, self.after) != (None, None, None, None, 0):
            raise FaultError("the fault refuse takes only lasting; reset takes times and after as well")

    def added(self, broker: "DevBroker") -> None:
        """Close the listeners."""
        broker.stop_listening()

    def restarted(self, broker: "DevBroker") -> None:
        """Close the new ones too."""
        broker.stop_listening()

    def removed(self, broker: "DevBroker") -> None:
        """Listen again."""
        broker.resume_listening()


@dataclass(eq=False, kw_only=True)
class Reset(Fault):
    """New connections are accepted and reset at once."""

    NAME = "reset"

    def link_opened(self, session: "Session") -> None:
        """Reset it."""
        if self.strikes(session):
            session.cut(True)


@dataclass(eq=False, kw_only=True)
class Oversize(Action):
    """Announces a frame of `size` bytes, of which `fill` says whether they follow (zeroes); else all that is sent
    later counts as part of it. At once, or before the command `on`.
    """

    NAME = "oversize"

    size: int = 1 << 30
    fill: bool = False

    def act(self, session: "Session") -> None:
        """Send the size, and the start of a frame that looks sound."""
        start = encode(new_command(BaseCommand.PING))[4:]
        rest = bytes(max(0, self.size - len(start))) if self.fill else b""
        session.queue(struct.pack(">I", self.size) + start + rest)


@dataclass(eq=False, kw_only=True)
class Garbage(Action):
    """Sends `size` random bytes (of that `seed`), or the bytes given as `hex`. At once, or before the command `on`."""

    NAME = "garbage"

    size: int = 64
    seed: int = 1
    hex: bytes = b""

    def act(self, session: "Session") -> None:
        """Send them."""
        session.queue(self.hex or random.Random(self.seed).randbytes(self.size))
