"""Faults of single commands: wrong answers, none at all, and closes. See `faults`."""

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c

from tools.devbroker.faults import Action, Fault, FaultError, topic_of_handle
from tools.devbroker.frames import (
    NO_ID,
    BaseCommand,
    Frame,
    ServerError,
    api,
    content,
    new_command,
    split_entry,
    type_name,
)

from tools.devbroker.lookup_commands import url_field
from tools.devbroker.access import Producer
from tools.devbroker.consumers import Consumer

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker
    from tools.devbroker.session import Session
    from tools.devbroker.topic import Topic, Write

_LOOKUP = api.CommandLookupTopicResponse
_METADATA = api.CommandPartitionedTopicMetadataResponse
_ID_FIELDS = {BaseCommand.SEND_RECEIPT: "sequence_id", BaseCommand.MESSAGE: "consumer_id"}


def error_answer(command: Any, code: int, text: str) -> Any:
    """The command that refuses that one. Raises FaultError for commands that are never answered with an error."""
    message = content(command)
    if command.type == BaseCommand.SEND:
        highest = message.highest_sequence_id if message.HasField("highest_sequence_id") else 0
        return new_command(
            BaseCommand.SEND_ERROR,
            producer_id=message.producer_id,
            sequence_id=max(highest, message.sequence_id),
            error=code,
            message=text,
        )
    if command.type == BaseCommand.CONNECT:
        return new_command(BaseCommand.ERROR, request_id=NO_ID, error=code, message=text)
    if "request_id" not in message.DESCRIPTOR.fields_by_name:
        raise FaultError(f"{type_name(command)} is never answered with an error")
    fields = {"request_id": message.request_id, "error": code, "message": text}
    if command.type == BaseCommand.LOOKUP:
        return new_command(BaseCommand.LOOKUP_RESPONSE, response=_LOOKUP.Failed, **fields)
    if command.type == BaseCommand.PARTITIONED_METADATA:
        return new_command(BaseCommand.PARTITIONED_METADATA_RESPONSE, response=_METADATA.Failed, **fields)
    if command.type == BaseCommand.ACK:
        return new_command(BaseCommand.ACK_RESPONSE, consumer_id=message.consumer_id, **fields)
    if command.type == BaseCommand.GET_SCHEMA:
        schema = {"request_id": message.request_id, "error_code": code, "error_message": text}
        return new_command(BaseCommand.GET_SCHEMA_RESPONSE, **schema)
    return new_command(BaseCommand.ERROR, **fields)


def error_code(name: str) -> int:
    """The number of a ServerError, from its name or its number. Raises FaultError."""
    try:
        return int(name) if name.isdigit() else ServerError.Value(name)
    except ValueError:
        raise FaultError(f"there is no error {name!r}; there are {', '.join(ServerError.keys())}") from None


@dataclass(eq=False, kw_only=True)
class Error(Fault):
    """Answers the command `on` with the error `code` (name or number) and `text` instead of handling it. CONNECT: the
    link is closed then. An ACK without request id has no answer and is dropped.
    """

    NAME = "error"
    NEEDS = ("on", "code")

    code: str | int | None = None
    text: str = "a fault of the development broker"

    def check(self) -> None:
        """Is the command ever answered, and does the error exist?"""
        self._number = error_code(str(self.code))
        assert self.trigger is not None
        error_answer(new_command(self.trigger), self._number, self.text)

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Answer with the error."""
        if not self.strikes_command(session, frame.command):
            return True
        message = content(frame.command)
        if frame.command.type != BaseCommand.ACK or message.HasField("request_id"):
            session.send_command(error_answer(frame.command, self._number, self.text))
        if frame.command.type == BaseCommand.CONNECT:
            session.close(str(self))
        return False


@dataclass(eq=False, kw_only=True)
class Swallow(Fault):
    """Drops the command `on` without a word, be it a client's (SEND, ACK) or an answer (SEND_RECEIPT)."""

    NAME = "swallow"
    NEEDS = ("on",)

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Drop it."""
        return not self.strikes_command(session, frame.command)

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Drop it."""
        return None if self.strikes_command(session, command) else payload


@dataclass(eq=False, kw_only=True)
class _Close(Action):
    url: str = ""
    tls_url: str = ""

    @property
    def assigned(self) -> tuple[str, str]:
        """What the command names as the place to go."""
        return self.url, self.tls_url

    def wanted(self, handle: Producer | Consumer) -> bool:
        """Whether that producer or consumer is meant."""
        return self.topic in (None, topic_of_handle(handle))


@dataclass(eq=False, kw_only=True)
class CloseProducer(_Close):
    """CLOSE_PRODUCER to every producer of the link (and the topic), with `url` and `tls_url` as
    assignedBrokerServiceUrl and ...UrlTls. At once, or before the command `on`.
    """

    NAME = "close_producer"

    def act(self, session: "Session") -> None:
        """Close them."""
        for producer in list(session.producers.values()):
            if producer is not None and self.wanted(producer):
                session.close_producer(producer, self.assigned)


@dataclass(eq=False, kw_only=True)
class CloseConsumer(_Close):
    """CLOSE_CONSUMER likewise."""

    NAME = "close_consumer"

    def act(self, session: "Session") -> None:
        """Close them."""
        for consumer in list(session.consumers.values()):
            if consumer is not None and self.wanted(consumer):
                session.close_consumer(consumer, self.assigned)
                consumer.subscription.remove(consumer)
                consumer.subscription.topic.drop_if_unused(consumer.subscription)


@dataclass(eq=False, kw_only=True)
class BadChecksum(Fault):
    """MESSAGE arrives with a wrong checksum, every other byte as it was sent."""

    NAME = "bad_checksum"

    on: str | None = "MESSAGE"

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Break it."""
        if not payload or not self.strikes_command(session, command):
            return payload
        checked = payload[split_entry(payload).checked_from :]
        return b"\x0e\x01" + (google_crc32c.value(checked) ^ 1).to_bytes(4, "big") + checked


@dataclass(eq=False, kw_only=True)
class WrongId(Fault):
    """Adds `shift` to an id of the outgoing command `on`: to `field`, which is sequence_id of SEND_RECEIPT, consumer_id
    of MESSAGE, else request_id. `extra`: the wrong one is sent besides the right one, before it.
    """

    NAME = "wrong_id"
    NEEDS = ("on",)

    field: str = ""
    shift: int = 1
    extra: bool = False

    def check(self) -> None:
        """Does the command have that field?"""
        assert self.trigger is not None
        self._field = self.field or _ID_FIELDS.get(self.trigger, "request_id")
        if self._field not in content(new_command(self.trigger)).DESCRIPTOR.fields_by_name:
            raise FaultError(f"{self.on} has no field {self._field}")

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Change it, or a copy."""
        if not self.strikes_command(session, command):
            return payload
        wrong = command
        if self.extra:
            wrong = BaseCommand()
            wrong.CopyFrom(command)
        message = content(wrong)
        setattr(message, self._field, (getattr(message, self._field) + self.shift) % 2**64)
        if self.extra:
            session.emit(wrong, payload)
        return payload


@dataclass(eq=False, kw_only=True)
class FailedWrite(Fault):
    """SEND is pushed, and after `seconds` its write fails: all producers of the topic are closed, then SEND_ERROR
    PersistenceError. SENDs that come meanwhile fail with it. With deduplication their ids count until then, and are
    then taken back. Cleared, what is under way fails at once.
    """

    NAME = "failed_write"

    seconds: float = 0.0

    def check(self) -> None:
        """Begin with nothing under way."""
        self._pending: dict[Topic, list[Write]] = {}

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return bool(self._pending)

    def takes_write(self, session: "Session", write: "Write") -> bool:
        """Let it fail in its time."""
        under_way = write.topic in self._pending
        if not under_way and not self.strikes(session, write.topic.name.full):
            return False
        self._pending.setdefault(write.topic, []).append(write)
        if not under_way:
            asyncio.get_running_loop().call_later(self.seconds, self._fail, session.broker, write.topic)
        return True

    def _fail(self, broker: "DevBroker", topic: "Topic") -> None:
        for write in self._pending.pop(topic, ()):
            write.fail("the write failed, a fault of the development broker")
        broker.faults.tidy()

    def removed(self, broker: "DevBroker") -> None:
        """What is under way fails now."""
        for topic in list(self._pending):
            self._fail(broker, topic)


@dataclass(eq=False, kw_only=True)
class Redirect(Fault):
    """Answers LOOKUP with a Redirect to `url`, to the broker itself if not given, which never ends."""

    NAME = "redirect"

    on: str | None = "LOOKUP"
    url: str = ""
    authoritative: bool = False

    def command_in(self, session: "Session", frame: Frame) -> bool:
        """Redirect."""
        if not self.strikes_command(session, frame.command):
            return True
        urls = [self.url] if self.url else [url for url in session.broker.urls() if url]
        session.send(
            BaseCommand.LOOKUP_RESPONSE,
            request_id=frame.command.lookupTopic.request_id,
            response=_LOOKUP.Redirect,
            authoritative=self.authoritative,
            **{url_field(url): url for url in urls},
        )
        return False


@dataclass(eq=False, kw_only=True)
class Misplace(Fault):
    """LOOKUP's answer names `url` as the topic's broker; not given, a place where connections are refused."""

    NAME = "misplace"

    on: str | None = "LOOKUP_RESPONSE"
    url: str = ""

    def added(self, broker: "DevBroker") -> None:
        """Take a port on which nobody listens, so that nobody else does."""
        self._taken = None
        if not self.url:
            self._taken = socket.socket()
            self._taken.bind(("127.0.0.1", 0))
            self.url = f"pulsar://127.0.0.1:{self._taken.getsockname()[1]}"

    def removed(self, broker: "DevBroker") -> None:
        """Give the port back."""
        if self._taken:
            self._taken.close()

    def command_out(self, session: "Session", command: Any, payload: bytes) -> bytes | None:
        """Change the address."""
        answer = command.lookupTopicResponse
        if answer.response == _LOOKUP.Connect and self.strikes_command(session, command):
            answer.ClearField("brokerServiceUrl")
            answer.ClearField("brokerServiceUrlTls")
            setattr(answer, url_field(self.url), self.url)
        return payload
