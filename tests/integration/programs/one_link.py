"""A client that may hold one link, with topics on two brokers: who waits is told of, and goes on once the link is free.

Options: url, here (a topic), there (one on another broker), moving (one beside `here`, until `both` is said: then
whoever runs this moves it to the other broker). Says `told` with each error about links.
"""
import asyncio
import os

from numbered import message
from program import run, same, say, true

from mpy_pulsar import Client

_FOLDER = "/proc/self/fd"


def _files():
    """How many files and sockets are open; 0 where that cannot be known."""
    try:
        return len(os.listdir(_FOLDER))
    except OSError:
        return 0


async def _told(errors, topics):
    """The next error about links, which must name these topics."""
    async for error in errors:
        text = str(error)
        if "max_links=1" in text:
            for topic in topics:
                true(topic in text, "%s is not named in %s" % (topic, text))
            say("told", text=text)
            return
    raise AssertionError("the stream of errors ended")


def _links(client):
    return len(client._supervisor._links)


async def main(options):
    files = _files()
    client = Client(options["url"], max_links=1)
    async with client:
        errors = client.errors()
        here = await client.create_producer(options["here"])
        await here.send(message(0))
        opening = asyncio.create_task(client.create_producer(options["there"]))
        await _told(errors, [options["here"], options["there"]])
        same(_links(client), 1, "links while one waits")
        await here.send(message(1))  # what has the link is not disturbed
        await here.close()
        there = await opening
        await there.send(message(0))
        same(_links(client), 1, "links after it was handed on")
        await there.close()

        here = await client.create_producer(options["here"])
        moving = await client.create_producer(options["moving"])
        await moving.send(message(0))
        say("both")
        await _told(errors, [options["here"], options["moving"]])
        for number in range(1, 5):
            moving.send_nowait(message(number))
        await here.send(message(2))
        same(moving.is_connected(), False, "the one that waits is connected")
        await here.close()
        await moving.flush()
        await moving.send(message(5))
        same(_links(client), 1, "links at the end")
        links = client._supervisor._links
    same(links, {}, "links left")
    if files:
        same(_files(), files, "files and sockets left open")


run(main)
