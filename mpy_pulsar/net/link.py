"""One link: a Connection with its socket, one task that connects and reads, one that writes."""
import asyncio

from ..core.connection import Connection
from ..errors import ConnectError, PulsarError
from ..port import READ_BUFFER, collect, const, ticks_ms
from .stream import WRITE_MOST, connect, forget, readable, sleep_ms, wait, window, writable

_FOREVER = const(600000)  # what a handle says that has nothing to come (NEVER in core.handle)

# Made before it is needed.
NO_MEMORY = ConnectError("a link is made again, and no memory is left to say more")


class Link:
    """Runs a Connection until it fails; then `error` is set and the supervisor woken, who calls `stop`."""

    def __init__(self, supervisor, address, proxy_to, limit, now):
        """address: (host, port). proxy_to: "host:port" of the broker behind it, or None. limit: of the read buffer."""
        self.address = address
        self.proxy_to = proxy_to
        self.error = None
        self.idle_since = None  # the supervisor's: tick since which no handle is on it
        self._supervisor = supervisor
        self._wake = asyncio.Event()
        self.wake = self._wake.set
        size = min(READ_BUFFER, limit) if limit else READ_BUFFER
        self.connection = Connection(self, bytearray(size), limit, now)
        self._window = window()  # what bounds the messages on their way, where the network needs that
        self._stream = None
        self._socket = None  # below TLS, whose close() forgets it where the handshake failed
        self._writer = None
        self._reader = asyncio.create_task(self._guard(self._read()))

    def serves(self, url, tls_url, proxied):
        """Is this the link to the broker that a look-up named?"""
        return self._supervisor.place(url, tls_url, proxied) == (self.address, self.proxy_to)

    def challenged(self):
        """The broker asks for fresh credentials."""
        self.connection.answer_challenge(*self._supervisor.authentication.credentials())

    def describe(self):
        """host:port, for error texts."""
        return "%s:%d" % self.address

    async def _guard(self, loop):
        try:
            await loop
        except Exception as error:  # noqa: BLE001
            # Whatever a port's sockets raise (OSError of any number, ValueError from TLS) or MemoryError: start afresh.
            try:
                failure = error
                if not isinstance(error, PulsarError):
                    collect()
                    text = "lost: %s: %s" % (error.__class__.__name__, str(error).strip())
                    failure = self._reason(error, ConnectError(text))
                self.fail(failure)
            except MemoryError:
                # Not even for the text; what is told need not be new, but it has to be told.
                self.error = self.error or NO_MEMORY
                self._supervisor.attend()

    def _reason(self, error, failure):
        if not self._stream or self.connection.connected:
            return failure
        from ..features.refused_link import explain

        return explain(self._stream, self.connection, self._supervisor.tls, error, failure)

    def fail(self, error):
        """It is of no more use; `error` becomes the link's, with its address."""
        if not self.error:
            self.error = error.__class__("link to %s: %s" % (self.describe(), error))
            self.error.code = error.code
            self.error.broker = self.describe()
        self._supervisor.attend()

    async def _read(self):
        self._stream, self._socket = await connect(self.address, self._supervisor.tls)
        stream = self._stream
        connection = self.connection
        method, data = self._supervisor.authentication.credentials()
        connection.start(method, data, self.proxy_to)
        self._writer = asyncio.create_task(self._guard(self._write()))
        buffer = view = None
        while True:
            if buffer is not connection.buffer:
                buffer = connection.buffer
                view = memoryview(buffer)
            filled = connection.filled
            count = stream.readinto(view[filled:] if filled else buffer)
            if count is None:
                await readable(stream)
            elif count:
                connection.feed(count, ticks_ms())
                if self._window and self._window.held:
                    self.wake()
                await sleep_ms(0)
            else:
                raise OSError("closed by the broker")

    async def _write(self):
        connection = self.connection
        control = connection.control
        wake = self._wake
        while True:
            while control:
                frame = control[0]
                await self._put(frame, 0, len(frame))
                control.pop(0)
            pause = await self._write_data()
            if pause:
                await (wake.wait() if pause == _FOREVER else wait(wake, pause))
                wake.clear()

    async def _write_data(self):
        """One frame of each handle that has one; ms to wait for the next, 0 where something was written."""
        connection = self.connection
        clock = self._supervisor.clock
        now = ticks_ms()
        clock.update(now)
        window = self._window
        pause = _FOREVER
        for handle in list(connection.handles.values()):
            if handle.connection is not connection:
                continue  # it left while a frame before was written; by now it may be open on another link
            ring = handle.ring
            if ring is None:
                continue
            slot = window.next_frame(handle, clock, now) if window else handle.next_frame(clock, now)
            if slot >= 0:
                await self._put(ring.out, ring.frame_start(slot), ring.frame_end(slot), ring, ring.unsent)
                pause = 0
            elif pause:
                pause = min(pause, handle.due)
        return pause

    async def _put(self, buffer, start, end, ring=None, after=0):
        # A write that took nothing is tried again with the very same bytes; a frame once begun is finished, or the
        # link goes down. ring, after: where the bytes are a ring's, and the number of the batch behind them.
        stream = self._stream
        while start < end:
            count = stream.write(buffer, start, min(end - start, WRITE_MOST))  # pyright: ignore[reportCallIssue]
            if count:
                start += count
            else:
                await writable(stream)
                if ring and ring.oldest >= after:
                    # By another link, or for an earlier transmission: new messages may stand here by now.
                    raise ConnectError("a message's receipt came while it was written")

    async def stop(self):
        """Take reader and writer down together, close the socket."""
        if not self.connection.connected:
            forget(self.address)
        for task in (self._reader, self._writer):
            # Not by awaiting it, where our own cancellation could not be told from the task's; and again until it
            # has ended, since MicroPython's wait_for loses a cancellation that comes together with the event.
            while task and not task.done():
                task.cancel()
                await sleep_ms(0)
        if self._stream:
            self._stream.close()
            if self._socket is not self._stream:
                self._socket.close()
            self._stream = self._socket = None
