"""A link over a scripted stream: what it makes of a broker that closes it, and how it ends."""
import asyncio

from mpy_pulsar import Client  # noqa: F401 - it loads the rooms below it in an order that needs little stack
from mpy_pulsar.auth import NoAuthentication
from mpy_pulsar.errors import ConnectError, PulsarError
from mpy_pulsar.net import link as room
from mpy_pulsar.wire.commands import command
from tests.unit import fake_broker as fake

_TURNS = 50
_BROKEN_PIPE = 32
_REASON = command(fake.ERROR, 1, fake.NO_REQUEST, 2, 22, 3, "Reached the maximum number of connections")


class Stream:
    """What was scripted to be read, once `opened`; every write fails, if it is to."""

    def __init__(self, data, writes_fail):
        self.data = data
        self.writes_fail = writes_fail
        self.opened = False
        self.closed = False

    def readinto(self, buffer):
        if not self.opened or not self.data:
            return None
        size = min(len(buffer), len(self.data))
        buffer[:size] = self.data[:size]
        self.data = self.data[size:]
        return size

    def write(self, buffer, offset, size):
        self.opened = True  # before the reader's turn
        if self.writes_fail:
            raise OSError(_BROKEN_PIPE, "broken pipe")
        return size

    def close(self):
        self.closed = True


class Keeper:
    """A supervisor for one link."""

    tls = None
    authentication = NoAuthentication()

    def __init__(self):
        self.attended = 0

    def attend(self):
        self.attended += 1


async def _never(_):
    await asyncio.Event().wait()


def _end_of(stream):
    """The error of a link over this stream, and whether its socket was closed when it was stopped."""

    async def run():
        keeper = Keeper()

        async def connect(address, tls):
            return stream, stream

        genuine = room.connect, room.readable, room.writable
        room.connect, room.readable, room.writable = connect, _never, _never
        try:
            link = room.Link(keeper, ("here", 6650), None, 1024, fake.START)
            for _ in range(_TURNS):
                if link.error:
                    break
                await asyncio.sleep(0)
            await link.stop()
        finally:
            room.connect, room.readable, room.writable = genuine
        assert keeper.attended
        return link.error

    return asyncio.run(run())


def test_a_write_that_fails_does_not_hide_what_the_broker_said_before():
    stream = Stream(_REASON, True)
    error = _end_of(stream)
    assert isinstance(error, PulsarError) and error.code == 22 and stream.closed
    assert "link to here:6650" in str(error) and "maximum number of connections" in str(error)


def test_a_write_that_fails_without_a_word_is_a_lost_link():
    for data in (b"", _REASON[:9]):
        stream = Stream(data, True)
        error = _end_of(stream)
        assert isinstance(error, ConnectError) and "lost: OSError" in str(error).replace("BrokenPipeError", "OSError")
        assert stream.closed


def test_a_link_lost_when_no_memory_is_left_is_still_known_to_be_lost():
    describe = room.Link.describe

    def no_memory(self):
        raise MemoryError()

    room.Link.describe = no_memory
    try:
        stream = Stream(b"", True)
        error = _end_of(stream)
    finally:
        room.Link.describe = describe
    assert isinstance(error, ConnectError) and "no memory" in str(error) and stream.closed
