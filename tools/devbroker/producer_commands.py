"""PRODUCER, SEND and CLOSE_PRODUCER."""

import logging
from typing import TYPE_CHECKING, Any

from tools.devbroker.access import SHARED_ACCESS, Producer
from tools.devbroker.frames import (
    NO_ID,
    BaseCommand,
    ProtocolViolation,
    Refused,
    ServerError,
    checksum_matches,
    parse_metadata,
    split_entry,
)
from tools.devbroker.lookup_commands import parse_topic
from tools.devbroker.migration import turned_away
from tools.devbroker.names import TopicName
from tools.devbroker.schema_commands import producer_schema
from tools.devbroker.topic import Entry, NotStored, Write

if TYPE_CHECKING:
    from tools.devbroker.session import Session

log = logging.getLogger(__name__)


def require_looked_up(session: "Session", topic_name: TopicName) -> None:
    """Raises Refused (ServiceNotReady) for a topic nobody looked up since the broker started."""
    if session.broker.require_lookup and not session.broker.serves(topic_name):
        text = f"Topic {topic_name.full} is not served by this instance. Please redo the lookup."
        raise Refused(ServerError.ServiceNotReady, text)


def open_producer(session: "Session", message: Any, _payload: bytes) -> None:
    """PRODUCER: PRODUCER_SUCCESS, at once or after a look at the peer that holds the name."""
    topic_name = parse_topic(session, message.topic)
    require_looked_up(session, topic_name)
    if turned_away(session, topic_name, message.producer_id):
        return
    if message.producer_id in session.producers:
        existing = session.producers[message.producer_id]
        if existing is None or existing.is_waiting:
            text = "Producer is already present on the connection"
            raise Refused(ServerError.ServiceNotReady, text)
        session.send(
            BaseCommand.PRODUCER_SUCCESS,
            request_id=message.request_id,
            producer_name=existing.name,
            last_sequence_id=-1,  # As a real broker answers here, whatever deduplication knows.
            schema_version=existing.schema_version,
            producer_ready=True,
        )
        return
    _admit(session, topic_name, message)


def _admit(session: "Session", topic_name: TopicName, message: Any) -> None:
    store = session.broker.store
    topic = store.open(topic_name)
    schema_version = producer_schema(session, topic, message)
    producer = Producer(
        name=message.producer_name or store.new_producer_name(),
        producer_id=message.producer_id,
        topic=topic,
        link=session,
        access_mode=message.producer_access_mode,
        topic_epoch=message.topic_epoch if message.HasField("topic_epoch") else None,
        request_id=message.request_id,
        schema_version=schema_version,
        properties={pair.key: pair.value for pair in message.metadata},
    )
    topic.check_access(producer)
    holder = topic.producers.get(producer.name)
    if producer.access_mode == SHARED_ACCESS and holder is not None and holder.link is not session:
        session.producers[message.producer_id] = None
        holder.link.probe().add_done_callback(
            lambda alive: _after_probe(session, topic_name, message, alive.cancelled() or alive.result())
        )
        return
    initial = message.initial_subscription_name
    if initial and topic.name.is_persistent and initial not in topic.subscriptions:
        # So that nothing is lost of what is sent before anybody subscribes.
        topic.subscriptions[initial] = topic.new_subscription(initial, 0, True, session.broker.dispatch_limits)
    topic.admit(producer)
    session.producers[message.producer_id] = producer
    log.info("%s: producer %s on %s", session.peer, producer.name, topic_name.full)
    _confirm(session, producer)


def _after_probe(session: "Session", topic_name: TopicName, message: Any, holder_alive: bool) -> None:
    """The holder of a name answered the broker's PING, or its link is gone."""
    if session.closed or session.producers.get(message.producer_id, session) is not None:
        return  # The newcomer gave up meanwhile.
    del session.producers[message.producer_id]
    try:
        if holder_alive:
            raise session.broker.store.topic(topic_name).admission.name_held(message.producer_name)
        _admit(session, topic_name, message)
    except Refused as refusal:
        session.send_error(message.request_id, refusal.code, refusal.text)


def _confirm(session: "Session", producer: Producer) -> None:
    has_epoch = producer.topic_epoch is not None and not producer.is_waiting
    session.send(
        BaseCommand.PRODUCER_SUCCESS,
        request_id=producer.request_id,
        producer_name=producer.name,
        last_sequence_id=-1 if producer.is_waiting else producer.topic.last_sequence_id(producer.name),
        schema_version=producer.schema_version,
        producer_ready=not producer.is_waiting,
        **({"topic_epoch": producer.topic_epoch} if has_epoch else {}),
    )


def end_waiting(session: "Session", producer: Producer, refusal: Refused | None) -> None:
    """The second answer to PRODUCER, for one that waited for the topic to itself."""
    if refusal is None:
        _confirm(session, producer)
    else:
        session.producers.pop(producer.producer_id, None)
        session.send_error(producer.request_id, refusal.code, refusal.text)


def send(session: "Session", message: Any, payload: bytes) -> None:
    """SEND: the entry is stored whole and confirmed, or refused."""
    producer = session.producers.get(message.producer_id)
    if producer is None or producer.is_waiting:
        raise ProtocolViolation(f"SEND for producer {message.producer_id}, which is not open")
    parts = split_entry(payload)
    if not checksum_matches(payload, parts):
        log.warning("%s: wrong checksum, producer %s", session.peer, producer.name)
        _refuse(session, message, Refused(ServerError.ChecksumError, "Checksum failed on the broker"))
        return
    metadata = parse_metadata(payload, parts)
    count = max(metadata.num_messages_in_batch, 1)
    if message.num_messages != count:
        log.warning("%s: SEND says %d messages, its metadata %d", session.peer, message.num_messages, count)
    write = Write(
        topic=producer.topic,
        producer_name=producer.name,
        first_id=message.sequence_id,
        highest_id=_highest_id(message),
        data=payload,
        parts=parts,
        metadata=metadata,
        on_stored=lambda entry: _confirm_send(session, message, entry),
        on_failed=lambda refusal: _refuse(session, message, refusal),
    )
    try:
        producer.topic.push(write)
    except Refused as refusal:
        _refuse(session, message, refusal)
    except NotStored:
        _confirm_send(session, message, None)


def _highest_id(message: Any) -> int:
    return max(message.highest_sequence_id, message.sequence_id)


def _refuse(session: "Session", message: Any, refusal: Refused) -> None:
    """SEND_ERROR, which names a SEND by its last id."""
    log.info("%s: SEND %d refused: %s", session.peer, message.sequence_id, refusal.text)
    session.send(
        BaseCommand.SEND_ERROR,
        producer_id=message.producer_id,
        sequence_id=_highest_id(message),
        error=refusal.code,
        message=refusal.text,
    )


def _confirm_send(session: "Session", message: Any, entry: Entry | None) -> None:
    """SEND_RECEIPT, which names a SEND by its first id; None: it was not stored."""
    command = BaseCommand()
    command.type = BaseCommand.SEND_RECEIPT
    receipt = command.send_receipt
    receipt.producer_id = message.producer_id
    receipt.sequence_id = message.sequence_id
    receipt.highest_sequence_id = message.highest_sequence_id if message.HasField("highest_sequence_id") else NO_ID
    receipt.message_id.ledgerId = NO_ID if entry is None else entry.ledger_id
    receipt.message_id.entryId = NO_ID if entry is None else entry.entry_id
    session.send_command(command)


def close_producer(session: "Session", message: Any, _payload: bytes) -> None:
    """CLOSE_PRODUCER: SUCCESS, also for an id that is not open."""
    producer = session.producers.pop(message.producer_id, None)
    session.send(BaseCommand.SUCCESS, request_id=message.request_id)
    if producer is not None:
        producer.topic.remove_producer(producer)


HANDLERS = {
    BaseCommand.PRODUCER: open_producer,
    BaseCommand.SEND: send,
    BaseCommand.CLOSE_PRODUCER: close_producer,
}
