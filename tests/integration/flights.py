"""A relay before a broker that lets no answer through before the client has sent all that it may send without one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from types import TracebackType

from tools.devbroker.frames import FrameSplitter, type_name
from tools.devbroker.server import DEFAULT_MAX_MESSAGE_SIZE

_CHUNK = 65536

Flights = Sequence[Sequence[str]]
"""Names of commands, those of each flight leave before any answer to it is seen."""


class _Link:
    """One connection of a client."""

    def __init__(self, flights: Flights) -> None:
        self.heard: list[str] = []
        """The client's commands."""
        self._ends = list(itertools.accumulate(len(flight) for flight in flights))
        self._splitter = FrameSplitter(DEFAULT_MAX_MESSAGE_SIZE)
        self._held: list[bytes] = []

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Both ways, until either side ends."""
        there, back = await asyncio.open_connection("127.0.0.1", port)
        ways = self._ask(reader, back, writer), self._tell(there, writer)
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            back.close()

    def _holds(self) -> bool:
        """Whether a flight has begun that is not complete."""
        return len(self.heard) < self._ends[-1] and len(self.heard) not in self._ends

    async def _ask(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            self.heard += [type_name(frame.command) for frame in self._splitter.feed(data)]
            back.write(data)
            if not self._holds():
                writer.write(b"".join(self._held))
                self._held.clear()

    async def _tell(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(_CHUNK):
            self._held.append(data)
            if not self._holds():
                writer.write(b"".join(self._held))
                self._held.clear()


class FlightRelay:
    """Listens on a port of its own, at `url`; `with` ends it."""

    def __init__(self, port: int, flights: Flights) -> None:
        """port: the broker's, on this machine. A client that waits for an answer within a flight waits for ever."""
        self.links: list[_Link] = []
        self.url = ""
        self._port = port
        self._flights = flights
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flights", daemon=True)

    def heard(self) -> list[list[str]]:
        """The client's commands on each of its links, as far as they belong to the flights."""
        return [link.heard[: sum(len(flight) for flight in self._flights)] for link in self.links]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links.append(_Link(self._flights))
        await self.links[-1].relay(reader, writer, self._port)

    async def _start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "pulsar://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        return server

    def __enter__(self) -> FlightRelay:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
