"""The commands that a consumer or reader sends now and then, and schema look-ups; loaded by what needs them.

Message ids are encoded MessageIdData (bytes); an argument that is None leaves its field out.
"""
from ..port import const
from .commands import command

_UNSUBSCRIBE = const(12)
_REDELIVER_UNACKNOWLEDGED_MESSAGES = const(20)
_SEEK = const(28)
_GET_LAST_MESSAGE_ID = const(29)
_GET_TOPICS_OF_NAMESPACE = const(32)
_GET_SCHEMA = const(34)
_GET_OR_CREATE_SCHEMA = const(39)


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
