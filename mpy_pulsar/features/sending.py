"""`Producer.send` and `Producer.send_batch`; who only uses `send_nowait` never loads them."""
import asyncio

from ..core.message_id import MessageId
from ..core.topic import is_partition
from ..errors import MessageTooBig, QueueFull
from ..port import LARGE_MESSAGES
from ..wire.batch import ENTRY_HEAD
from ..wire.writer import message


async def send(producer, content, fields, replication_clusters, disable_replication):
    """See `Producer.send`; fields: as for features/fields."""
    if replication_clusters or disable_replication:
        from .options import refuse

        refuse("send", {"replication_clusters": replication_clusters, "disable_replication": disable_replication})
    if content is not None:
        _check(content)
        if not fields[0] and fields[1:] == (None, None, None, None, None, None):
            fields = None
    try:
        await _queue(producer, _take, content, fields, producer.block)
    except QueueFull:
        if producer.newest:
            raise producer.newest.refuse(1)
        raise
    ring = producer.core.ring
    index = ring.last_index()
    return await _outcome(producer, _sender_ticket(producer), index)


def _check(content):
    if content.__class__ is not bytes and content.__class__ is not bytearray:
        from .payload import check

        check(content)


def _take(producer, content, fields):
    """Queue one message, if there is room."""
    core = producer.core
    try:
        if fields is None:
            wake = core.ring.add(content) if producer.batching else core.ring.add_unbatched(content)
        else:
            from .fields import add

            wake = add(core, producer.batching, content, fields)
    except MessageTooBig:
        if not LARGE_MESSAGES:
            raise
        from .fields import add_large

        wake = add_large(core, content, fields)
    if wake:
        producer.core.wake()


async def _queue(producer, take, content, fields, block=True):
    """Call `take(producer, content, fields)` when there is room for it; who came first is first. block: may it wait?"""
    if not producer.waiting:
        try:
            take(producer, content, fields)
            return
        except QueueFull:
            producer.core.wake()
            if not block:
                raise
    elif not block:
        raise QueueFull("others wait for room in the send buffer")
    if not producer.line:
        producer.line = asyncio.Lock()
    producer.waiting += 1
    try:
        async with producer.line:
            while True:
                producer.freed.clear()
                try:
                    take(producer, content, fields)
                    return
                except QueueFull:
                    producer.core.wake()
                await producer.freed.wait()
    finally:
        producer.waiting -= 1


def _sender_ticket(producer):
    """The ticket of the batch that holds the message added last, for whoever waits for that message."""
    ticket = producer.ticket(producer.core.ring.last_batch())
    ticket.senders += 1
    return ticket


async def _outcome(producer, ticket, index):
    """The MessageId of the message at `index` in the ticket's batch; raises what became of it instead."""
    try:
        await ticket.settled.wait()
    except BaseException:
        _leave_to_flush(producer.core, [(ticket, index)])
        raise
    if ticket.error:
        raise ticket.error.again()
    return MessageId(ticket.message_id + _partition(producer.core.topic), index, ticket.size)


def _leave_to_flush(core, places):
    """Nobody waits for these messages any more: what becomes of them, or has already, the next flush tells."""
    for ticket, _ in places:
        ticket.senders -= 1
        if ticket.settled.is_set():
            core.refused = core.refused or ticket.error


def _partition(topic):
    """What a receipt leaves out of the message id: the field with the partition's index, nothing for other topics."""
    return message(3, int(topic[topic.rfind("-") + 1:])) if is_partition(topic) else b""


async def send_batch(producer, contents):
    """See `Producer.send_batch`."""
    ring = producer.core.ring
    size = 0
    for content in contents:
        _check(content)  # all before any is queued
        size += len(content) + ENTRY_HEAD
    places = []

    def take_one(producer, content, _):
        _take(producer, content, None)
        places.append((_sender_ticket(producer), ring.last_index()))

    newest = producer.newest
    most = min(ring.max_messages, ring.max_pending)
    fits = size <= min(ring.max_bytes, ring.largest) and size + ring.head_room + ENTRY_HEAD <= len(ring.buffer)
    try:
        if producer.batching and 0 < len(contents) <= most and fits:

            def take_all(producer, contents, size):
                ring.open_batch(size, len(contents))
                for content in contents:
                    take_one(producer, content, None)
                ring.close_batch()

            await _queue(producer, take_all, contents, size, not newest)
        else:
            ring.close_batch()
            for content in contents:
                await _queue(producer, take_one, content, None, not newest)
            ring.close_batch()
    except BaseException as error:
        _leave_to_flush(producer.core, places)
        if newest and isinstance(error, QueueFull):
            raise newest.refuse(len(contents) - len(places))
        raise
    producer.core.wake()
    ids = []
    failure = None
    for number in range(len(places)):
        try:
            ids.append(await _outcome(producer, *places[number]))
        except Exception as error:  # noqa: BLE001
            failure = failure or error
        except BaseException:
            _leave_to_flush(producer.core, places[number + 1:])
            producer.core.refused = producer.core.refused or failure
            raise
    if failure:
        raise failure
    return ids
