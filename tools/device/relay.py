"""One TCP connection of the board, carried on by a socket of this machine: a small TCP for a line that loses little."""
from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tools.device.ipv4 import ACK, FIN, PSH, RST, SYN, Segment

_HOST = "127.0.0.1"
_WINDOW = 0xFFFF  # what the board may send ahead; it goes straight into the socket
_AHEAD = 8192  # bytes read from the socket that the board has not acknowledged
_LARGEST_DEFAULT = 536
_LARGEST = 1400
_AGAIN_SECONDS = 2.0
_TRIES = 15
_MASK = 0xFFFFFFFF


class Relay:
    """Accepts the connection once the socket has been; ends with either side, and passes on how it ended.

    `send(segment)` sends to the board; `done(relay)` is called at the end.
    """

    def __init__(self, opening: Segment, port: int, send: Callable[[Segment], None], done: Callable[[Relay], None]):
        """opening: the board's SYN. port: of this machine, to connect to."""
        self.opening = opening
        self._port = port
        self._send_segment = send
        self._done = done
        self._expected = (opening.sequence + 1) & _MASK
        self._window = opening.window
        self._largest = min(opening.largest or _LARGEST_DEFAULT, _LARGEST)
        self._first = random.getrandbits(32)
        self._base = (self._first + 1) & _MASK  # the oldest byte that the board has not acknowledged
        self._pending = bytearray()  # the bytes from there on
        self._sent = 0  # of them, and one more for FIN
        self._ended = False  # nothing will be added to them
        self._finished = False  # our FIN was acknowledged
        self._tries = 0
        self._changed = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._board_ended = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it without a word."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        feeder = None
        try:
            reader, self._writer = await asyncio.open_connection(_HOST, self._port)
            self._answer_opening()
            feeder = asyncio.create_task(self._feed(reader))
            await self._transmit()
        except OSError:
            # Refused, or reset.
            self._reset()
        finally:
            if feeder:
                feeder.cancel()
                await asyncio.gather(feeder, return_exceptions=True)
            if self._writer:
                self._writer.transport.abort()
            self._done(self)

    def _answer_opening(self) -> None:
        self._send(SYN | ACK, self._first, largest=_LARGEST)

    async def _feed(self, reader: asyncio.StreamReader) -> None:
        """Socket to `_pending`, a bounded stretch ahead of what the board has acknowledged."""
        try:
            while data := await reader.read(_AHEAD):
                self._pending += data
                self._changed.set()
                while len(self._pending) >= _AHEAD:
                    await asyncio.sleep(0.002)
        except OSError:
            self._reset()
            self._task.cancel()
        self._ended = True
        self._changed.set()

    async def _transmit(self) -> None:
        """`_pending` to the board, until both directions have ended."""
        while not (self._finished and self._board_ended):
            self._transmit_allowed()
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), _AGAIN_SECONDS)
            except asyncio.TimeoutError:
                self._try_again()

    def _transmit_allowed(self) -> None:
        """What the board's window has room for."""
        while self._sent < len(self._pending):
            size = min(self._largest, len(self._pending) - self._sent, self._window - self._sent)
            if size <= 0:
                return
            data = bytes(self._pending[self._sent : self._sent + size])
            self._send(ACK | PSH, self._base + self._sent, data)
            self._sent += size
        if self._ended and self._sent == len(self._pending) and not self._finished:
            self._send(FIN | ACK, self._base + self._sent)
            self._sent += 1

    def _try_again(self) -> None:
        """Nothing has changed for long: what was sent may be lost, or the window's opening."""
        if not self._sent and not self._pending:
            return
        self._tries += 1
        if self._tries > _TRIES:
            raise ConnectionError("the board does not answer")
        self._sent = 0
        if self._window <= 0:
            self._send(ACK | PSH, self._base, bytes(self._pending[:1]))

    def on_segment(self, segment: Segment) -> None:
        """A segment from the board."""
        if segment.flags & RST:
            self._task.cancel()
        elif segment.flags & SYN:
            if self._writer:
                self._answer_opening()
        elif self._writer:
            self._on_acknowledged(segment)
            self._on_data(segment)

    def _on_acknowledged(self, segment: Segment) -> None:
        self._window = segment.window
        count = (segment.acknowledged - self._base) & _MASK
        if 0 < count <= len(self._pending) + 1:
            self._tries = 0
            self._finished = self._finished or count > len(self._pending)
            del self._pending[:count]
            self._base = (self._base + count) & _MASK
            self._sent = max(0, self._sent - count)
        self._changed.set()

    def _on_data(self, segment: Segment) -> None:
        if not segment.data and not segment.flags & FIN:
            return
        if segment.sequence == self._expected and not self._board_ended:
            writer = self._writer
            if writer is None or writer.transport.is_closing():
                self._reset()
                self._task.cancel()
                return
            if segment.data:
                writer.write(segment.data)
                self._expected = (self._expected + len(segment.data)) & _MASK
            if segment.flags & FIN:
                self._expected = (self._expected + 1) & _MASK
                self._board_ended = True
                writer.write_eof()
        # Also where it was not the next one: it says which is.
        self._send(ACK, self._base + self._sent)

    def _reset(self) -> None:
        self._send(RST | ACK, self._base + self._sent)

    def _send(self, flags: int, sequence: int, data: bytes = b"", largest: int | None = None) -> None:
        opening = self.opening
        self._send_segment(Segment(opening.target, opening.source, sequence & _MASK, self._expected, flags, _WINDOW,
                                   data, largest))
