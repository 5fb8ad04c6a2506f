"""The commands that every client sends: `command` makes nearly any, the functions below name the usual ones.

Field numbers are those of PulsarApi.proto; an argument that is None leaves its field out. All return a whole frame.
"""
from ..port import const
from .writer import Writer, room_for

_CONNECT = const(2)
_PRODUCER = const(5)
_PARTITIONED_METADATA = const(21)
_LOOKUP = const(23)
_AUTH_RESPONSE = const(37)

_PROTOCOL_VERSION = const(21)
_FRAME_ROOM = const(24)  # two sizes of four bytes, type, tag and length of the sub-message

CLIENT_VERSION = "mpy_pulsar-0.1"
PING_FRAME = b"\0\0\0\x09\0\0\0\x05\x08\x12\x92\x01\0"
PONG_FRAME = b"\0\0\0\x09\0\0\0\x05\x08\x13\x9a\x01\0"


def command(kind, *pairs):
    """The frame of a BaseCommand of type `kind`, which is also its sub-message's field number; see `Writer.fields`."""
    size = _FRAME_ROOM + room_for(pairs)
    writer = Writer(bytearray(size), size)
    writer.fields(pairs)
    wrap(writer, kind, size)
    writer.uint32(size - writer.start)
    writer.uint32(size - writer.start)
    return bytes(memoryview(writer.buffer)[writer.start:])


def wrap(writer, kind, end):
    """Make what was written since `start` was `end` the sub-message of a BaseCommand."""
    writer.close(kind, end)
    writer.number(1, kind)


def connect(auth_method, auth_data=None, proxy_to=None):
    """CONNECT. auth_method: "none", "token" …; auth_data: bytes; proxy_to: "host:port" of a broker behind a proxy.

    Declares supports_auth_refresh (the broker may ask for fresh credentials on a live link).
    """
    return command(
        _CONNECT, 1, CLIENT_VERSION, 3, auth_data, 4, _PROTOCOL_VERSION, 5, auth_method, 6, proxy_to, 10, (1, True)
    )


def auth_response(auth_method, auth_data):
    """AUTH_RESPONSE to an AUTH_CHALLENGE; auth_data must be there, even empty."""
    return command(_AUTH_RESPONSE, 1, CLIENT_VERSION, 2, (1, auth_method, 2, auth_data), 3, _PROTOCOL_VERSION)


def partitioned_metadata(topic, request_id, auto_creation=None):
    """PARTITIONED_METADATA: how many partitions has `topic`? auto_creation False: do not create it by asking."""
    return command(_PARTITIONED_METADATA, 1, topic, 2, request_id, 6, auto_creation)


def lookup(topic, request_id, authoritative=False, listener_name=None):
    """LOOKUP: which broker owns `topic`? authoritative is copied from a redirect."""
    return command(_LOOKUP, 1, topic, 2, request_id, 3, authoritative, 7, listener_name)


def producer(
    topic, producer_id, request_id, name, epoch, user_named, access_mode=0, properties=None, topic_epoch=None,
):
    """PRODUCER. properties: list of (1, key, 2, value) tuples. topic_epoch: what PRODUCER_SUCCESS said before."""
    return command(
        _PRODUCER, 1, topic, 2, producer_id, 3, request_id, 4, name, 6, properties, 8, epoch, 9, user_named,
        10, access_mode, 11, topic_epoch,
    )


def close(kind, handle_id, request_id):
    """CLOSE_PRODUCER (15) or CLOSE_CONSUMER (16)."""
    return command(kind, 1, handle_id, 2, request_id)
