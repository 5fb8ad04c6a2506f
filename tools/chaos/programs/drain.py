"""Receives numbered messages, acknowledges every one and says their numbers; CPython and a board's heap of 64 KB.

Standard input, a line each: service URL, topic, subscription, name of the listener to ask for (empty: none), permits
(0: the default). A further line or its end: stop.

Standard output, a line each: `o` it is open; `m NUMBER` received; `e TEXT` an error that belongs to no call; `p`
passed, the last.
"""
import sys

if sys.implementation.name == "micropython":
    from gc import threshold

    threshold(4096)
import asyncio

from mpy_pulsar import AlreadyClosed, Client
from numbered import number_of
from said import say, told

_url, _topic, _subscription, _listener = [sys.stdin.readline().strip() for _ in range(4)]
_permits = int(sys.stdin.readline())


async def receive(consumer):
    """All that comes, until it is closed."""
    try:
        while True:
            message = await consumer.receive()
            say("m %d" % number_of(message.data()))
            await consumer.acknowledge(message)
    except AlreadyClosed:
        pass


def _report(error):
    say("e %s" % error)


async def main():
    client = Client(_url, listener_name=_listener or None, on_error=_report, operation_timeout_seconds=120)
    consumer = await client.subscribe(
        _topic, _subscription, initial_position=1, receiver_queue_size=_permits or None
    )
    say("o")
    task = asyncio.create_task(receive(consumer))
    while not told():
        await asyncio.sleep(0.1)
    await client.close()
    await task


asyncio.run(main())
say("p")
