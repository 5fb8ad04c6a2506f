"""What is said of a message that never fits; loaded for the first one."""
from ..errors import MessageTooBig
from ..wire.batch import ENTRY_HEAD


def refuse(ring, size):
    """Raise MessageTooBig for `size` bytes that do not fit an empty BatchRing, or that the broker does not take."""
    head = ring.head_room + ENTRY_HEAD
    if size + head > len(ring.buffer):
        raise MessageTooBig(
            "a message of %d bytes and its head of up to %d do not fit a send buffer of %d bytes: enlarge"
            " send_buffer_size" % (size, head, len(ring.buffer))
        )
    raise MessageTooBig(
        "a message of %d bytes; the broker takes %d beside a frame's metadata: it was not sent" % (size, ring.largest)
    )
