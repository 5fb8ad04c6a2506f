"""GET_SCHEMA and GET_OR_CREATE_SCHEMA, and what PRODUCER and SUBSCRIBE do about the schema they bring."""

from typing import TYPE_CHECKING, Any

from tools.devbroker.frames import BaseCommand, Refused, ServerError
from tools.devbroker.lookup_commands import parse_topic
from tools.devbroker.schemas import AUTO_CONSUME, NO_VERSION
from tools.devbroker.topic import Topic

if TYPE_CHECKING:
    from tools.devbroker.session import Session


def producer_schema(session: "Session", topic: Topic, message: Any) -> bytes:
    """The version of the schema in PRODUCER, empty without one. Raises Refused (IncompatibleSchema)."""
    schemas = session.broker.store.schemas
    if message.HasField("schema"):
        return schemas.put(topic.name, message.schema)
    if topic.policy.schema_validation and schemas.has_any(topic.name):
        text = "Producers cannot connect without a schema to topics with a schema"
        raise Refused(ServerError.IncompatibleSchema, text)
    return NO_VERSION


def consumer_schema(session: "Session", topic: Topic, message: Any) -> None:
    """See to the schema in SUBSCRIBE: the first to use a topic gives it one. Raises Refused (IncompatibleSchema)."""
    if not message.HasField("schema") or takes_any_schema(message):
        return
    schemas = session.broker.store.schemas
    in_use = topic.producers or topic.entries or any(
        not consumer.has_any_schema
        for subscription in topic.subscriptions.values()
        for consumer in subscription.consumers
    )
    if in_use or schemas.has_any(topic.name):
        schemas.check(topic.name, message.schema)
    else:
        schemas.put(topic.name, message.schema)


def takes_any_schema(message: Any) -> bool:
    """Whether SUBSCRIBE says that the consumer takes what schema there is."""
    return message.HasField("schema") and message.schema.type == AUTO_CONSUME


def get_schema(session: "Session", message: Any, _payload: bytes) -> None:
    """GET_SCHEMA: the newest one, or that of a version."""
    topic_name = parse_topic(session, message.topic)
    found = session.broker.store.schemas.get(topic_name, message.schema_version)
    if found is None:
        session.send(
            BaseCommand.GET_SCHEMA_RESPONSE,
            request_id=message.request_id,
            error_code=ServerError.TopicNotFound,
            error_message=f"Topic not found or no-schema {message.topic}",
        )
        return
    schema, version = found
    session.send(
        BaseCommand.GET_SCHEMA_RESPONSE, request_id=message.request_id, schema=schema, schema_version=version
    )


def get_or_create_schema(session: "Session", message: Any, _payload: bytes) -> None:
    """GET_OR_CREATE_SCHEMA: the version of a schema, which is added to the topic if it is new."""
    answer = {"request_id": message.request_id}
    try:
        topic = session.broker.store.find(parse_topic(session, message.topic))
        if topic is None:
            raise Refused(ServerError.TopicNotFound, f"Topic not found {message.topic}")
        answer["schema_version"] = session.broker.store.schemas.put(topic.name, message.schema)
    except Refused as refusal:
        answer |= {"error_code": refusal.code, "error_message": refusal.text}
    session.send(BaseCommand.GET_OR_CREATE_SCHEMA_RESPONSE, **answer)


HANDLERS = {
    BaseCommand.GET_SCHEMA: get_schema,
    BaseCommand.GET_OR_CREATE_SCHEMA: get_or_create_schema,
}
