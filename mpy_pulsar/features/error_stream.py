"""The stream of errors that belong to no call; loaded by `client.errors()`."""
import asyncio

from ..port import ERRORS


class ErrorStream:
    """`async for error in client.errors():` each PulsarError that belongs to no call, from now on.

    Bounded: where nobody takes them, the oldest go, and `dropped` counts them. It ends with the client, or by close().
    """

    def __init__(self, streams):
        """streams: the client's list of those that are open."""
        self.dropped = 0
        self._streams = streams
        self._errors = []
        self._changed = asyncio.Event()
        streams.append(self)

    def put(self, error):
        """The client's: one more."""
        if len(self._errors) >= ERRORS:
            self._errors.pop(0)
            self.dropped += 1
        self._errors.append(error)
        self._changed.set()

    def close(self):
        """No more; what came before can still be taken."""
        if self in self._streams:
            self._streams.remove(self)
        self._changed.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self._errors:
            if self not in self._streams:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._errors.pop(0)
