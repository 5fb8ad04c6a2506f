"""A TCP proxy that does to its links what a schedule says. For clients the broker must name the proxy's address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from tools.chaos.faults import ENDING, Kind, LinkFault, Schedule

_CLOSING_TURNS = 3
_HOST = "127.0.0.1"
_CHUNK = 1 << 16
_LARGEST_PIECE = 7
_PIECE_SECONDS = 0.002
_SLOW_BYTES = 1000  # a second
_SLOW_TURN = 0.05
# Close with a reset instead of FIN: linger for no time at all.
_NO_LINGER = struct.pack("ii", 1, 0)

Result = TypeVar("Result")


class FaultProxy:
    """One listener before one broker, in the running event loop.

    target: host and port of the broker. schedule: in force from `begin` on; until then everything passes. port: 0
    takes a free one. `struck` counts the faults by kind, `links` the connections.
    """

    def __init__(self, target: tuple[str, int], schedule: Schedule | None = None, port: int = 0) -> None:
        self.target = target
        self.schedule = schedule
        self.port = port
        self.struck: Counter[Kind] = Counter()
        self.links = 0
        self._raging = False
        self._server: asyncio.Server | None = None
        self._open: set[_Link] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """The service URL."""
        return f"pulsar://{_HOST}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listen()

    async def stop(self) -> None:
        """Close the listener and all links."""
        if self._refusing:
            self._refusing.cancel()
        await self._close_listener()
        for link in list(self._open):
            link.end(True)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in list(self._clients):
            _reset(writer)
        # The transports close their sockets in the loop's next turns.
        for _ in range(_CLOSING_TURNS):
            await asyncio.sleep(0)

    def begin(self) -> None:
        """Faults from now on, on the links there are too."""
        self._raging = True
        for link in self._open:
            link.begin(self.faults_of(link.number))

    def faults_of(self, number: int) -> Iterator[LinkFault] | None:
        """What happens to the link of that number, None: nothing."""
        return self.schedule.of_link(number) if self.schedule and self._raging else None

    async def calm(self) -> None:
        """No more faults: from now on everything passes. Links that swallow are reset."""
        self._raging = False
        if self._refusing:
            self._refusing.cancel()
            self._refusing = None
        if self._server is None:
            await self._listen()
        for link in list(self._open):
            link.calm()

    def refuse(self, seconds: float) -> None:
        """Nobody listens for some time; the links there are stay."""
        if self._server is not None and self._refusing is None:
            self._server.close()
            self._server = None
            self._refusing = asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._refusing = None
        self._hold(asyncio.ensure_future(self._listen()))

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, _HOST, self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.links = self.links, self.links + 1
        self._clients.add(writer)
        self._hold(asyncio.ensure_future(self._serve(reader, writer, number)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(*self.target, limit=_CHUNK)
        except OSError:
            _reset(writer)
            self._clients.discard(writer)
            return
        link = _Link(self, number, writer, broker_writer)
        self._open.add(link)
        try:
            await asyncio.gather(link.pump(reader, broker_writer, True), link.pump(broker_reader, writer, False))
        finally:
            link.end(False)
            self._open.discard(link)
            self._clients.discard(writer)


class _Link:
    """One connection with the fault it has next."""

    def __init__(
        self, proxy: FaultProxy, number: int, client: asyncio.StreamWriter, broker: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self._proxy = proxy
        self._ends = (client, broker)
        self._swallows = False
        self.begin(proxy.faults_of(number))

    def begin(self, faults: Iterator[LinkFault] | None) -> None:
        """From now on these faults; None: none."""
        self._faults = faults
        self._next_fault()

    def _next_fault(self) -> None:
        self._fault: LinkFault | None = next(self._faults) if self._faults else None
        self._left = self._fault.after if self._fault else 0

    def calm(self) -> None:
        """No more faults here."""
        self.begin(None)
        if self._swallows:
            self.end(True)

    def end(self, reset: bool) -> None:
        """Close both ends."""
        for writer in self._ends:
            if reset:
                _reset(writer)
            else:
                writer.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upward: bool) -> None:
        """Hand on what comes from one end until it closes, or a fault ends the link."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                while data:
                    data = await self._hand_on(data, writer, upward)
        # One end has closed. What the other still says would reach nobody.
        self.end(False)

    async def _hand_on(self, data: bytes, writer: asyncio.StreamWriter, upward: bool) -> bytes:
        """What is left of the data behind a fault."""
        if self._swallows:
            return b""
        fault = self._fault
        if fault is None or fault.upward != upward:
            writer.write(data)
            await writer.drain()
            return b""
        before, behind = data[: self._left], data[self._left :]
        self._left -= len(before)
        writer.write(before)
        await writer.drain()
        if self._left == 0 and self._fault is fault:
            return await self._strike(fault, behind, writer)
        return behind

    async def _strike(self, fault: LinkFault, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        self._proxy.struck[fault.kind] += 1
        if fault.kind in ENDING:
            self._fault = None
            if fault.kind is Kind.REFUSE:
                self._proxy.refuse(fault.seconds)
            if fault.kind is Kind.HALF_OPEN:
                self._swallows = True
                asyncio.get_running_loop().call_later(fault.seconds, self.end, True)
            else:
                self.end(fault.kind is not Kind.CUT)
            return b""
        if fault.kind is Kind.DELAY:
            await asyncio.sleep(fault.seconds)
        else:
            data = await self._slowly(fault, data, writer)
        self._next_fault()
        return data

    async def _slowly(self, fault: LinkFault, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Hand on a part of the data piece by piece, for as long as the fault lasts; the rest."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + fault.seconds
        dribble = fault.kind is Kind.DRIBBLE
        size, pause = (1, _PIECE_SECONDS) if dribble else (round(_SLOW_BYTES * _SLOW_TURN), _SLOW_TURN)
        while data and loop.time() < ends:
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            if dribble:
                size = size % _LARGEST_PIECE + 1
            await asyncio.sleep(pause)
        return data


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


class ProxyThread:
    """Fault proxies in an event loop and thread of their own, for programs that have none: `with ProxyThread()`."""

    def __init__(self) -> None:
        self.proxies: list[FaultProxy] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxies", daemon=True)

    def add(self, target: tuple[str, int], schedule: Schedule | None = None, port: int = 0) -> FaultProxy:
        """A proxy that listens."""
        proxy = FaultProxy(target, schedule, port)
        self._run(proxy.start())
        self.proxies.append(proxy)
        return proxy

    def begin(self) -> None:
        """Faults from now on, on all of them."""
        for proxy in self.proxies:
            self._loop.call_soon_threadsafe(proxy.begin)

    def calm(self) -> None:
        """No more faults on any of them."""
        for proxy in self.proxies:
            self._run(proxy.calm())

    def struck(self) -> Counter[Kind]:
        """The faults there were so far, by kind."""
        total: Counter[Kind] = Counter()
        for proxy in self.proxies:
            total += proxy.struck
        return total

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def __enter__(self) -> ProxyThread:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for proxy in self.proxies:
                self._run(proxy.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
