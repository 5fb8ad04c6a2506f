"""CPython's half of `mpy_pulsar.net.stream`: non-blocking sockets on the running event loop."""
import asyncio
import socket
import threading

WRITE_MOST = 0x3FFFFFFF  # no bound
_ADDRESS_SECONDS = 3  # for one of a name's addresses, while there are others


class Stream:
    """A socket with the methods of MicroPython's streams."""

    def __init__(self, sock, loop):
        self._sock = sock
        self._number = sock.fileno()
        self._loop = loop

    def readinto(self, buffer):
        """Bytes received into the buffer, 0 at the end, None for "not now"."""
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:
            return None

    def write(self, buffer, offset, size):
        """Bytes taken of buffer[offset:offset + size], None for "not now"."""
        try:
            with memoryview(buffer) as view:
                return self._sock.send(view[offset:offset + size])
        except BlockingIOError:
            return None

    def close(self):
        """Close the socket; nobody may be waiting for it any more."""
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        self._sock.close()

    async def _wait(self, add, remove):
        future = self._loop.create_future()
        add(self._number, _wake, future)
        try:
            await future
        finally:
            remove(self._number)


class ThreadSafeFlag:
    """MicroPython's: any thread may set it; one task waits for it, which clears it. Made in the loop of that task."""

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self):
        """Wake the task; does nothing once its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            pass

    async def wait(self):
        """Until it is set."""
        await self._event.wait()
        self._event.clear()

    @staticmethod
    def guarded(function):
        """The same function, for threads that call it at the same time. A board's flag has no such method."""
        lock = threading.Lock()

        def call(*arguments):
            with lock:
                return function(*arguments)

        return call


def _wake(future):
    if not future.done():
        future.set_result(None)


def readable(stream):
    """Awaitable: until there is something to read, or the stream is broken."""
    return stream._wait(stream._loop.add_reader, stream._loop.remove_reader)


def writable(stream):
    """Awaitable: until something can be written, or the stream is broken."""
    return stream._wait(stream._loop.add_writer, stream._loop.remove_writer)


def sleep_ms(milliseconds):
    """Awaitable: as on MicroPython."""
    return asyncio.sleep(milliseconds / 1000)


async def wait(event, milliseconds):
    """Until the event is set, or the time is over, which sets it too.

    Not by `asyncio.wait_for`: before Python 3.12 that loses a cancellation which comes together with the event.
    """
    timer = asyncio.get_running_loop().call_later(milliseconds / 1000, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


def tls_context(trust, validate_hostname, insecure):
    """What `connect` needs for TLS; see `cpython_shim.tls`."""
    from .tls import context

    return context(trust, validate_hostname, insecure)


async def connect(address, tls):
    """(stream to address, its socket); OSError where nobody answers, or TLS fails.

    address: (host, port). tls: what `tls_context` gave, or None.
    """
    sock = await _connect_tcp(*address)
    try:
        if not tls:
            stream = Stream(sock, asyncio.get_running_loop())
        else:
            from .tls import secure

            stream = await secure(sock, tls, address[0])
    except BaseException:
        sock.close()
        raise
    return stream, stream


async def _connect_tcp(host, port):
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for position, (family, kind, _, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind)
        last = position == len(addresses) - 1
        try:
            sock.setblocking(False)
            # The whole link has ten seconds: an address that swallows everything must leave some to the next.
            await asyncio.wait_for(loop.sock_connect(sock, address), None if last else _ADDRESS_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except (OSError, asyncio.TimeoutError):
            sock.close()
            if last:
                raise
        except BaseException:
            sock.close()
            raise
    raise OSError("no address for " + host)


def window():
    """Nothing: a host's network has room."""


def forget(address):
    """Nothing: no address is kept here."""
