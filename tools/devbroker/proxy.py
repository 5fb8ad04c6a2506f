"""A proxy before development brokers, which behaves as Pulsar's own proxy does.

CONNECT without proxy_to_broker_url is answered by the proxy itself (its CONNECTED has no max_message_size); such a link
finds topics and nothing else: LOOKUP and PARTITIONED_METADATA, answered with proxy_through_service_url set. A PRODUCER
or SUBSCRIBE there closes it. CONNECT with proxy_to_broker_url is passed on to that broker, if it is one of the proxy's;
what follows on such a link before the broker's CONNECTED is dropped without a word, afterwards bytes are passed on.
"""

import asyncio
import logging
import struct
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tools.devbroker.command_faults import error_answer
from tools.devbroker.frames import (
    NO_ID,
    BaseCommand,
    Frame,
    FrameSplitter,
    ProtocolViolation,
    ServerError,
    api,
    content,
    encode,
    new_command,
    type_name,
)
from tools.devbroker.handshake import NEWEST_PROTOCOL_VERSION

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker
    from tools.devbroker.tls import DevTls

log = logging.getLogger(__name__)

SERVER_VERSION = "mpy_pulsar development proxy"
_LOOKUP = api.CommandLookupTopicResponse
_SIZE = struct.Struct(">I")
_LARGEST_FRAME = 64 * 1024
"""Of a handshake or a lookup; what is passed on is not looked at."""
_CHUNK = 64 * 1024
_MOST_REDIRECTS = 20
_PASSED_ON = (
    BaseCommand.LOOKUP,
    BaseCommand.PARTITIONED_METADATA,
    BaseCommand.GET_TOPICS_OF_NAMESPACE,
    BaseCommand.GET_SCHEMA,
)


class _Ended(Exception):
    """A link is over; the text says why."""


class _Link:
    """One TCP connection, in frames or in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> "_Link":
        """Connect. Raises _Ended."""
        try:
            return cls(*await asyncio.open_connection(host, port))
        except OSError as error:
            raise _Ended(f"no connection to the broker {host}:{port}: {error}") from None

    async def receive(self) -> tuple[Frame, bytes]:
        """The next frame, decoded and as it came. Raises _Ended."""
        try:
            head = await self._reader.readexactly(_SIZE.size)
            (size,) = _SIZE.unpack(head)
            if size > _LARGEST_FRAME:
                raise _Ended(f"frame of {size} bytes where a short one was due")
            raw = head + await self._reader.readexactly(size)
            return next(FrameSplitter(_LARGEST_FRAME).feed(raw)), raw
        except (OSError, asyncio.IncompleteReadError) as error:
            raise _Ended(f"closed by the peer ({type(error).__name__})") from None
        except (ProtocolViolation, UnicodeDecodeError) as error:
            raise _Ended(str(error)) from None

    async def read(self) -> bytes:
        """Some bytes; none once the peer has closed."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError:
            return b""

    async def drop_all(self) -> None:
        """Read until the peer closes, keeping nothing."""
        while await self.read():
            pass

    async def write(self, data: bytes) -> None:
        """Write, as fast as the peer reads. Raises _Ended."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise _Ended(f"closed by the peer ({type(error).__name__})") from None

    async def send(self, command: Any) -> None:
        """Send a command. Raises _Ended."""
        await self.write(encode(command))

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class DevProxy:
    """A proxy before those brokers, in the running event loop: `async with DevProxy([broker]) as proxy: proxy.url`.

    It asks the first broker that is up for topics. Brokers need a plain listener; with `tls` the proxy's own is TLS.
    """

    def __init__(
        self, brokers: "Sequence[DevBroker]", host: str = "127.0.0.1", port: int = 0, *, tls: "DevTls | None" = None
    ) -> None:
        if not all(broker.plain for broker in brokers):
            raise ValueError("the proxy reaches brokers by their plain listeners only")
        self.host = host
        self.port = port
        self._brokers = brokers
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The service URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'pulsar+ssl' if self._tls else 'pulsar'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        context = self._tls.server_context() if self._tls else None
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every link."""
        if self._server:
            self._server.close()
            self._server = None
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def __aenter__(self) -> "DevProxy":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(_Link(reader, writer)))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def _serve(self, client: _Link) -> None:
        try:
            connect = (await client.receive())[0].command
            if connect.type != BaseCommand.CONNECT:
                raise _Ended(f"{type_name(connect)} before CONNECT")
            if connect.connect.HasField("proxy_to_broker_url"):
                await self._join(client, connect)
            else:
                await self._find(client, connect)
        except _Ended as end:
            log.info("proxy: closing a link: %s", end)
        finally:
            await client.close()

    # A link to a broker

    async def _join(self, client: _Link, connect: Any) -> None:
        """Pass the link on to the broker it names."""
        target = connect.connect.proxy_to_broker_url
        if target not in [_host_and_port(url) for broker in self._brokers for url in (broker.url, broker.urls()[0])]:
            text = "Target broker cannot be validated."
            await client.send(error_answer(connect, ServerError.ServiceNotReady, text))
            raise _Ended(f"{target} is no broker of this proxy")
        dropping = asyncio.get_running_loop().create_task(client.drop_all())
        broker = None
        try:
            broker = await self._dial(target, connect)
            answer = asyncio.get_running_loop().create_task(broker.receive())
            await asyncio.wait((answer, dropping), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                raise _Ended("the client left before CONNECTED")
            _frame, raw = answer.result()
            dropping.cancel()
            await asyncio.gather(dropping, return_exceptions=True)
            await client.write(raw)
            await _pass_both_ways(client, broker)
        finally:
            dropping.cancel()
            if broker:
                await broker.close()

    async def _dial(self, target: str, connect: Any) -> _Link:
        """A link to a broker on which CONNECT was sent, with the client's credentials. Raises _Ended."""
        address = urlsplit(f"//{target}")
        broker = await _Link.open(address.hostname or "", address.port or 0)
        passed_on = BaseCommand()
        passed_on.CopyFrom(connect)
        passed_on.connect.ClearField("proxy_to_broker_url")
        await broker.send(passed_on)
        return broker

    # A link for lookups

    async def _find(self, client: _Link, connect: Any) -> None:
        """Answer CONNECT, then lookups until the client leaves or wants more."""
        version = min(connect.connect.protocol_version, NEWEST_PROTOCOL_VERSION)
        flags = api.FeatureFlags(supports_get_partitioned_metadata_without_auto_creation=True)
        await client.send(
            new_command(
                BaseCommand.CONNECTED,
                server_version=SERVER_VERSION,
                protocol_version=version,
                feature_flags=flags,
            )
        )
        asking: set[asyncio.Task[None]] = set()
        try:
            while True:
                command = (await client.receive())[0].command
                if command.type in _PASSED_ON:
                    task = asyncio.get_running_loop().create_task(self._ask(client, connect, command))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                elif command.type == BaseCommand.PING:
                    await client.send(new_command(BaseCommand.PONG))
                elif command.type not in (BaseCommand.PONG, BaseCommand.AUTH_RESPONSE):
                    raise _Ended(f"{type_name(command)} is for a broker, not for a proxy")
        finally:
            for task in list(asking):
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, client: _Link, connect: Any, command: Any) -> None:
        """Answer one request with what a broker says; Redirects are followed here."""
        try:
            target = next((_host_and_port(broker.url) for broker in self._brokers if broker.is_up), "")
            if not target:
                raise _Ended("no broker is up")
            for _ in range(_MOST_REDIRECTS):
                answer = await self._ask_broker(target, connect, command)
                found = answer.lookupTopicResponse
                if answer.type != BaseCommand.LOOKUP_RESPONSE or found.response != _LOOKUP.Redirect:
                    break
                target = _host_and_port(found.brokerServiceUrl)
                command.lookupTopic.authoritative = found.authoritative
            else:
                raise _Ended("too many redirects")
        except _Ended as end:
            answer = error_answer(command, ServerError.ServiceNotReady, str(end))
        if answer.type == BaseCommand.LOOKUP_RESPONSE and answer.lookupTopicResponse.response == _LOOKUP.Connect:
            # The same address twice: whether proxy and broker use TLS has nothing to do with the client's own link.
            found = answer.lookupTopicResponse
            found.brokerServiceUrlTls = found.brokerServiceUrl
            found.proxy_through_service_url = found.authoritative = True
        with suppress(_Ended):
            await client.send(answer)

    async def _ask_broker(self, target: str, connect: Any, command: Any) -> Any:
        """A broker's answer to one request. Raises _Ended."""
        broker = await self._dial(target, connect)
        try:
            await broker.send(command)
            while True:
                answer = (await broker.receive())[0].command
                message = content(answer)
                if answer.type == BaseCommand.ERROR and message.request_id == NO_ID:
                    raise _Ended(message.message)
                if getattr(message, "request_id", None) == content(command).request_id:
                    return answer
        finally:
            await broker.close()


async def _pass_both_ways(one: _Link, other: _Link) -> None:
    """Pass bytes on until either side ends."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_pass_on(one, other)), loop.create_task(_pass_on(other, one))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass_on(source: _Link, target: _Link) -> None:
    while data := await source.read():
        await target.write(data)


def _host_and_port(url: str) -> str:
    """`host:port` of a service URL, as proxy_to_broker_url has it."""
    return url.partition("://")[2].rstrip("/")
