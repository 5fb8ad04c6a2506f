"""Topics that migrate to another cluster: their producers and consumers are told where it is, and closed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tools.devbroker.frames import NO_ID, BaseCommand, api
from tools.devbroker.names import TopicName

if TYPE_CHECKING:
    from tools.devbroker.session import Session
    from tools.devbroker.store import Store

_PRODUCER = api.CommandTopicMigrated.Producer
_CONSUMER = api.CommandTopicMigrated.Consumer


def migrate(store: "Store", sessions: Iterable["Session"], name: TopicName, url: str, tls_url: str = "") -> None:
    """From now on the topic is the other cluster's; what it holds stays here, as a real cluster lets it be drained.

    sessions: all links to brokers of this store.
    """
    urls = store.migrated[name.full] = url, tls_url
    topic = store.find(name)
    if topic is None:
        return
    for session in sessions:
        for number, producer in session.producers.items():
            if producer is not None and producer.topic is topic:
                _announce(session, _PRODUCER, number, urls)
        for number, consumer in session.consumers.items():
            if consumer is not None and consumer.subscription.topic is topic:
                _announce(session, _CONSUMER, number, urls)
    topic.close_all()
    store.reload(topic)


def turned_away(session: "Session", name: TopicName, producer_id: int | None, consumer_id: int | None = None) -> bool:
    """Whether a producer or consumer that would open here was sent to the topic's new cluster instead."""
    urls = session.broker.store.migrated.get(name.full)
    if urls is None:
        return False
    if producer_id is not None:
        _announce(session, _PRODUCER, producer_id, urls)
        session.send(BaseCommand.CLOSE_PRODUCER, producer_id=producer_id, request_id=NO_ID)
    elif consumer_id is not None:
        _announce(session, _CONSUMER, consumer_id, urls)
        session.send(BaseCommand.CLOSE_CONSUMER, consumer_id=consumer_id, request_id=NO_ID)
    return True


def _announce(session: "Session", kind: int, number: int, urls: tuple[str, str]) -> None:
    url, tls_url = urls
    named = {"brokerServiceUrl": url} if url else {}
    if tls_url:
        named["brokerServiceUrlTls"] = tls_url
    session.send(BaseCommand.TOPIC_MIGRATED, resource_id=number, resource_type=kind, **named)
