"""A client that speaks single commands: what a test says is what the broker gets, byte for byte.

Synchronous, with a deadline on every read. Its codec is Google's protobuf, as the development broker's; it works with a
real broker as well.
"""

import socket
import ssl
import time
import urllib.parse
from collections import deque
from typing import Any

from tools.devbroker.frames import (
    BaseCommand,
    Frame,
    FrameSplitter,
    MessageMetadata,
    api,
    build_entry,
    content,
    encode,
    encode_head,
    new_command,
    type_name,
)

NO_ID = 2**64 - 1
LATEST = 2**63 - 1
_SECONDS = 15
_FRAMES_OF_ANY_SIZE = 2**30


class Closed(Exception):
    """The broker has closed the link."""


class RawClient:
    """One link to a broker. Closed at the end of a `with` block."""

    def __init__(
        self, url: str, token: str | None = None, connect: bool = True, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: speak it, whatever the URL says."""
        address = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=_SECONDS)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=address.hostname)
        except BaseException:
            self.socket.close()
            raise
        self.waiting: deque[Frame] = deque()
        """Frames that came while another was waited for."""
        self.answers_pings = True
        self.shows_pings = False
        """Whether `receive` gives PINGs too, which are then the test's to answer."""
        self._splitter = FrameSplitter(_FRAMES_OF_ANY_SIZE)
        self._received: deque[Frame] = deque()
        self._next_id = 0
        if connect:
            try:
                self.connect(token)
            except BaseException:
                self.socket.close()
                raise

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self.socket.close()

    def new_id(self) -> int:
        """An id for a request, a producer or a consumer."""
        self._next_id += 1
        return self._next_id

    # Frames

    def send(self, kind: str, **fields: Any) -> None:
        """Send a simple command; `fields` are those of its content."""
        self.socket.sendall(encode(new_command(BaseCommand.Type.Value(kind), **fields)))

    def receive(self) -> Frame:
        """The next frame, PINGs answered and left out unless told otherwise. Raises Closed, TimeoutError."""
        while True:
            while not self._received:
                try:
                    data = self.socket.recv(1 << 18)
                except ConnectionError:
                    data = b""
                if not data:
                    raise Closed
                self._received.extend(self._splitter.feed(data))
            frame = self._received.popleft()
            if frame.command.type != BaseCommand.PING or self.shows_pings:
                return frame
            if self.answers_pings:
                self.send("PONG")

    def expect(self, *kinds: str) -> Any:
        """The content of the next frame of one of these types; others are kept in `waiting`."""
        return content(self.expect_frame(*kinds).command)

    def expect_frame(self, *kinds: str) -> Frame:
        """The next frame of one of these types; others are kept in `waiting`."""
        for frame in self.waiting:
            if type_name(frame.command) in kinds:
                self.waiting.remove(frame)
                return frame
        while True:
            frame = self.receive()
            if type_name(frame.command) in kinds:
                return frame
            self.waiting.append(frame)

    def wait_closed(self) -> list[str]:
        """Read until the broker closes the link; the types of what came before."""
        kinds = [type_name(frame.command) for frame in self.waiting]
        try:
            while True:
                kinds.append(type_name(self.receive().command))
        except Closed:
            return kinds

    def send_until_closed(self, seconds: float = 10, producer_id: int = 1) -> None:
        """Go on sending entries (and PONG) until the broker closes the link. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        self.socket.settimeout(0.05)
        try:
            while time.monotonic() < deadline:
                self.send("PONG")
                self.send_entry(single_entry(b"sent until closed"), producer_id)
                try:
                    self.waiting.append(self.receive())
                except TimeoutError:
                    continue
        except (Closed, ConnectionError):
            return
        finally:
            self.socket.settimeout(_SECONDS)
        raise TimeoutError("the broker does not close the link")

    def round_trip(self) -> None:
        """Return when the broker has handled all that was sent before."""
        self.send("PING")
        self.expect("PONG")

    def request(self, kind: str, *answers: str, **fields: Any) -> Any:
        """Send a request with an id of its own and return the content of its answer: one of `answers`, or ERROR."""
        request_id = self.new_id()
        self.send(kind, request_id=request_id, **fields)
        answer = self.expect(*answers, "ERROR")
        assert answer.request_id == request_id, answer
        return answer

    # Conversations

    def connect(self, token: str | None = None, **fields: Any) -> Any:
        """CONNECT; the content of CONNECTED or ERROR."""
        settings: dict[str, Any] = {"client_version": "raw", "protocol_version": 21, "auth_method_name": "none"}
        if token is not None:
            settings.update(auth_method_name="token", auth_data=token.encode())
        self.send("CONNECT", **(settings | fields))
        return self.expect("CONNECTED", "ERROR")

    def look_up(self, topic: str) -> Any:
        """LOOKUP."""
        return self.request("LOOKUP", "LOOKUP_RESPONSE", topic=topic)

    def open_producer(self, topic: str, **fields: Any) -> Any:
        """LOOKUP and PRODUCER, with producer id 1 unless told; the content of PRODUCER_SUCCESS or ERROR."""
        self.look_up(topic)
        return self.request("PRODUCER", "PRODUCER_SUCCESS", **({"topic": topic, "producer_id": 1} | fields))

    def subscribe(self, topic: str, permits: int = 1000, **fields: Any) -> Any:
        """LOOKUP and SUBSCRIBE, Exclusive from the earliest with consumer id 1 unless told, then FLOW."""
        self.look_up(topic)
        settings = {
            "topic": topic,
            "subscription": "subscription",
            "subType": api.CommandSubscribe.Exclusive,
            "consumer_id": 1,
            "initialPosition": api.CommandSubscribe.Earliest,
        } | fields
        answer = self.request("SUBSCRIBE", "SUCCESS", **settings)
        if permits and answer.DESCRIPTOR.name == "CommandSuccess":
            self.flow(permits, settings["consumer_id"])
        return answer

    def flow(self, permits: int, consumer_id: int = 1) -> None:
        """FLOW."""
        self.send("FLOW", consumer_id=consumer_id, messagePermits=permits)

    def send_entry(self, entry: bytes, producer_id: int = 1, sequence_id: int = 0, **fields: Any) -> None:
        """SEND with these bytes after the command."""
        command = new_command(BaseCommand.SEND, producer_id=producer_id, sequence_id=sequence_id, **fields)
        self.socket.sendall(encode_head(command, len(entry)) + entry)

    def publish(self, *payloads: bytes, producer_id: int = 1, first_sequence_id: int = 0) -> list[Any]:
        """SEND every payload as a message of its own; their receipts."""
        receipts = []
        for sequence_id, payload in enumerate(payloads, first_sequence_id):
            self.send_entry(single_entry(payload, sequence_id), producer_id, sequence_id)
            receipts.append(self.expect("SEND_RECEIPT"))
        return receipts

    def publish_batch(self, *payloads: bytes, producer_id: int = 1, first_sequence_id: int = 0) -> Any:
        """SEND the payloads as one batch; the receipt."""
        last = first_sequence_id + len(payloads) - 1
        self.send_entry(
            batch_entry(payloads, first_sequence_id),
            producer_id,
            first_sequence_id,
            num_messages=len(payloads),
            highest_sequence_id=last,
        )
        return self.expect("SEND_RECEIPT")

    def acknowledge(self, *message_ids: Any, cumulative: bool = False, consumer_id: int = 1) -> Any:
        """ACK with a request id; the content of ACK_RESPONSE."""
        kind = api.CommandAck.Cumulative if cumulative else api.CommandAck.Individual
        return self.request(
            "ACK", "ACK_RESPONSE", consumer_id=consumer_id, ack_type=kind, message_id=list(message_ids)
        )

    def messages(self, count: int) -> list[Frame]:
        """The next `count` MESSAGE frames."""
        return [self.expect_frame("MESSAGE") for _ in range(count)]

    def payloads(self, count: int) -> list[bytes]:
        """The entries' payloads in the next `count` MESSAGE frames."""
        return [payload_of(frame) for frame in self.messages(count)]


def message_metadata(sequence_id: int = 0, **fields: Any) -> Any:
    """A MessageMetadata published now."""
    settings = {"producer_name": "raw", "sequence_id": sequence_id, "publish_time": time.time_ns() // 1_000_000}
    return MessageMetadata(**(settings | fields))


def single_entry(payload: bytes, sequence_id: int = 0, checksum: bool = True, **fields: Any) -> bytes:
    """The entry of one message: checksum, metadata, payload."""
    return build_entry(message_metadata(sequence_id, **fields), payload, checksum)


def batch_entry(payloads: tuple[bytes, ...], first_sequence_id: int = 0) -> bytes:
    """The entry of a batch."""
    parts = []
    for payload in payloads:
        single = api.SingleMessageMetadata(payload_size=len(payload)).SerializeToString()
        parts += [len(single).to_bytes(4, "big"), single, payload]
    highest = first_sequence_id + len(payloads) - 1
    metadata = message_metadata(
        first_sequence_id, num_messages_in_batch=len(payloads), highest_sequence_id=highest
    )
    return build_entry(metadata, b"".join(parts))


def payload_of(frame: Frame) -> bytes:
    """The payload in a MESSAGE frame, its metadata left out."""
    checked_from = 6 if frame.payload[:2] == b"\x0e\x01" else 0
    metadata_size = int.from_bytes(frame.payload[checked_from : checked_from + 4], "big")
    return frame.payload[checked_from + 4 + metadata_size :]


def message_of(frame: Frame) -> Any:
    """The CommandMessage of a MESSAGE frame."""
    return frame.command.message
