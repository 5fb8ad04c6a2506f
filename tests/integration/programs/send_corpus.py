"""Sends the corpus: one by one, all at once, the bare ones by send_nowait, an end; says `producer` and each `sent`.

Options: url, token, topic.
"""
import asyncio
import binascii

import corpus
from program import run, say

from mpy_pulsar import AuthenticationToken, Client


def _arguments(fields):
    fields = dict(fields)
    if "ordering_key" in fields:
        fields["ordering_key"] = fields["ordering_key"].encode()
    return fields


def _say_sent(message_id):
    say(
        "sent", ledger=message_id.ledger_id(), entry=message_id.entry_id(), partition=message_id.partition(),
        index=message_id.batch_index(), serialized=binascii.hexlify(message_id.serialize()).decode(),
    )


async def main(options):
    client = Client(options["url"], authentication=AuthenticationToken(options["token"]))
    async with client:
        producer = await client.create_producer(
            options["topic"], send_buffer_size=500_000, batching_max_messages=1000,
            batching_max_allowed_size_in_bytes=131_072,
        )
        say("producer", name=producer.producer_name())
        for content, fields in corpus.messages():
            _say_sent(await producer.send(content, **_arguments(fields)))
        sends = [producer.send(content, **_arguments(fields)) for content, fields in corpus.messages()]
        for message_id in await asyncio.gather(*sends):
            _say_sent(message_id)
        for content in corpus.bare_messages():
            await producer.room(len(content))
            producer.send_nowait(content)
        await producer.flush()
        _say_sent(await producer.send(corpus.END))


run(main)
