"""On the emulated board: boots without a network and with a clock of 2021, measures, and sends once both are there.

OPTIONS: url, topic. Messages are numbers; their event times are read from the clock as it is.
"""
import asyncio
import json
import time

import emulated_network


def say(kind, **fields):
    fields["kind"] = kind
    print(json.dumps(fields))


class Log:
    def __init__(self):
        self.lines = []
        self.told = asyncio.Event()

    def warning(self, text):
        self.lines.append(text)
        self.told.set()

    async def wait_for(self, part):
        while not [line for line in self.lines if part in line]:
            self.told.clear()
            await self.told.wait()


async def main():
    from mpy_pulsar import Client

    log = Log()
    async with Client(OPTIONS["url"], logger=log) as client:
        producer = await client.create_producer(OPTIONS["topic"], wait=False)
        sending = [
            asyncio.create_task(producer.send(b"%d" % number, event_timestamp=time.time() * 1000))
            for number in range(3)
        ]
        await log.wait_for("link to")  # there is no network yet
        ppp = emulated_network.connect()
        await log.wait_for("ntptime.settime()")
        while not producer.is_connected():
            await asyncio.sleep_ms(20)
        say("connected", name=producer.producer_name(), sent=producer.last_sequence_id())
        emulated_network.set_clock()
        for task in sending:
            await task
        say("done", warnings=log.lines)
    return ppp


asyncio.run(main())
