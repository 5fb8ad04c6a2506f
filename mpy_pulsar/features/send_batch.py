"""`Producer.send_batch`: a list of messages in as few entries as they fit."""
from ..producer import _message_id
from ..wire.batch import ENTRY_HEAD


async def send_batch(producer, contents):
    """See `Producer.send_batch`."""
    ring = producer._ring
    size = 0
    for content in contents:
        if content.__class__ is str:
            raise TypeError("a message is bytes: encode the str first")
        size += len(memoryview(content)) + ENTRY_HEAD
    places = []

    def place():
        places.append((producer._sender_ticket(), ring.last_index()))

    def take_all(contents, size):
        ring.open_batch(size, len(contents))
        for content in contents:
            producer._take(content, None)
            place()
        ring.close_batch()
        producer.core.wake()

    def take_one(content, fields):
        producer._take(content, fields)
        place()

    most = min(ring.max_messages, ring.max_pending)
    fits = size <= min(ring.max_bytes, ring.largest) and size + ring.head_room + ENTRY_HEAD <= len(ring.buffer)
    if producer._batching and contents and len(contents) <= most and fits:
        await producer._queue(take_all, contents, size)
    else:
        ring.close_batch()
        for content in contents:
            await producer._queue(take_one, content, None)
        ring.close_batch()
        producer.core.wake()
    return await _outcomes(places)


async def _outcomes(places):
    """The ids of all, or the first error once all are known."""
    ids = []
    failure = None
    for number, (ticket, index) in enumerate(places):
        try:
            ids.append(_message_id(await ticket.wait(), index, ticket.size))
        except Exception as error:  # noqa: BLE001
            failure = failure or error
        except BaseException:
            for other, _ in places[number + 1:]:
                other.senders -= 1
            raise
    if failure:
        raise failure
    return ids
