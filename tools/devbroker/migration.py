"""Topics that migrate to another cluster: their producers and consumers are told where it is, and closed."""

from typing import TYPE_CHECKING

from tools.devbroker.access import Producer
from tools.devbroker.frames import NO_ID, BaseCommand, api
from tools.devbroker.names import TopicName

if TYPE_CHECKING:
    from tools.devbroker.consumers import Consumer
    from tools.devbroker.session import Session
    from tools.devbroker.store import Store

_PRODUCER = api.CommandTopicMigrated.Producer
_CONSUMER = api.CommandTopicMigrated.Consumer


def migrate(store: "Store", name: TopicName, url: str, tls_url: str = "") -> None:
    """From now on the topic is the other cluster's; what it holds stays here, as a real cluster lets it be drained."""
    store.migrated[name.full] = url, tls_url
    topic = store.find(name)
    if topic is None:
        return
    handles: list[Producer | Consumer] = list(topic.producers.values())
    for subscription in topic.subscriptions.values():
        handles += subscription.consumers
    for handle in handles:
        is_producer = isinstance(handle, Producer)
        number = handle.producer_id if is_producer else handle.consumer_id
        _announce(handle.link, _PRODUCER if is_producer else _CONSUMER, number, (url, tls_url))
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


def _announce(link: "Session", kind: int, number: int, urls: tuple[str, str]) -> None:
    url, tls_url = urls
    named = {"brokerServiceUrl": url} if url else {}
    if tls_url:
        named["brokerServiceUrlTls"] = tls_url
    link.send(BaseCommand.TOPIC_MIGRATED, resource_id=number, resource_type=kind, **named)
