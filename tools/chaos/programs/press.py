"""Sends numbered messages and says what it was told of each. For CPython; `flow` is what a board's heap has room for.

Standard input, a line each: service URL, topic, name of the producer, name of the listener to ask for (empty: none),
number of messages (0: until told), ms between two messages, how many tasks send and wait for their receipts, send
timeout in ms. A further line or its end: stop.

Standard output: as `flow`, and `a NUMBER LEDGER ENTRY INDEX` acknowledged; `f NUMBER TEXT` the error that `send`
raised.
"""
import asyncio
import sys

from mpy_pulsar import Client, PulsarError
from numbered import content
from said import say, told

_url, _topic, _name, _listener = [sys.stdin.readline().strip() for _ in range(4)]
_total, _pause, _tasks, _timeout = [int(sys.stdin.readline()) for _ in range(4)]
_LIST = 5  # messages for one send_batch, which every third task uses


class Press:
    """The producer and the next number."""

    def __init__(self, producer):
        self.producer = producer
        self.next = 0
        self.stopped = False

    def goes_on(self):
        """Is there a further message?"""
        return not self.stopped and (not _total or self.next < _total)

    async def send(self, count):
        """Send again and again, so many messages at a time."""
        while self.goes_on():
            numbers = range(self.next, self.next + count)
            self.next += count
            try:
                if count == 1:
                    places = [await self.producer.send(content(numbers[0]))]
                else:
                    places = await self.producer.send_batch([content(number) for number in numbers])
            except PulsarError as error:
                for number in numbers:
                    say("f %d %s" % (number, error))
            else:
                for number, place in zip(numbers, places):
                    say("a %d %d %d %d" % (number, place.ledger_id(), place.entry_id(), place.batch_index()))
            await asyncio.sleep(_pause / 1000)

    async def listen(self):
        """Stop when told."""
        while self.goes_on():
            if told():
                self.stopped = True
            else:
                await asyncio.sleep(0.1)


def _report(error):
    say("e %s" % error)


async def main():
    client = Client(_url, listener_name=_listener or None, on_error=_report, operation_timeout_seconds=120)
    press = Press(await client.create_producer(_topic, producer_name=_name, send_timeout_millis=_timeout))
    say("o")
    await asyncio.gather(*[press.send(1 if task % 3 else _LIST) for task in range(_tasks)], press.listen())
    try:
        await client.close()
    except PulsarError as error:
        say("x %s" % error)
    say("c %d" % press.next)


asyncio.run(main())
say("p")
