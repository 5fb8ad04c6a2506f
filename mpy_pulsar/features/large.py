"""A producer that takes messages larger than its send buffer, where the port has the memory for them."""
from ..errors import MessageTooBig, QueueFull
from ..producer import Producer
from ..wire.batch import ENTRY_HEAD
from .fields import add_large
from .own_frames import has_room
from .payload import check

_BYTES = (bytes, bytearray, memoryview)


class LargeProducer(Producer):
    """A Producer for messages up to the broker's maximum, whatever its send buffer: such a one goes alone, in order."""

    def __init__(self, core, batching=True, block=True):
        super().__init__(core, batching, block)
        self._refuse_unfit = self._refuse_too_big

    def send_nowait(self, content):
        """As of every producer; one message larger than the buffer at a time."""
        if content.__class__ not in _BYTES:
            check(content)
        try:
            try:
                wake = self._add(content)
            except MessageTooBig:
                wake = add_large(self.core, content, None)
        except QueueFull:
            self.core.wake()
            if not self.newest:
                raise
            self.newest.drop()
            return
        if wake:
            self.core.wake()

    def has_room(self, size):
        """Will `send_nowait` take a message of `size` bytes now?"""
        return self._ring.has_room(size) or has_room(self._ring, size)

    def _refuse_too_big(self, size):
        # Alone it is no entry of a batch, whose head `room` has counted in.
        if size - ENTRY_HEAD > self._ring.largest:
            self._ring.refuse_unfit(size)
