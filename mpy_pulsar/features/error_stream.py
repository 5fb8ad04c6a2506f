"""The stream of errors that belong to no call; loaded by `client.errors()`."""
import asyncio

from ..port import ERRORS, const

_MOST = const(8)


class ErrorStream:
    """`async for error in client.errors():` each PulsarError that belongs to no call, from now on.

    Bounded: where nobody takes them, the oldest go, and `dropped` counts them. It ends with the client, by close(), or
    with `async with client.errors() as errors:`, which is for those who leave the loop before; of streams that nobody
    waits for eight stay open, and one more ends the oldest.
    """

    def __init__(self, streams):
        """streams: the client's list of those that are open."""
        self.dropped = 0
        self._streams = streams
        self._errors = []
        self._changed = asyncio.Event()
        self._awaited = 0  # tasks that wait for an error
        idle = [stream for stream in streams if not stream._awaited]
        for stream in idle[:max(0, len(idle) + 1 - _MOST)]:
            stream.close()
        streams.append(self)

    def put(self, error):
        """The client's: one more."""
        if len(self._errors) >= ERRORS:
            self._errors.pop(0)
            self.dropped += 1
        self._errors.append(error)
        self._changed.set()

    def close(self):
        """No more; what came before can still be taken. Closing again does nothing."""
        if self in self._streams:
            self._streams.remove(self)
        self._changed.set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        self.close()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._errors:
            if self not in self._streams:
                raise StopAsyncIteration
            self._changed.clear()
            self._awaited += 1
            try:
                await self._changed.wait()
            finally:
                self._awaited -= 1
        return self._errors.pop(0)
