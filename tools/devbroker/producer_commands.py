"""PRODUCER, SEND and CLOSE_PRODUCER."""

import logging
from typing import TYPE_CHECKING, Any

from tools.devbroker.frames import (
    NO_ID,
    BaseCommand,
    ProtocolViolation,
    ServerError,
    api,
    checksum_matches,
    split_entry,
)
from tools.devbroker.lookup_commands import parse_topic
from tools.devbroker.names import TopicName
from tools.devbroker.store import Producer, Refused

if TYPE_CHECKING:
    from tools.devbroker.session import Session

log = logging.getLogger(__name__)

_ACCESS = api.ProducerAccessMode


def require_looked_up(session: "Session", topic_name: TopicName) -> None:
    """Raises Refused (ServiceNotReady) for a topic nobody looked up since the broker started."""
    if session.broker.require_lookup and not session.broker.serves(topic_name):
        text = f"Topic {topic_name.full} is not served by this instance. Please redo the lookup."
        raise Refused(ServerError.ServiceNotReady, text)


def open_producer(session: "Session", message: Any, _payload: bytes) -> None:
    """PRODUCER: PRODUCER_SUCCESS, at once or after a look at the peer that holds the name."""
    topic_name = parse_topic(session, message.topic)
    require_looked_up(session, topic_name)
    if message.producer_id in session.producers:
        existing = session.producers[message.producer_id]
        if existing is None:
            text = "Producer is already present on the connection"
            raise Refused(ServerError.ServiceNotReady, text)
        _confirm(session, message.request_id, existing)
        return
    if message.producer_access_mode in (_ACCESS.WaitForExclusive, _ACCESS.ExclusiveWithFencing):
        mode = _ACCESS.Name(message.producer_access_mode)
        text = f"the development broker does not support the access mode {mode}"
        raise Refused(ServerError.NotAllowedError, text)
    if message.HasField("schema") and message.schema.type != api.Schema.Type.Value("None"):
        log.warning("%s: the schema of producer %d is ignored", session.peer, message.producer_id)
    _admit(session, topic_name, message)


def _admit(session: "Session", topic_name: TopicName, message: Any) -> None:
    store = session.broker.store
    topic = store.topic(topic_name)
    holder = topic.producers.get(message.producer_name)
    if holder is not None and holder.link is not session:
        session.producers[message.producer_id] = None
        holder.link.probe().add_done_callback(
            lambda alive: _after_probe(session, topic_name, message, alive.cancelled() or alive.result())
        )
        return
    producer = Producer(
        name=message.producer_name or store.new_producer_name(),
        producer_id=message.producer_id,
        topic=topic,
        link=session,
        access_mode=message.producer_access_mode,
        topic_epoch=message.topic_epoch if message.HasField("topic_epoch") else None,
    )
    topic.add_producer(producer)
    session.producers[message.producer_id] = producer
    log.info("%s: producer %s on %s", session.peer, producer.name, topic_name.full)
    _confirm(session, message.request_id, producer)


def _after_probe(session: "Session", topic_name: TopicName, message: Any, holder_alive: bool) -> None:
    """The holder of a name answered the broker's PING, or its link is gone."""
    if session.closed or session.producers.get(message.producer_id, session) is not None:
        return  # The newcomer gave up meanwhile.
    del session.producers[message.producer_id]
    try:
        if holder_alive:
            raise session.broker.store.topic(topic_name).name_held(message.producer_name)
        _admit(session, topic_name, message)
    except Refused as refusal:
        session.send_error(message.request_id, refusal.code, refusal.text)


def _confirm(session: "Session", request_id: int, producer: Producer) -> None:
    exclusive = {"topic_epoch": producer.topic_epoch} if producer.is_exclusive else {}
    session.send(
        BaseCommand.PRODUCER_SUCCESS,
        request_id=request_id,
        producer_name=producer.name,
        last_sequence_id=-1,
        schema_version=b"",
        producer_ready=True,
        **exclusive,
    )


def send(session: "Session", message: Any, payload: bytes) -> None:
    """SEND: the entry is stored whole and confirmed, or refused for its checksum."""
    producer = session.producers.get(message.producer_id)
    if producer is None:
        raise ProtocolViolation(f"SEND for producer {message.producer_id}, which is not open")
    parts = split_entry(payload)
    highest = message.highest_sequence_id if message.HasField("highest_sequence_id") else NO_ID
    if not checksum_matches(payload, parts):
        log.warning("%s: wrong checksum, producer %s", session.peer, producer.name)
        session.send(
            BaseCommand.SEND_ERROR,
            producer_id=message.producer_id,
            sequence_id=message.sequence_id if highest == NO_ID else max(highest, message.sequence_id),
            error=ServerError.ChecksumError,
            message="Checksum failed on the broker",
        )
        return
    entry = producer.topic.publish(payload, parts)
    if message.num_messages != entry.message_count:
        log.warning(
            "%s: SEND says %d messages, its metadata %d", session.peer, message.num_messages, entry.message_count
        )
    command = BaseCommand()
    command.type = BaseCommand.SEND_RECEIPT
    receipt = command.send_receipt
    receipt.producer_id = message.producer_id
    receipt.sequence_id = message.sequence_id
    receipt.highest_sequence_id = highest
    receipt.message_id.ledgerId = entry.ledger_id
    receipt.message_id.entryId = entry.entry_id
    session.send_command(command)


def close_producer(session: "Session", message: Any, _payload: bytes) -> None:
    """CLOSE_PRODUCER: SUCCESS, also for an id that is not open."""
    producer = session.producers.pop(message.producer_id, None)
    if producer is not None:
        producer.topic.remove_producer(producer)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)


HANDLERS = {
    BaseCommand.PRODUCER: open_producer,
    BaseCommand.SEND: send,
    BaseCommand.CLOSE_PRODUCER: close_producer,
}
