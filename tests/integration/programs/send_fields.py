"""Sends messages with every field of `send`, batched and unbatched, in one list, from_irq; says what it was told.

Options: url, token, topic. Says `producer`, and for each message its `sent` with the id.
"""
import asyncio

from program import run, same, say, true

from mpy_pulsar import AuthenticationToken, Client

EVENT_TIME = 1_700_000_000_123
PAST = 1_700_000_000_000  # a delivery time that is over
FIELDS = [
    (b"bare", {}),
    (b"binary key", {"partition_key": b"\x00\xff\xfe"}),
    (b"text keys", {"partition_key": "key", "ordering_key": "order"}),
    (None, {"partition_key": "key"}),
    (b"", {"partition_key": "key"}),
    (b"all", {"partition_key": "k", "ordering_key": b"\x01\x02", "properties": {"a": "b"},
              "event_timestamp": EVENT_TIME}),
    (b"deliver at", {"deliver_at": PAST, "properties": {"a": "b"}, "partition_key": b"bin"}),
    (b"deliver after", {"deliver_after": 1, "event_timestamp": EVENT_TIME, "ordering_key": b"o"}),
]


def _say_sent(message_id):
    say("sent", ledger=message_id.ledger_id(), entry=message_id.entry_id(), index=message_id.batch_index())


async def main(options):
    client = Client(options["url"], authentication=AuthenticationToken(options["token"]))
    async with client:
        for batching in (True, False):
            producer = await client.create_producer(
                options["topic"], batching_enabled=batching, send_buffer_size=20000, initial_sequence_id=99,
                properties={"made": "by us"}, max_pending_messages=100, send_timeout_millis=20000, irq_slots=4,
            )
            say("producer", name=producer.producer_name())
            same(producer.last_sequence_id(), 99, "last id before the first")
            for content, fields in FIELDS:
                _say_sent(await producer.send(content, **fields))
            same(producer.last_sequence_id(), 99 + len(FIELDS), "last id")
            _say_sent(await producer.send(b"own id", sequence_id=5000))
            same(producer.last_sequence_id(), 5000, "own id")
            for message_id in await producer.send_batch([b"one", b"two", b"three"]):
                _say_sent(message_id)
            true(producer.from_irq(b"from irq"), "the slots are free")
            while producer.last_sequence_id() < 5004:
                await asyncio.sleep(0)
            producer.send_nowait(b"nowait")
            await producer.flush()
            same(producer.last_sequence_id(), 5005, "last of all")
            await producer.close()


run(main)
