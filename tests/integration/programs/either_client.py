"""One program in the names of pulsar.asyncio, for whichever of the two clients its options name; only imports differ.

It prints a record for each thing it saw, without what no two runs share (ids, times, names made by a broker).
"""
import asyncio

from program import options, say

settings = options()
if settings["client"] == "pulsar":
    from pulsar import AuthenticationToken, ConsumerType, InitialPosition, MessageId
    from pulsar.asyncio import Client
else:
    from mpy_pulsar import AuthenticationToken, Client, ConsumerType, InitialPosition, MessageId

# Apache's client takes a token over plaintext silently, ours wants to be told; both brokers of the tests are local.
topic = settings["topic"]
client_options = {"authentication": AuthenticationToken(settings["token"]), "operation_timeout_seconds": 30}


def show(message):
    """What two clients must agree on."""
    return {
        "data": message.data().decode(),
        "properties": sorted([list(pair) for pair in message.properties().items()]),
        "partition_key": message.partition_key(),
        "ordering_key": message.ordering_key() if isinstance(message.ordering_key(), str)
        else message.ordering_key().decode(),
        "event_timestamp": message.event_timestamp(),
        "published": message.publish_timestamp() > 1_700_000_000_000,
        "topic": message.topic_name() == topic,
        "producer": message.producer_name(),
        "redelivered": message.redelivery_count() > 0,
        "null": message.has_null_value(),
        "partition": message.message_id().partition(),
    }


async def produce(client):
    producer = await client.create_producer(
        topic, producer_name="press-17", properties={"line": "7"}, initial_sequence_id=99,
        batching_max_messages=10, batching_max_publish_delay_ms=5, send_timeout_millis=20000,
    )
    say("producer", topic=producer.topic() == topic, name=producer.producer_name(), connected=producer.is_connected())
    first = await producer.send(b"plain")
    say("sequence", last=producer.last_sequence_id())
    second = await producer.send(
        b"dressed", properties={"unit": "bar", "empty": ""}, partition_key="valve", event_timestamp=12,
    )
    await producer.send(b"ordered", ordering_key="o-1", partition_key="p-1")
    await asyncio.gather(*[producer.send(b"together %d" % number) for number in range(5)])
    await producer.flush()
    say("sequence", last=producer.last_sequence_id())
    copy = MessageId.deserialize(first.serialize())
    say("ids", same=(copy.ledger_id(), copy.entry_id()) == (first.ledger_id(), first.entry_id()),
        before=first < second, other=first != second, partition=first.partition())
    await producer.close()


async def consume(client):
    consumer = await client.subscribe(
        topic, "workers", consumer_type=ConsumerType.Shared, initial_position=InitialPosition.Earliest,
        consumer_name="worker-1", properties={"role": "test"}, receiver_queue_size=20,
        negative_ack_redelivery_delay_ms=200,
    )
    say("consumer", topic=consumer.topic() == topic, name=consumer.consumer_name(),
        subscription=consumer.subscription_name())
    for _ in range(8):
        message = await consumer.receive()
        say("message", **show(message))
        if message.data() == b"plain":
            await consumer.negative_acknowledge(message)
        else:
            await consumer.acknowledge(message)
    again = await consumer.receive()
    say("again", **show(again))
    await consumer.acknowledge(again.message_id())
    last = await consumer.get_last_message_id()
    say("last", later=last >= again.message_id())
    await consumer.seek(1)
    message = await consumer.receive()
    say("sought", data=message.data().decode())
    consumer.redeliver_unacknowledged_messages()
    await consumer.unsubscribe()
    await consumer.close()


async def cumulate(client):
    consumer = await client.subscribe(topic, "log", initial_position=InitialPosition.Earliest)
    for _ in range(3):
        message = await consumer.receive()
    await consumer.acknowledge_cumulative(message)
    await consumer.close()
    consumer = await client.subscribe(topic, "log")
    message = await consumer.receive()
    say("after", data=message.data().decode())
    await consumer.close()


async def read(client):
    reader = await client.create_reader(topic, MessageId.earliest, reader_name="reader-1")
    say("reader", topic=reader.topic() == topic, connected=reader.is_connected())
    seen = []
    middle = None
    while await reader.has_message_available():
        message = await reader.read_next()
        seen.append(message.data().decode())
        if len(seen) == 2:
            middle = message.message_id()
    say("read", seen=seen[:3], count=len(seen))
    await reader.close()
    for inclusive in (False, True):
        reader = await client.create_reader(topic, middle, start_message_id_inclusive=inclusive)
        message = await reader.read_next()
        say("from", inclusive=inclusive, data=message.data().decode())
        await reader.close()


async def main():
    client = Client(settings["url"], **client_options)
    say("partitions", own=await client.get_topic_partitions(topic) == [topic])
    await produce(client)
    await consume(client)
    await cumulate(client)
    await read(client)
    await client.close()
    say("passed", outcome=None)


asyncio.run(main())
