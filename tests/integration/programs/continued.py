"""Sends readings that are numbered from 0, each number its sequence id; goes on where an earlier process was killed.

Options: url, token, topic, name (of the producer), stored (the highest id that the earlier one noted, -1: none), how:
    "ids": every reading behind that one is sent with its id, whatever the broker has of them already.
    "offline": the same, with a producer that is there before its broker.
    "batches": in batches; the broker says where to go on, which is never before the id noted.
and total. Says `stored` with the highest id that was confirmed, every now and then.
"""
import asyncio

from numbered import message
from program import run, same, say

from mpy_pulsar import AuthenticationToken, Client

_WINDOW = 8
_EVERY = 20


async def _by_ids(producer, first, total):
    waiting = []
    for number in range(first, total):
        waiting.append(asyncio.create_task(producer.send(message(number), sequence_id=number)))
        if len(waiting) == _WINDOW:
            await waiting.pop(0)
        if number % _EVERY == 0:
            say("stored", id=producer.last_sequence_id())
    for task in waiting:
        await task


async def _in_batches(producer, total):
    for number in range(producer.last_sequence_id() + 1, total):
        content = message(number)
        if not producer.has_room(len(content)):
            await producer.room(len(content))
        producer.send_nowait(content)
        if number % _EVERY == 0:
            say("stored", id=producer.last_sequence_id())
            await asyncio.sleep(0)
    await producer.flush()


async def main(options):
    stored, total = options["stored"], options["total"]
    async with Client(
        options["url"], authentication=AuthenticationToken(options["token"]), allow_plaintext_token=True
    ) as client:
        producer = await client.create_producer(
            options["topic"], producer_name=options["name"], send_buffer_size=4096, batching_max_messages=10,
            initial_sequence_id=stored if options["how"] == "batches" else None, wait=options["how"] != "offline",
        )
        if options["how"] == "batches":
            await _in_batches(producer, total)
        else:
            await _by_ids(producer, stored + 1, total)
        same(producer.last_sequence_id(), total - 1, "last_sequence_id")


run(main)
