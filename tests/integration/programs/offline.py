"""Producer, consumer and reader of a broker that is not there yet: all are made at once, and work once it is.

Options: url, topic, name (producer_name, None: the one that it gets), count. Says `made` with the producer's name,
`queued` once `count` numbered messages wait to be sent, `trouble` with the first error of the stream, and in the end
`received` with the numbers that came to consumer and reader, and the errors by their codes.
"""
import asyncio

from numbered import message, number_of
from program import run, same, say, true

from mpy_pulsar import Client, MessageId
from mpy_pulsar.port import ticks_diff, ticks_ms

_AT_ONCE_MS = 5000  # no network is waited for, and a busy machine is no fault


async def _errors(client, codes):
    async for error in client.errors():
        if not codes:
            say("trouble", text=str(error))
        codes.append(error.error())


async def _numbers(receive, count):
    numbers = []
    while len(numbers) < count:
        numbers.append(number_of((await receive()).data()))
    return numbers


async def main(options):
    codes = []
    count = options["count"]
    topic = options["topic"]
    async with Client(options["url"], operation_timeout_seconds=1) as client:
        watcher = asyncio.create_task(_errors(client, codes))
        await asyncio.sleep(0)
        started = ticks_ms()
        producer = await client.create_producer(
            topic, wait=False, producer_name=options["name"], send_buffer_size=8192, send_timeout_millis=0,
        )
        consumer = await client.subscribe(topic, "offline", wait=False, initial_position=1)
        reader = await client.create_reader(topic, MessageId.earliest, wait=False)
        true(ticks_diff(ticks_ms(), started) < _AT_ONCE_MS, "waited for the network")
        same(producer.is_connected(), False, "connected")
        say("made", name=producer.producer_name())
        for number in range(count - 1):
            content = message(number)
            true(producer.has_room(len(content)), "no room for message %d" % number)
            producer.send_nowait(content)
        last = asyncio.create_task(producer.send(message(count - 1)))
        both = asyncio.gather(_numbers(consumer.receive, count), _numbers(reader.read_next, count))
        await asyncio.sleep(0)
        say("queued")
        received, read = await both
        same((await last).entry_id() >= 0, True, "the last one's place")
        await producer.flush()
        same(producer.last_sequence_id(), count - 1, "last_sequence_id")
        say("received", received=received, read=read, codes=codes)
    await watcher


run(main)
