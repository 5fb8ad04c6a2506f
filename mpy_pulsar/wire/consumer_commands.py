"""The commands that consumers and readers send (and schema look-ups), which a producer never loads.

Message ids are encoded MessageIdData (bytes), echoed as they came; an argument that is None leaves its field out.
"""
from ..port import const
from .commands import command

_SUBSCRIBE = const(4)
_ACK = const(10)
_FLOW = const(11)
_UNSUBSCRIBE = const(12)
_REDELIVER_UNACKNOWLEDGED_MESSAGES = const(20)
_SEEK = const(28)
_GET_LAST_MESSAGE_ID = const(29)
_GET_TOPICS_OF_NAMESPACE = const(32)
_GET_SCHEMA = const(34)
_GET_OR_CREATE_SCHEMA = const(39)


def subscribe(
    topic, subscription, consumer_type, consumer_id, request_id, consumer_name=None, durable=None,
    start_message_id=None, properties=None, initial_position=0, key_shared=None, epoch=None,
):
    """SUBSCRIBE. consumer_type: 0 Exclusive, 1 Shared, 2 Failover, 3 Key_Shared. initial_position: 0 latest,
    1 earliest.

    durable False with start_message_id makes a reader. properties: list of (1, key, 2, value); key_shared: the pairs of
    KeySharedMeta; epoch: consumer_epoch after a redelivery.
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


def redeliver(consumer_id, message_ids=None, epoch=None):
    """REDELIVER_UNACKNOWLEDGED_MESSAGES: those of the list of ids (whole entries), or all without one."""
    return command(_REDELIVER_UNACKNOWLEDGED_MESSAGES, 1, consumer_id, 2, message_ids, 3, epoch)


def seek(consumer_id, request_id, message_id=None, publish_time=None):
    """SEEK to a message id or to a publish time in milliseconds since 1970."""
    return command(_SEEK, 1, consumer_id, 2, request_id, 3, message_id, 4, publish_time)


def get_last_message_id(consumer_id, request_id):
    """GET_LAST_MESSAGE_ID of the topic."""
    return command(_GET_LAST_MESSAGE_ID, 1, consumer_id, 2, request_id)


def unsubscribe(consumer_id, request_id):
    """UNSUBSCRIBE: the subscription and its position are removed."""
    return command(_UNSUBSCRIBE, 1, consumer_id, 2, request_id)


def get_topics_of_namespace(request_id, namespace, mode):
    """GET_TOPICS_OF_NAMESPACE. namespace: "tenant/name"; mode: 0 persistent, 1 non-persistent, 2 all."""
    return command(_GET_TOPICS_OF_NAMESPACE, 1, request_id, 2, namespace, 3, mode)


def get_schema(request_id, topic, version=None):
    """GET_SCHEMA: the definition of `version` (8 bytes), or the newest."""
    return command(_GET_SCHEMA, 1, request_id, 2, topic, 3, version)


def get_or_create_schema(request_id, topic, schema):
    """GET_OR_CREATE_SCHEMA. schema: the pairs of Schema: 1 name, 3 schema_data, 4 type, 5 properties."""
    return command(_GET_OR_CREATE_SCHEMA, 1, request_id, 2, topic, 3, schema)
