"""The commands that every consumer sends; those sent now and then are in `consumer_requests`.

Message ids are encoded MessageIdData (bytes), echoed as they came; an argument that is None leaves its field out.
"""
from ..port import const
from .commands import command

_SUBSCRIBE = const(4)
_ACK = const(10)
_FLOW = const(11)


def subscribe(
    topic, subscription, consumer_type, consumer_id, request_id, consumer_name=None, durable=None,
    start_message_id=None, properties=None, initial_position=0, key_shared=None, epoch=None,
):
    """SUBSCRIBE. consumer_type: 0 Exclusive, 1 Shared, 2 Failover, 3 Key_Shared. initial_position: 0 latest,
    1 earliest.

    durable False with start_message_id makes a reader. properties: list of (1, key, 2, value); key_shared: the pairs of
    KeySharedMeta; epoch: consumer_epoch, raised with every redelivery.
    """
    return command(
        _SUBSCRIBE, 1, topic, 2, subscription, 3, consumer_type, 4, consumer_id, 5, request_id, 6, consumer_name,
        8, durable, 9, start_message_id, 10, properties, 13, initial_position, 17, key_shared, 19, epoch,
    )


def flow(consumer_id, permits):
    """FLOW: the broker may send `permits` more messages."""
    return command(_FLOW, 1, consumer_id, 2, permits)


def ack(consumer_id, message_ids, cumulative=False, validation_error=None, request_id=None):
    """ACK of a list of message ids; with request_id the broker answers ACK_RESPONSE.

    validation_error: 0 UncompressedSizeCorruption, 1 DecompressionError, 2 ChecksumMismatch, 3 BatchDeSerializeError,
    4 DecryptionError: the entry is given up as unreadable.
    """
    return command(_ACK, 1, consumer_id, 2, cumulative, 3, message_ids, 4, validation_error, 8, request_id)
