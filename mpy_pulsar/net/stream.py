"""The interpreter's sockets and waits, the third of the three seams: MicroPython's half; CPython's is the shim's.

A stream has readinto(buffer) and write(buffer, offset, size), which give a count of bytes, or None for "not now", and
close(). Only one task may wait to read from a stream and one to write: asyncio's poller keeps one of each.

WRITE_MOST: bytes that one write should have at most. window(): what bounds the bytes on their way on a new link, None
where nothing needs to. forget(address): no link to it came up, so what `connect` keeps of it is of no use.
"""
import sys

if sys.implementation.name == "micropython":
    import asyncio
    import socket
    from asyncio import ThreadSafeFlag, sleep_ms

    from ..port import collect, const
    from .resolve import address_of, forget

    try:
        import lwip

        WRITE_MOST = 1600  # see net.lwip
    except ImportError:
        lwip = None
        WRITE_MOST = 0x3FFFFFFF

    # The connection is under way: EINPROGRESS of unix, of lwIP ports and of ESP32.
    _IN_PROGRESS = (115, 118, 119)
    _IPPROTO_TCP = const(6)
    # rp2 has its own number; by 1 it would set something else and leave Nagle's algorithm on.
    _TCP_NODELAY = getattr(socket, "TCP_NODELAY", 1)

    def readable(stream):
        """Awaitable: until there is something to read, or the stream is broken."""
        yield asyncio.core._io_queue.queue_read(stream)  # pyright: ignore[reportAttributeAccessIssue]

    def writable(stream):
        """Awaitable: until something can be written, or the stream is broken."""
        yield asyncio.core._io_queue.queue_write(stream)  # pyright: ignore[reportAttributeAccessIssue]

    async def wait(event, milliseconds):
        """Until the event is set, or the time is over."""
        try:
            await asyncio.wait_for_ms(event.wait(), milliseconds)
        except asyncio.TimeoutError:
            pass

    def window():
        """A net.lwip.Window, or None."""
        if lwip:
            from .lwip import Window

            return Window()
        return None

    def tls_context(trust, validate_hostname, insecure):
        """What `connect` needs for TLS; see `features.tls`."""
        from ..features.tls import context

        return context(trust, validate_hostname, insecure)

    async def connect(address, tls):
        """(stream to address, its socket); OSError at once or with the first read or write where nobody answers.

        address: (host, port). tls: what `tls_context` gave, or None. The handshake is done by the first reads and
        writes; with TLS both are to be closed.
        """
        host = address[0]
        address = address_of(*address)
        stream = socket.socket(address[0])
        try:
            stream.setblocking(False)
            try:
                stream.connect(address[-1])
            except OSError as error:
                if error.errno not in _IN_PROGRESS:
                    raise
            await writable(stream)
            stream.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
            if tls:
                collect()  # the session takes large blocks in one piece
                return tls.wrap_socket(stream, server_hostname=host, do_handshake_on_connect=False), stream
        except BaseException:
            stream.close()
            raise
        return stream, stream

else:
    from cpython_shim.stream import (  # noqa: F401
        ThreadSafeFlag,  # pyright: ignore[reportAssignmentType]
        WRITE_MOST,
        connect,  # pyright: ignore[reportAssignmentType]
        forget,  # pyright: ignore[reportAssignmentType]
        readable,
        sleep_ms,
        tls_context,  # pyright: ignore[reportAssignmentType]
        wait,
        window,
        writable,
    )
