"""Finding things: LOOKUP, PARTITIONED_METADATA, GET_TOPICS_OF_NAMESPACE."""

from typing import TYPE_CHECKING, Any

from tools.devbroker.frames import BaseCommand, Refused, ServerError, api
from tools.devbroker.names import InvalidTopicName, TopicName

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker
    from tools.devbroker.session import Session

TLS_SCHEME = "pulsar+ssl://"

_LOOKUP = api.CommandLookupTopicResponse
_METADATA = api.CommandPartitionedTopicMetadataResponse
_MODE = api.CommandGetTopicsOfNamespace


def parse_topic(session: "Session", name: str) -> TopicName:
    """The topic's name. Raises Refused: InvalidTopicName, TopicNotFound (namespace)."""
    try:
        topic_name = TopicName.parse(name)
    except InvalidTopicName as error:
        raise Refused(ServerError.InvalidTopicName, str(error)) from None
    namespaces = session.broker.namespaces
    if namespaces is not None and topic_name.full_namespace not in namespaces:
        raise Refused(ServerError.TopicNotFound, "Namespace not found")
    return topic_name


def lookup(session: "Session", message: Any, _payload: bytes) -> None:
    """LOOKUP: Connect to the instance that serves the topic, or Redirect to one that knows."""
    try:
        topic_name = parse_topic(session, message.topic)
        answer = session.broker.placement.look_up(session.broker, topic_name.full, message.authoritative)
        urls = _listener_urls(answer.broker, message.advertised_listener_name)
    except Refused as refusal:
        session.send(
            BaseCommand.LOOKUP_RESPONSE,
            request_id=message.request_id,
            response=_LOOKUP.Failed,
            error=refusal.code,
            message=refusal.text,
        )
        return
    session.send(
        BaseCommand.LOOKUP_RESPONSE,
        request_id=message.request_id,
        response=_LOOKUP.Redirect if answer.redirect else _LOOKUP.Connect,
        authoritative=answer.authoritative,
        proxy_through_service_url=session.broker.proxy_through_service_url,
        **{url_field(url): url for url in urls},
    )


def _listener_urls(broker: "DevBroker", listener: str) -> list[str]:
    """The URLs, plain and TLS, of a broker's listener; "" is the default one. Raises Refused."""
    try:
        return [url for url in broker.urls(listener) if url]
    except KeyError:
        raise Refused(ServerError.ServiceNotReady, f"the broker do not have {listener} listener") from None


def url_field(url: str) -> str:
    """The field of LOOKUP_RESPONSE that a URL belongs in."""
    return "brokerServiceUrlTls" if url.startswith(TLS_SCHEME) else "brokerServiceUrl"


def partitioned_metadata(session: "Session", message: Any, _payload: bytes) -> None:
    """PARTITIONED_METADATA: how many partitions; a topic that is not there may become a partitioned one by it."""
    try:
        topic_name = parse_topic(session, message.topic)
        partitions = session.broker.store.partition_count(topic_name, message.metadata_auto_creation_enabled)
    except Refused as refusal:
        session.send(
            BaseCommand.PARTITIONED_METADATA_RESPONSE,
            request_id=message.request_id,
            response=_METADATA.Failed,
            error=refusal.code,
            message=refusal.text,
        )
        return
    session.send(
        BaseCommand.PARTITIONED_METADATA_RESPONSE,
        request_id=message.request_id,
        response=_METADATA.Success,
        partitions=partitions,
    )


def topics_of_namespace(session: "Session", message: Any, _payload: bytes) -> None:
    """GET_TOPICS_OF_NAMESPACE; filtering by pattern is left to the client."""
    mode = message.mode
    names = [
        full_name
        for full_name, topic in session.broker.store.topics.items()
        if topic.name.full_namespace == message.namespace and mode in (_MODE.ALL, _mode_of(topic.name))
    ]
    session.send(BaseCommand.GET_TOPICS_OF_NAMESPACE_RESPONSE, request_id=message.request_id, topics=names)


def _mode_of(topic_name: TopicName) -> int:
    return _MODE.PERSISTENT if topic_name.is_persistent else _MODE.NON_PERSISTENT


HANDLERS = {
    BaseCommand.LOOKUP: lookup,
    BaseCommand.PARTITIONED_METADATA: partitioned_metadata,
    BaseCommand.GET_TOPICS_OF_NAMESPACE: topics_of_namespace,
}
