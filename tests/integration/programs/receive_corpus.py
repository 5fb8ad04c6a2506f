"""Receives a topic from its beginning to corpus.END and says `received` with all that each message carries.

Options: url, token, topic, subscription.
"""
import binascii
import hashlib

import corpus
from program import run, say

from mpy_pulsar import AuthenticationToken, Client, InitialPosition

_SHOWN = 300  # bytes; of longer contents the SHA-256


def _hex(data):
    return binascii.hexlify(data).decode()


def _say_received(message):
    data = message.data()
    message_id = message.message_id()
    say(
        "received", size=len(data), content=_hex(data if len(data) <= _SHOWN else hashlib.sha256(data).digest()),
        properties=message.properties(), partition_key=message.partition_key(),
        ordering_key=message.ordering_key().decode(), event_timestamp=message.event_timestamp(),
        publish_timestamp=message.publish_timestamp(), producer_name=message.producer_name(),
        sequence_id=message.sequence_id(), topic_name=message.topic_name(), redelivery_count=message.redelivery_count(),
        ledger=message_id.ledger_id(), entry=message_id.entry_id(), partition=message_id.partition(),
        index=message_id.batch_index(), serialized=_hex(message_id.serialize()), place=message.batch_place(),
        null=message.has_null_value(), schema_version=_hex(message.schema_version()),
    )


async def main(options):
    client = Client(options["url"], authentication=AuthenticationToken(options["token"]), read_buffer_size=200_000)
    async with client, await client.subscribe(
        options["topic"], options["subscription"], initial_position=InitialPosition.Earliest
    ) as consumer:
        while True:
            message = await consumer.receive()
            _say_received(message)
            await consumer.acknowledge(message)
            if message.data() == corpus.END:
                break


run(main)
