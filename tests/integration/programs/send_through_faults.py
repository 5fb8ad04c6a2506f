"""Sends numbered messages in every way at once while the broker misbehaves; says what became of each.

Each line that comes in is one round: topic, total (of messages), client and producer (options). Says `open`, waits for
another line, sends, closes everything and says `sent`. `end` ends it.
"""
import asyncio
import json
import sys

from numbered import add_to_runs, message
from program import nothing_left, run, say

from mpy_pulsar import Client, PulsarError
from mpy_pulsar.net.stream import sleep_ms

_LARGEST = 100
_LIST = 5  # messages for one send_batch
_PAUSE = 2  # ms, so that there are many frames


class Round:
    """A producer, and the fate of every message it was given; messages are numbered in the order they were taken."""

    def __init__(self, producer, total):
        self.count = 0
        self.acknowledged = []  # number, ledger, entry, index
        self.failed = []  # number, the error's text
        self.bare = []  # runs of those sent by send_nowait
        self.lost = []  # first and last of those transmitted and not confirmed when a link was lost
        self.ended = None  # the error that ended the producer
        self._total = total
        self._producer = producer
        self._core = producer.core
        self._on_lost = producer.core.on_lost
        producer.core.on_lost = self._losing

    def _losing(self):
        ring = self._core.ring
        waiting = ring.last_index() + 1 if ring.last_batch() == ring.open else 0
        sizes = [max(ring.size_of(batch), 1) for batch in range(ring.oldest, ring.open)]
        first = self.count - waiting - sum(sizes)
        self.lost.append([first, first + sum(sizes[:ring.unsent - ring.oldest]) - 1])
        self._on_lost()

    def _next(self):
        self.count += 1
        return self.count - 1

    def _stored(self, number, message_id):
        self.acknowledged.append([
            number, message_id.ledger_id(), message_id.entry_id(), message_id.batch_index()
        ])

    async def _send(self):
        while self.count < self._total:
            await self._producer.room(_LARGEST)
            number = self._next()
            try:
                self._stored(number, await self._producer.send(message(number)))
            except PulsarError as error:
                self.failed.append([number, str(error)])
            await sleep_ms(_PAUSE)

    async def _send_lists(self):
        ring = self._core.ring
        while self.count < self._total:
            # A list takes a batch of its own: only without an open one does `room` speak of that.
            ring.close_batch()
            while not self._producer.has_room(_LIST * _LARGEST):
                await self._producer.room(_LIST * _LARGEST)
                ring.close_batch()
            numbers = [self._next() for _ in range(_LIST)]
            try:
                ids = await self._producer.send_batch([message(number) for number in numbers])
                for number, message_id in zip(numbers, ids):
                    self._stored(number, message_id)
            except PulsarError as error:
                for number in numbers:
                    self.failed.append([number, str(error)])
            await sleep_ms(_PAUSE)

    async def _send_bare(self):
        while self.count < self._total:
            for _ in range(3):
                await self._producer.room(_LARGEST)
                number = self._next()
                self._producer.send_nowait(message(number))
                add_to_runs(self.bare, number)
            await sleep_ms(_PAUSE)

    async def _until_the_end(self, work):
        try:
            await work
        except PulsarError as error:
            self.ended = str(error)

    async def go(self):
        """Send them all; what the flush at the end said, None: nothing."""
        ways = self._send(), self._send(), self._send_lists(), self._send_bare()
        await asyncio.gather(*[self._until_the_end(way) for way in ways])
        try:
            await self._producer.flush()
        except PulsarError as error:
            return str(error)
        return None


async def one_round(order):
    errors = []

    def keep(error):
        errors.append(str(error))

    client = Client(order["url"], on_error=keep, **order.get("client", {}))
    try:
        producer = await client.create_producer(order["topic"], **order.get("producer", {}))
        say("open")
        sys.stdin.readline()
        sending = Round(producer, order["total"])
        flushed = await sending.go()
    finally:
        try:
            await client.close()
        except PulsarError:
            pass  # what it tells, the flush has told
    await nothing_left()
    say(
        "sent", count=sending.count, acknowledged=sending.acknowledged, failed=sending.failed, bare=sending.bare,
        lost=sending.lost, ended=sending.ended, flushed=flushed, errors=errors,
    )


async def main(_):
    line = sys.stdin.readline()
    while line.strip() != "end":
        await one_round(json.loads(line))
        line = sys.stdin.readline()


run(main)
