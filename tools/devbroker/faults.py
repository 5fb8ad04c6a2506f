"""Misbehaviour on command: the table of faults that a broker has at the moment, and the seams where links ask it.

    broker.fault("cut", received=100)                       # in Python: a name and its options
    broker.fault("error on=PRODUCER code=ServiceNotReady")  # the same as one line, for command lines and control ports

The kinds are in `link_faults` (bytes, time, connections) and `command_faults` (answers, closes);
`python -m tools.devbroker --help` names them all with their options. Every kind takes these as well:

- `on`: the command it waits for, such as SEND; what comes from clients and what goes to them alike.
- `topic`, `link`: only that topic (any form of its name), only that link (`Session.number`, from 1).
- `after`: so many occasions pass unharmed first; `times`: how often it strikes, for ever if not given.
- `lasting`: seconds until it is cleared by itself.

Normal handlers know nothing of this. A link (`session`) asks at four seams, bytes in, command in, command out and bytes
out, and when it opens, closes or would send its keep-alive; without any fault that is the look at an empty list.
"""

import asyncio
import dataclasses
import itertools
import logging
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tools.devbroker.frames import BaseCommand, Frame, content
from tools.devbroker.names import InvalidTopicName, TopicName
from tools.devbroker.access import Producer
from tools.devbroker.consumers import Consumer

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker
    from tools.devbroker.session import Session
    from tools.devbroker.topic import Write

log = logging.getLogger(__name__)

KINDS: dict[str, type["Fault"]] = {}
"""Every kind by its name; filled by the modules that define them."""

_YES_OR_NO = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


class FaultError(ValueError):
    """A fault that was described wrongly; the text says what would have been right."""


def _flag(text: str) -> bool:
    try:
        return _YES_OR_NO[text.lower()]
    except KeyError:
        raise ValueError("yes or no") from None


_FROM_TEXT: dict[Any, Any] = {
    int: int,
    int | None: int,
    float: float,
    float | None: float,
    str: str,
    str | None: str,
    str | int | None: str,
    bool: _flag,
    bytes: bytes.fromhex,
}


def command_type(name: str) -> int:
    """The number of a command's type, from its name in any case. Raises FaultError."""
    try:
        return BaseCommand.Type.Value(name.upper())
    except ValueError:
        raise FaultError(f"there is no command {name!r}") from None


@dataclass(eq=False, kw_only=True)
class Fault:
    """One fault: which occasions it strikes, and, in the subclasses, what it does then.

    A subclass overrides some of the seams below. `hits` tells how often it has struck.
    """

    NAME: ClassVar[str] = ""
    ORDER: ClassVar[int] = 0
    """Faults of a lower one are asked first. What holds things back has one of its own, so as to go on behind it."""
    NEEDS: ClassVar[tuple[str, ...]] = ()
    """Options that have to be given."""

    on: str | None = None
    topic: str | None = None
    link: int | None = None
    after: int = 0
    times: int | None = None
    lasting: float | None = None

    def __init_subclass__(cls) -> None:
        """Enter the kind in the table."""
        if cls.NAME:
            KINDS[cls.NAME] = cls

    def __post_init__(self) -> None:
        missing = [name for name in self.NEEDS if getattr(self, name) is None]
        if missing:
            raise FaultError(f"the fault {self.NAME} needs {', '.join(missing)}")
        self.number = 0
        """Its number in the table, from 1."""
        self.hits = 0
        self.seen = 0
        """Occasions so far, those included that passed unharmed."""
        self.trigger = None if self.on is None else command_type(self.on)
        if self.topic is not None:
            self.topic = _full_name(self.topic)
        self.check()

    def check(self) -> None:
        """Raises FaultError for options that contradict each other."""

    @property
    def exhausted(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.times is not None and self.hits >= self.times

    @property
    def busy(self) -> bool:
        """Whether it still has something to do, although it strikes no more."""
        return False

    def matches(self, session: "Session", topic: str | None = None) -> bool:
        """Whether link and topic are those it is aimed at."""
        return self.link in (None, session.number) and self.topic in (None, topic)

    def strikes(self, session: "Session", topic: str | None = None) -> bool:
        """Whether it strikes this occasion, which is counted."""
        if self.exhausted or not self.matches(session, topic):
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.hits += 1
        log.info("%s: fault %d strikes: %s", session.peer, self.number, self)
        return True

    def strikes_command(self, session: "Session", command: Any) -> bool:
        """Whether it strikes at this command."""
        if self.trigger not in (None, command.type):
            return False
        return self.strikes(session, session.broker.faults.topic_of(session, command))

    # Seams

    def added(self, broker: "DevBroker") -> None:
        """It was put into the table of that broker."""

    def restarted(self, broker: "DevBroker") -> None:
        """The broker listens again after a restart."""

    def removed(self, broker: "DevBroker") -> None:
        """It was taken out: cleared, or through with it."""

    def link_opened(self, session: "Session") -> None:
        """A client has connected."""

    def link_closed(self, session: "Session") -> None:
        """The link is gone."""

    def bytes_in(self, session: "Session", data: bytes) -> bytes:
        """Bytes have arrived; returns those to be looked at."""
        return data

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """A command has arrived; returns whether it shall be handled."""
        return True

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """A command shall leave and may be changed; returns its payload, None if it shall not leave now."""
        return payload

    def bytes_out(self, session: "Session", data: bytes) -> bytes:
        """Bytes shall leave; returns those to be written now."""
        return data

    def takes_write(self, session: "Session", write: "Write") -> bool:
        """A SEND was pushed; returns whether this fault will end its write."""
        return False

    def silences(self, session: "Session") -> bool:
        """Whether the broker's own keep-alive is off on that link."""
        return False

    def __str__(self) -> str:
        options = (
            (field.name, getattr(self, field.name), field.default) for field in dataclasses.fields(self)
        )
        words = [f"{name}={option_text(value)}" for name, value, default in options if value != default]
        return " ".join([self.NAME, *words])


@dataclass(eq=False, kw_only=True)
class Action(Fault):
    """A fault that is one deed: done at the command `on`, or without it at once, on every link that matches."""

    @property
    def acts_at_once(self) -> bool:
        """Whether it waits for nothing."""
        return self.trigger is None

    def act(self, session: "Session") -> None:
        """Do it."""
        raise NotImplementedError

    def added(self, broker: "DevBroker") -> None:
        """Do it on the links there are, and be through."""
        if not self.acts_at_once:
            return
        for session in sorted(broker.sessions, key=lambda session: session.number):
            topic = self.topic if self.topic in session.open_topics else None
            if self.strikes(session, topic):
                self.act(session)
        broker.faults.clear(self)

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Act before the command is handled."""
        if self.trigger is not None and self.strikes_command(session, frame.command):
            self.act(session)
        return not session.closed

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Act before the command leaves."""
        if self.trigger is not None and self.strikes_command(session, command):
            self.act(session)
        return payload


class FaultTable:
    """The faults of one broker."""

    def __init__(self, broker: "DevBroker") -> None:
        self.active: list[Fault] = []
        """In the order they are asked. Empty, nothing is asked."""
        self._broker = broker
        self._numbers = itertools.count(1)
        self._request_topics: dict[tuple[Session, int], str | None] = {}

    def add(self, fault: str | Fault, **options: Any) -> Fault:
        """Put a fault in force, in the broker's event loop. Raises FaultError. See `make`."""
        made = fault if isinstance(fault, Fault) else make(fault, **options)
        made.number = next(self._numbers)
        self.active.append(made)
        self.active.sort(key=lambda fault: fault.ORDER)
        if made.lasting is not None:
            asyncio.get_running_loop().call_later(made.lasting, self.clear, made)
        made.added(self._broker)
        return made

    def clear(self, which: Fault | int | str | None = None) -> int:
        """Take out one fault (itself or its number), all of a kind (its name), or all; returns how many."""
        gone = [fault for fault in self.active if which in (None, fault, fault.number, fault.NAME)]
        for fault in gone:
            self.active.remove(fault)
            fault.removed(self._broker)
        self._broker.changed()
        return len(gone)

    def tidy(self) -> None:
        """Take out what is through."""
        for fault in list(self.active):
            if fault.exhausted and not fault.busy:
                self.clear(fault)

    # The link's side

    def link_opened(self, session: "Session") -> None:
        """A client has connected."""
        for fault in list(self.active):
            fault.link_opened(session)
        self.tidy()

    def link_closed(self, session: "Session") -> None:
        """The link is gone."""
        for fault in list(self.active):
            fault.link_closed(session)
        for key in [key for key in self._request_topics if key[0] is session]:
            del self._request_topics[key]
        self.tidy()

    def bytes_in(self, session: "Session", data: bytes) -> bytes:
        """What of the bytes that arrived is to be looked at."""
        for fault in list(self.active):
            data = fault.bytes_in(session, data)
        self.tidy()
        return data

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Whether the command is to be handled."""
        if any(fault.topic for fault in self.active):
            message = content(frame.command)
            if "request_id" in message.DESCRIPTOR.fields_by_name:
                self._request_topics[session, message.request_id] = self.topic_of(session, frame.command)
        handled = all(fault.command_in(session, frame) for fault in list(self.active))
        self.tidy()
        return handled

    def command_out(
        self, session: "Session", command: Any, payload: bytes, past: Fault | None = None
    ) -> bytes | None:
        """The payload a command shall leave with, None if it shall not; `past` has let it go already."""
        left: bytes | None = payload
        for fault in self._following(past):
            left = fault.command_out(session, command, left)
            if left is None:
                break
        self.tidy()
        if left is not None and self._request_topics:
            self._request_topics.pop((session, getattr(content(command), "request_id", -1)), None)
        return left

    def bytes_out(self, session: "Session", data: bytes, past: Fault | None = None) -> bytes:
        """What of these bytes is to be written now; `past` has let them go already."""
        for fault in self._following(past):
            data = fault.bytes_out(session, data)
        self.tidy()
        return data

    def silences(self, session: "Session") -> bool:
        """Whether the broker's own keep-alive is off on that link."""
        return any(fault.silences(session) for fault in self.active)

    def _following(self, past: Fault | None) -> list[Fault]:
        return [fault for fault in self.active if past is None or fault.ORDER > past.ORDER]

    def topic_of(self, session: "Session", command: Any) -> str | None:
        """The topic a command is about, None where it is about none or that is not known."""
        message = content(command)
        fields = message.DESCRIPTOR.fields_by_name
        if "topic" in fields:
            return _full_name(message.topic)
        for field, handles in (("producer_id", session.producers), ("consumer_id", session.consumers)):
            if field in fields:
                handle = handles.get(getattr(message, field))
                return topic_of_handle(handle) if handle else None
        return self._request_topics.get((session, getattr(message, "request_id", -1)))


def push(write: "Write") -> None:
    """Where topics give their writes: a fault of the producer's broker may take one, else it is stored."""
    producer = write.topic.producers.get(write.producer_name)
    if producer is not None:
        session = cast("Session", producer.link)
        if any(fault.takes_write(session, write) for fault in list(session.broker.faults.active)):
            return
    write.complete()


def make(kind: str, **options: Any) -> Fault:
    """A fault, not in force yet: `make("delay", seconds=1)` or `make("delay seconds=1")`. Raises FaultError."""
    try:
        name, *words = shlex.split(kind)
    except ValueError as error:
        raise FaultError(f"{kind!r} is no fault: {error}") from None
    fault_class = KINDS.get(name)
    if fault_class is None:
        raise FaultError(f"there is no fault {name!r}; there are {', '.join(sorted(KINDS))}")
    types = {field.name: field.type for field in dataclasses.fields(fault_class)}
    given: dict[str, Any] = {}
    for word in words:
        option, separator, text = word.partition("=")
        if not separator:
            raise FaultError(f"{word!r} is no option: say name=value")
        given[option] = text
    for option in given | options:
        if option not in types:
            raise FaultError(f"the fault {name} has no option {option!r}; it has {', '.join(types)}")
    for option, text in given.items():
        try:
            given[option] = _FROM_TEXT[types[option]](text)
        except ValueError as error:
            raise FaultError(f"{option}={text} of the fault {name}: {error}") from None
    return fault_class(**given, **options)


def topic_of_handle(handle: Producer | Consumer) -> str:
    """The full name of the topic a producer or consumer is open on."""
    topic = handle.topic if isinstance(handle, Producer) else handle.subscription.topic
    return topic.name.full


def _full_name(topic: str) -> str:
    try:
        return TopicName.parse(topic).full
    except InvalidTopicName:
        return topic


def option_text(value: Any) -> str:
    """An option's value as it is written in a description."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shlex.quote(value.hex() if isinstance(value, bytes) else str(value)) if value != "" else '""'
