"""Sends numbered messages without a pause while the broker is restarted `cuts` times.

Before each cut it says `ready` and stops until a line comes in; goes on sending, says `flowing`, and sends until its
link is lost. `lost` names the messages that were transmitted and not confirmed at that moment, computed from the
ring's batches and the count of messages that were accepted. In the end it says `sent`: how many, and the last one's id.

Options: url, topic, cuts, total (of messages, at least).
"""
import sys

from numbered import message
from program import run, say

from mpy_pulsar import Client

_BUFFER = 16_384
_BATCH = 50
_FLOWING = 1000  # messages sent after the line came in


class Sender:
    """A producer, how many messages it has taken, and whether its link was lost since `lost` was set False."""

    def __init__(self, producer):
        self.count = 0
        self.lost = False
        self._producer = producer
        self._core = producer.core
        self._on_lost = producer.core.on_lost
        producer.core.on_lost = self._losing

    def _losing(self):
        ring = self._core.ring
        waiting = ring.last_index() + 1 if ring.last_batch() == ring.open else 0
        sizes = [ring.size_of(batch) for batch in range(ring.oldest, ring.open)]
        first = self.count - waiting - sum(sizes)
        say("lost", first=first, last=first + sum(sizes[:ring.unsent - ring.oldest]) - 1)
        self.lost = True
        self._on_lost()

    async def send_one(self):
        """Queue the next message as soon as there is room."""
        content = message(self.count)
        if not self._producer.has_room(len(content)):
            await self._producer.room(len(content))
        self._producer.send_nowait(content)
        self.count += 1


async def main(options):
    async with Client(options["url"]) as client:
        producer = await client.create_producer(
            options["topic"], send_buffer_size=_BUFFER, batching_max_messages=_BATCH
        )
        sender = Sender(producer)
        share = options["total"] // (options["cuts"] + 1)
        for cut in range(options["cuts"]):
            while sender.count < share * (cut + 1):
                await sender.send_one()
            say("ready", count=sender.count)
            sys.stdin.readline()
            sender.lost = False
            flowing = sender.count + _FLOWING
            while not sender.lost:
                await sender.send_one()
                if sender.count == flowing:
                    say("flowing", count=sender.count)
        while sender.count < options["total"]:
            await sender.send_one()
        await producer.flush()
        last = await producer.send(message(sender.count))
        say("sent", count=sender.count + 1, ledger=last.ledger_id(), entry=last.entry_id())


run(main)
