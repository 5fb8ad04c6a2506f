"""SUBSCRIBE, FLOW, ACK and the other commands of a consumer."""

import logging
import time
from typing import TYPE_CHECKING, Any

from tools.devbroker.cursor import bits_from_words, words_from_bits
from tools.devbroker.frames import NO_ID, BaseCommand, Refused, ServerError, api
from tools.devbroker.lookup_commands import parse_topic
from tools.devbroker.migration import turned_away
from tools.devbroker.names import TopicName
from tools.devbroker.producer_commands import require_looked_up
from tools.devbroker.schema_commands import consumer_schema, takes_any_schema
from tools.devbroker.subscription import EXCLUSIVE, FAILOVER, Consumer, Delivery, Subscription
from tools.devbroker.topic import Topic

if TYPE_CHECKING:
    from tools.devbroker.session import Session

log = logging.getLogger(__name__)

_SUBSCRIBE = api.CommandSubscribe
_ACTIVE_CONSUMER_NOTICE_VERSION = 12
_END_OF_TOPIC_NOTICE_VERSION = 9


def subscribe(session: "Session", message: Any, _payload: bytes) -> None:
    """SUBSCRIBE: SUCCESS, at once or after a look at the peer that holds the subscription."""
    topic_name = parse_topic(session, message.topic)
    require_looked_up(session, topic_name)
    if turned_away(session, topic_name, None, message.consumer_id):
        return
    if message.consumer_id in session.consumers:
        if session.consumers[message.consumer_id] is None:
            text = "Consumer is already present on the connection"
            raise Refused(ServerError.ServiceNotReady, text)
        session.send(BaseCommand.SUCCESS, request_id=message.request_id)
        return
    if not message.subscription:
        raise Refused(ServerError.ProducerBusy, "Empty subscription name")
    _attach(session, topic_name, message)


def _check_compacted(topic: Topic, message: Any) -> None:
    """Nothing is ever compacted here, so who may read what is left reads everything."""
    if message.read_compacted and not topic.name.is_persistent:
        raise Refused(ServerError.NotAllowedError, "readCompacted only valid on persistent topics")
    if message.read_compacted and message.subType not in (EXCLUSIVE, FAILOVER):
        text = "readCompacted only allowed on failover or exclusive subscriptions"
        raise Refused(ServerError.NotAllowedError, text)


def _attach(session: "Session", topic_name: TopicName, message: Any, has_probed: bool = False) -> None:
    topic = session.broker.store.open(topic_name, message.force_topic_creation)
    _check_compacted(topic, message)
    consumer_schema(session, topic, message)
    existing = topic.subscriptions.get(message.subscription)
    subscription = existing or _new_subscription(session, topic, message)
    consumer = Consumer(
        consumer_id=message.consumer_id,
        name=message.consumer_name,
        subscription=subscription,
        link=session,
        priority=message.priority_level,
        epoch=message.consumer_epoch if message.HasField("consumer_epoch") else None,
        key_shared=message.keySharedMeta,
        has_any_schema=takes_any_schema(message),
        properties={pair.key: pair.value for pair in message.metadata},
    )
    holder = subscription.check(consumer, message.subType, message.durable)
    if holder is not None:
        if holder.link is session or has_probed:
            raise subscription.refusal(holder)
        session.consumers[message.consumer_id] = None
        holder.link.probe().add_done_callback(lambda _alive: _after_probe(session, topic_name, message))
        return
    topic.subscriptions[subscription.name] = subscription
    session.consumers[message.consumer_id] = consumer
    log.info("%s: consumer %r on %s, %s", session.peer, consumer.name, topic_name.full, subscription.name)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)
    subscription.add(consumer, message.subType)


def _after_probe(session: "Session", topic_name: TopicName, message: Any) -> None:
    """The holder of what this consumer wants answered the broker's PING, or its link is gone."""
    if session.closed or session.consumers.get(message.consumer_id, session) is not None:
        return  # The newcomer gave up meanwhile.
    del session.consumers[message.consumer_id]
    try:
        _attach(session, topic_name, message, has_probed=True)
    except Refused as refusal:
        session.send_error(message.request_id, refusal.code, refusal.text)


def _new_subscription(session: "Session", topic: Topic, message: Any) -> Subscription:
    start = 0 if message.initialPosition == _SUBSCRIBE.Earliest else len(topic.entries)
    if not message.durable and message.HasField("start_message_id"):
        # At the start id, not after it: clients drop what they know. Past the end the initial position decides.
        wanted = topic.count_before(message.start_message_id.ledgerId, message.start_message_id.entryId)
        start = start if wanted is None else wanted
    if message.start_message_rollback_duration_sec:
        seconds = time.time() - message.start_message_rollback_duration_sec
        start = topic.index_published_at(int(seconds * 1000))
    return topic.new_subscription(message.subscription, start, message.durable, session.broker.dispatch_limits)


def message_command(consumer: Consumer, delivery: Delivery) -> Any:
    """The command MESSAGE for one delivery."""
    command = BaseCommand()
    command.type = BaseCommand.MESSAGE
    message = command.message
    message.consumer_id = consumer.consumer_id
    message_id = message.message_id
    message_id.ledgerId = delivery.entry.ledger_id
    message_id.entryId = delivery.entry.entry_id
    message_id.partition = consumer.subscription.topic.partition
    if delivery.redelivery_count:
        message.redelivery_count = delivery.redelivery_count
    if delivery.unacknowledged_bits is not None:
        message.ack_set.extend(words_from_bits(delivery.unacknowledged_bits))
    if consumer.epoch is not None and consumer.subscription.marks_epochs:
        message.consumer_epoch = consumer.epoch
    return command


def tell_active(session: "Session", consumer: Consumer, active: bool) -> None:
    """ACTIVE_CONSUMER_CHANGE, to clients new enough to know it."""
    if session.protocol_version >= _ACTIVE_CONSUMER_NOTICE_VERSION:
        session.send(BaseCommand.ACTIVE_CONSUMER_CHANGE, consumer_id=consumer.consumer_id, is_active=active)


def tell_end_of_topic(session: "Session", consumer: Consumer) -> None:
    """REACHED_END_OF_TOPIC, to clients new enough to know it."""
    if session.protocol_version >= _END_OF_TOPIC_NOTICE_VERSION:
        session.send(BaseCommand.REACHED_END_OF_TOPIC, consumer_id=consumer.consumer_id)


def flow(session: "Session", message: Any, _payload: bytes) -> None:
    """FLOW: more permits. For a consumer that is not open (yet) it is dropped, as the broker does."""
    consumer = session.consumers.get(message.consumer_id)
    if consumer is None:
        log.warning("%s: FLOW for consumer %d, which is not open, dropped", session.peer, message.consumer_id)
        return
    consumer.subscription.flow(consumer, message.messagePermits)


def acknowledge(session: "Session", message: Any, _payload: bytes) -> None:
    """ACK: answered only when it has a request id, and not at all for a consumer that is not open."""
    consumer = session.consumers.get(message.consumer_id)
    if consumer is None:
        log.warning("%s: ACK for consumer %d, which is not open, dropped", session.peer, message.consumer_id)
        return
    subscription = consumer.subscription
    if message.HasField("validation_error"):
        error = api.CommandAck.ValidationError.Name(message.validation_error)
        log.warning("%s: consumer %r acknowledges with %s", session.peer, consumer.name, error)
    if message.ack_type == api.CommandAck.Individual:
        for message_id in message.message_id:
            subscription.acknowledge(message_id.ledgerId, message_id.entryId, _bits(message_id))
    elif len(message.message_id) != 1 or not subscription.takes_cumulative:
        log.warning("%s: cumulative ACK ignored (Shared or Key_Shared, or not exactly one message id)", session.peer)
    else:
        message_id = message.message_id[0]
        subscription.acknowledge_up_to(message_id.ledgerId, message_id.entryId, _bits(message_id))
    if message.HasField("request_id"):
        session.send(
            BaseCommand.ACK_RESPONSE, consumer_id=message.consumer_id, request_id=message.request_id
        )


def _bits(message_id: Any) -> int | None:
    return bits_from_words(message_id.ack_set) if message_id.ack_set else None


def redeliver(session: "Session", message: Any, _payload: bytes) -> None:
    """REDELIVER_UNACKNOWLEDGED_MESSAGES, with ids or for all."""
    consumer = session.consumers.get(message.consumer_id)
    if consumer is not None:
        positions = [(message_id.ledgerId, message_id.entryId) for message_id in message.message_ids]
        epoch = message.consumer_epoch if message.HasField("consumer_epoch") else None
        consumer.subscription.redeliver(consumer, positions, epoch)


def close_consumer(session: "Session", message: Any, _payload: bytes) -> None:
    """CLOSE_CONSUMER: SUCCESS, also for an id that is not open."""
    consumer = session.consumers.pop(message.consumer_id, None)
    if consumer is not None:
        subscription = consumer.subscription
        subscription.remove(consumer)
        subscription.topic.drop_if_unused(subscription)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)


def _open_consumer(session: "Session", message: Any) -> Consumer:
    consumer = session.consumers.get(message.consumer_id)
    if consumer is None:
        raise Refused(ServerError.MetadataError, "Consumer not found")
    return consumer


def unsubscribe(session: "Session", message: Any, _payload: bytes) -> None:
    """UNSUBSCRIBE: the subscription is deleted; refused while other consumers use it, unless forced."""
    consumer = _open_consumer(session, message)
    subscription = consumer.subscription
    if len(subscription.consumers) > 1 and not message.force:
        text = "Unconnected or shared consumer attempting to unsubscribe"
        raise Refused(ServerError.MetadataError, text)
    del session.consumers[message.consumer_id]
    subscription.consumers.remove(consumer)
    subscription.close_all()
    subscription.topic.subscriptions.pop(subscription.name, None)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)


def seek(session: "Session", message: Any, _payload: bytes) -> None:
    """SEEK: the consumers are closed, the cursor is moved, then SUCCESS; clients subscribe again."""
    if not (message.HasField("message_id") or message.HasField("message_publish_time")):
        text = "Message id and message publish time were not present"
        raise Refused(ServerError.MetadataError, text)
    subscription = _open_consumer(session, message).subscription
    topic = subscription.topic
    if not topic.name.is_persistent:
        session.send(BaseCommand.SUCCESS, request_id=message.request_id)
        return
    bits = None
    if message.HasField("message_id"):
        message_id = message.message_id
        before = topic.count_before(message_id.ledgerId, message_id.entryId)
        index = len(topic.entries) if before is None else before
        if topic.find(message_id.ledgerId, message_id.entryId) is not None:
            bits = _bits(message_id)
    else:
        index = topic.index_published_at(message.message_publish_time)
    subscription.close_all()
    subscription.cursor.reset(index, bits)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)


def get_last_message_id(session: "Session", message: Any, _payload: bytes) -> None:
    """GET_LAST_MESSAGE_ID: the last entry, and how far the subscription is acknowledged."""
    subscription = _open_consumer(session, message).subscription
    topic = subscription.topic
    if not topic.name.is_persistent:
        raise Refused(ServerError.UnknownError, "A non-persistent topic has no last message id")
    last = api.MessageIdData(ledgerId=NO_ID, entryId=NO_ID, partition=topic.partition, batch_index=-1)
    if topic.entries:
        entry = topic.entries[-1]
        last.ledgerId, last.entryId = entry.ledger_id, entry.entry_id
        last.batch_index = entry.message_count - 1 if entry.is_batch else -1
    ledger_id, entry_id = topic.position(subscription.cursor.acknowledged_before - 1)
    session.send(
        BaseCommand.GET_LAST_MESSAGE_ID_RESPONSE,
        request_id=message.request_id,
        last_message_id=last,
        consumer_mark_delete_position=api.MessageIdData(ledgerId=ledger_id, entryId=entry_id % 2**64),
    )


HANDLERS = {
    BaseCommand.SUBSCRIBE: subscribe,
    BaseCommand.FLOW: flow,
    BaseCommand.ACK: acknowledge,
    BaseCommand.REDELIVER_UNACKNOWLEDGED_MESSAGES: redeliver,
    BaseCommand.CLOSE_CONSUMER: close_consumer,
    BaseCommand.UNSUBSCRIBE: unsubscribe,
    BaseCommand.SEEK: seek,
    BaseCommand.GET_LAST_MESSAGE_ID: get_last_message_id,
}
