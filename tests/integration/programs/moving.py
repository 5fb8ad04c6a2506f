"""A producer and a consumer of one topic that say how they are whenever they are asked; the topic moves meanwhile.

Options: url, topic, client (options of Client). Says `open`. Then a line each: a number, so many numbered messages are
sent and received, then `exchanged`; `states`: says `states`; `end`: closes everything, says `closed`. Each says what
was reported since the last time, and the states of the producer since the start.
"""
import asyncio
import sys

from numbered import message, number_of
from program import run, say, same

from mpy_pulsar import Client


class Ends:
    """The client, its producer and its consumer, and what was told of them."""

    def __init__(self):
        self.told = []
        self.states = []
        self.count = 0

    def keep(self, error):
        """An error that belongs to no call."""
        self.told.append([error.code, error.__class__.__name__, error.broker, error.topic, str(error)])

    async def watch(self, producer):
        """All its states."""
        state = producer.state()
        self.states.append(state)
        while state not in ("closed", "failed"):
            state = await producer.state_changed()
            self.states.append(state)

    def say(self, kind, **more):
        """With all that was told since the last time."""
        told, self.told = self.told, []
        say(kind, told=told, states=self.states, **more)


async def exchange(ends, producer, consumer, count):
    """Send so many messages, and receive them; after a move some of before may come once more."""
    last = ends.count + count
    for number in range(ends.count, last):
        await producer.send(message(number))
    wanted = set(range(ends.count, last))
    while wanted:
        received = await consumer.receive(20000)
        wanted.discard(number_of(received.data()))
        await consumer.acknowledge(received)
    ends.count = last


async def main(options):
    ends = Ends()
    client = Client(options["url"], on_error=ends.keep, **options.get("client", {}))
    same(client.state(), "idle", "before anything")
    consumer = await client.subscribe(options["topic"], "moving", initial_position=1)
    producer = await client.create_producer(options["topic"], producer_name="moving")
    watching = asyncio.create_task(ends.watch(producer))
    await exchange(ends, producer, consumer, 3)
    ends.say("open")
    line = sys.stdin.readline().strip()
    while line != "end":
        if line == "states":
            ends.say("states", client=client.state(), producer=producer.state(), consumer=consumer.state())
        else:
            await exchange(ends, producer, consumer, int(line))
            while client.state() != "open":
                await client.state_changed()
            ends.say("exchanged")
        line = sys.stdin.readline().strip()
    await client.close()
    await watching
    same(client.state(), "closed", "after everything")
    ends.say("closed")


run(main)
