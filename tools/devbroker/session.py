"""One client link: framing, handshake, keep-alive, and the way of a command to its handler.

The handlers live in rooms of their own, by subject; each room has a table `HANDLERS` from command type to function.
A handler raises `Refused` for what is answered with an error and `ProtocolViolation` for what costs the link. Anything
else that goes wrong in one is logged with its traceback and costs that link too, never the broker.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from tools.devbroker import consumer_commands, handshake, lookup_commands, producer_commands, schema_commands
from tools.devbroker.faults import Fault, topic_of_handle
from tools.devbroker.frames import (
    NO_ID,
    BaseCommand,
    Frame,
    FrameSplitter,
    ProtocolViolation,
    Refused,
    ServerError,
    content,
    encode_head,
    new_command,
    type_name,
)
from tools.devbroker.access import Producer
from tools.devbroker.subscription import Consumer, Delivery
from tools.devbroker.token_refresh import TokenRefresh

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker

log = logging.getLogger(__name__)

Assigned = tuple[str, str]
"""The URLs, plain and TLS, of the broker that a topic moves to; empty where there are none."""
Handler = Callable[["Session", Any, bytes], None]

HANDLERS: dict[int, Handler] = {
    **handshake.HANDLERS,
    **lookup_commands.HANDLERS,
    **producer_commands.HANDLERS,
    **consumer_commands.HANDLERS,
    **schema_commands.HANDLERS,
}
_REQUESTS_NOT_SUPPORTED = {
    BaseCommand.CONSUMER_STATS,
    BaseCommand.NEW_TXN,
    BaseCommand.ADD_PARTITION_TO_TXN,
    BaseCommand.ADD_SUBSCRIPTION_TO_TXN,
    BaseCommand.END_TXN,
    BaseCommand.TC_CLIENT_CONNECT_REQUEST,
    BaseCommand.WATCH_TOPIC_LIST,
    BaseCommand.WATCH_TOPIC_LIST_CLOSE,
}
_CLOSING_SECONDS = 5
"""How long a closed link may take to read what was sent before."""
_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing then means a reset."""
_FLUSH_BYTES = 64 * 1024
_WRITE_HIGH_WATER = 1024 * 1024
_READING_STOPS_AT = 16 * 1024 * 1024
"""Answers a peer has not read, in bytes, beyond which nothing more is read from it."""


class Session(asyncio.Protocol):
    """A link to one client. Made by the server for every accepted connection."""

    def __init__(self, broker: "DevBroker") -> None:
        self.broker = broker
        self.peer = "?"
        self.number = broker.next_session_number()
        """Counts the links of this broker, from 1."""
        self.connected = False
        """Whether CONNECTED was sent."""
        self.role: str | None = None
        """The subject of the client's token, None without authentication."""
        self.protocol_version = 0
        self.producers: dict[int, Producer | None] = {}
        """By producer id; None while it waits for its name to become free."""
        self.consumers: dict[int, Consumer | None] = {}
        """By consumer id; None while it waits for its place in the subscription."""
        self.refresh: TokenRefresh | None = None
        """What sees to an expiring token, None where nothing does."""
        self.writable = True
        """False while the peer reads more slowly than the broker writes."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = FrameSplitter(broker.max_message_size)
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._flush_scheduled = False
        self._reading = True
        self._waiting_for_pong = False
        self._tick: asyncio.TimerHandle | None = None
        self._probe: asyncio.Future[bool] | None = None
        self._recently_closed: dict[int, Producer] = {}
        """By id, the producers that the broker closed within the last keep-alive interval."""

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server accepted the connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else "?"
        self.broker.session_opened(self)
        self._schedule_tick()
        if self.broker.faults.active:
            self.broker.faults.link_opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came in: handle every command they complete."""
        if self.closed:
            return
        self._waiting_for_pong = False
        self._answer_probe(True)
        faults = self.broker.faults
        if faults.active:
            data = faults.bytes_in(self, data)
        try:
            for frame in self._splitter.feed(data):
                if not faults.active or faults.command_in(self, frame):
                    self.handle(frame)
                if self.closed:
                    return
        except ProtocolViolation as violation:
            self.close(str(violation))
        except UnicodeDecodeError as error:
            self.close(f"text that is not UTF-8: {error}")
        except Exception:
            log.exception("%s: a command failed in the broker itself", self.peer)
            self.close("error in the broker")
        finally:
            self.broker.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: its producers and consumers are too."""
        self._transport = None
        if self._tick:
            self._tick.cancel()
        self._answer_probe(False)
        if self.refresh:
            self.refresh.stop()
        self.broker.faults.link_closed(self)
        producers = [producer for producer in self.producers.values() if producer]
        self.producers.clear()
        for producer in producers:
            producer.topic.remove_producer(producer)
        consumers = [consumer for consumer in self.consumers.values() if consumer]
        self.consumers.clear()
        for consumer in consumers:
            consumer.subscription.remove(consumer)
            consumer.subscription.topic.drop_if_unused(consumer.subscription)
        self.broker.session_closed(self)
        log.info("%s: link closed%s", self.peer, f" ({exc})" if exc else "")

    def pause_writing(self) -> None:
        """The peer reads too slowly: no more messages until it has caught up."""
        self.writable = False

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self.writable = True
        if not self._reading and self._transport:
            self._reading = True
            self._transport.resume_reading()
        for consumer in list(self.consumers.values()):
            if consumer:
                consumer.subscription.dispatch()

    # Commands

    def handle(self, frame: Frame) -> None:
        """Hand one command to its handler; answer what it refuses."""
        command = frame.command
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: > %s", self.peer, type_name(command))
        if not self.connected and command.type != BaseCommand.CONNECT:
            raise ProtocolViolation(f"{type_name(command)} before CONNECT")
        handler = HANDLERS.get(command.type)
        message = content(command)
        if handler is None:
            if command.type not in _REQUESTS_NOT_SUPPORTED:
                raise ProtocolViolation(f"{type_name(command)} is not for a client to send")
            text = f"{type_name(command)} is not supported by the development broker"
            self.send_error(message.request_id, ServerError.NotAllowedError, text)
            return
        if self._is_ignored(command.type, message):
            log.info("%s: %s ignored, its topic moves or has moved away", self.peer, type_name(command))
            return
        try:
            handler(self, message, frame.payload)
        except Refused as refusal:
            self.send_error(message.request_id, refusal.code, refusal.text)

    def _is_ignored(self, type_number: int, message: Any) -> bool:
        """Whether it is a SEND for a producer the broker has just closed, or SEND or ACK of a topic in transfer."""
        if type_number == BaseCommand.SEND:
            handle = self.producers.get(message.producer_id)
            if handle is None:
                return message.producer_id in self._recently_closed
        elif type_number == BaseCommand.ACK:
            handle = self.consumers.get(message.consumer_id)
        else:
            return False
        transferring = self.broker.placement.transferring
        return bool(transferring) and handle is not None and topic_of_handle(handle) in transferring

    def send(self, type_number: int, **fields: Any) -> None:
        """Send a command of that type; `fields` are those of its content."""
        self.send_command(new_command(type_number, **fields))

    def send_command(self, command: Any, payload: bytes = b"") -> None:
        """Send a finished BaseCommand, and what follows it in a MESSAGE."""
        if self.broker.faults.active:
            self.send_past(None, command, payload)
        else:
            self.emit(command, payload)

    def send_past(self, fault: Fault | None, command: Any, payload: bytes) -> None:
        """Send what that fault has let go, if the faults after it do too; None: ask them all."""
        allowed = self.broker.faults.command_out(self, command, payload, fault)
        if allowed is not None:
            self.emit(command, allowed)

    def emit(self, command: Any, payload: bytes) -> None:
        """Queue a command, asking no fault."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: < %s", self.peer, type_name(command))
        self.queue(encode_head(command, len(payload)))
        if payload:
            self.queue(payload)

    def send_error(self, request_id: int, code: int, text: str) -> None:
        """Send ERROR."""
        log.info("%s: refused, error %d: %s", self.peer, code, text)
        self.send(BaseCommand.ERROR, request_id=request_id, error=code, message=text)

    def deliver(self, consumer: Consumer, delivery: Delivery) -> None:
        """Send MESSAGE (part of the subscriptions' view of a link)."""
        self.send_command(consumer_commands.message_command(consumer, delivery), delivery.entry.data)

    def tell_active(self, consumer: Consumer, active: bool) -> None:
        """Send ACTIVE_CONSUMER_CHANGE (part of the subscriptions' view of a link)."""
        consumer_commands.tell_active(self, consumer, active)

    def tell_end_of_topic(self, consumer: Consumer) -> None:
        """Send REACHED_END_OF_TOPIC (part of the subscriptions' view of a link)."""
        consumer_commands.tell_end_of_topic(self, consumer)

    def end_waiting(self, producer: Producer, refusal: Refused | None) -> None:
        """Send the second answer to PRODUCER (part of the topics' view of a link)."""
        producer_commands.end_waiting(self, producer, refusal)

    def drop_producer(self, producer: Producer) -> None:
        """Forget a fenced producer without a word (part of the topics' view of a link)."""
        self.producers.pop(producer.producer_id, None)

    def close_consumer(self, consumer: Consumer, assigned: Assigned = ("", "")) -> None:
        """Send CLOSE_CONSUMER (part of the subscriptions' view of a link), with the broker's URLs to go to, if any."""
        self.consumers.pop(consumer.consumer_id, None)
        fields = _assigned_urls(assigned)
        self.send(BaseCommand.CLOSE_CONSUMER, consumer_id=consumer.consumer_id, request_id=NO_ID, **fields)

    def close_producer(self, producer: Producer, assigned: Assigned = ("", "")) -> None:
        """Close a producer from the broker's side; SENDs for it are ignored for one keep-alive interval."""
        self.producers.pop(producer.producer_id, None)
        producer.topic.remove_producer(producer)
        fields = _assigned_urls(assigned)
        self.send(BaseCommand.CLOSE_PRODUCER, producer_id=producer.producer_id, request_id=NO_ID, **fields)
        self._recently_closed[producer.producer_id] = producer
        self._loop.call_later(self.broker.keep_alive_seconds, self._forget_closed, producer)

    def _forget_closed(self, producer: Producer) -> None:
        if self._recently_closed.get(producer.producer_id) is producer:
            del self._recently_closed[producer.producer_id]

    @property
    def open_topics(self) -> set[str]:
        """Full names of the topics that producers and consumers of this link are open on."""
        handles = [*self.producers.values(), *self.consumers.values()]
        return {topic_of_handle(handle) for handle in handles if handle}

    def queue(self, data: bytes) -> None:
        """Send these bytes, soon."""
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= _FLUSH_BYTES:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Give the transport what was sent since the last time."""
        self._flush_scheduled = False
        if self._unsent and self._transport and not self._transport.is_closing():
            if self.broker.faults.active:
                self.write_past(None, b"".join(self._unsent))
            else:
                self._transport.writelines(self._unsent)
            if self._reading and self._transport.get_write_buffer_size() > _READING_STOPS_AT:
                self._reading = False
                self._transport.pause_reading()
        self._unsent.clear()
        self._unsent_bytes = 0

    def write_past(self, fault: Fault | None, data: bytes) -> None:
        """Write what that fault has let go, as far as the faults after it do; None: ask them all."""
        self.write(self.broker.faults.bytes_out(self, data, fault))

    def write(self, data: bytes) -> None:
        """Write, asking no fault."""
        if data and self._transport and not self._transport.is_closing():
            self._transport.write(data)

    # Life and death

    @property
    def closed(self) -> bool:
        """Whether the link is closed or closing."""
        return self._transport is None or self._transport.is_closing()

    def close(self, reason: str) -> None:
        """Send what is queued, then close. The reason goes to the log only, as with a real broker."""
        if self._transport and not self._transport.is_closing():
            log.warning("%s: closing the link: %s", self.peer, reason)
            self.flush()
            self._transport.close()
            if self._tick:
                self._tick.cancel()
            self._tick = self._loop.call_later(_CLOSING_SECONDS, self.abort)

    def abort(self) -> None:
        """Drop the connection at once, as a broker that dies does."""
        if self._transport:
            self._transport.abort()

    def cut(self, reset: bool = False) -> None:
        """End the connection; what was written still leaves, what is queued does not. `reset`: with a TCP reset."""
        if self._transport is None:
            return
        if reset:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        else:
            self._transport.close()

    def probe(self) -> "asyncio.Future[bool]":
        """Ask a peer that holds what somebody else wants whether it is alive.

        Sends PING; the future gives true when anything comes back, false once the link is gone. A link silent for
        `liveness_check_seconds` is dropped.
        """
        if self._probe is None:
            self._probe = self._loop.create_future()
            self._loop.call_later(self.broker.liveness_check_seconds, self._probe_ended, self._probe)
            self.send(BaseCommand.PING)
        return self._probe

    def _probe_ended(self, probe: "asyncio.Future[bool]") -> None:
        if not probe.done():
            log.warning("%s: silent when asked whether it is alive, dropping the link", self.peer)
            self.abort()

    def _answer_probe(self, alive: bool) -> None:
        if self._probe is not None and not self._probe.done():
            self._probe.set_result(alive)
        self._probe = None

    def _schedule_tick(self) -> None:
        self._tick = self._loop.call_later(self.broker.keep_alive_seconds, self._keep_alive)

    def _keep_alive(self) -> None:
        if self.broker.faults.silences(self):
            self._schedule_tick()
        elif not self.connected:
            self.close("no CONNECT within the keep-alive interval")
        elif self._waiting_for_pong and self._reading:
            self.close("no sign of life for two keep-alive intervals")
        else:
            self._waiting_for_pong = True
            self.send(BaseCommand.PING)
            self._schedule_tick()


def _assigned_urls(assigned: Assigned) -> dict[str, str]:
    names = ("assignedBrokerServiceUrl", "assignedBrokerServiceUrlTls")
    return {name: url for name, url in zip(names, assigned, strict=True) if url}
