"""CPython's half of `mpy_pulsar.net.stream`: non-blocking sockets on the running event loop."""
import asyncio
import socket

WRITE_MOST = 0x3FFFFFFF  # no bound
Window = None


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


async def connect(host, port):
    """A stream to host:port; OSError where nobody answers."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for position, (family, kind, _, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Stream(sock, loop)
        except OSError:
            sock.close()
            if position == len(addresses) - 1:
                raise
        except BaseException:
            sock.close()
            raise
    raise OSError("no address for " + host)


def forget(address):
    """Nothing: no address is kept here."""
