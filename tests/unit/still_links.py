"""A supervisor whose links are still and whose time stands, for tests of who goes where and when."""
import asyncio

from mpy_pulsar.net import supervisor as room
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import START, Broker

SERVICE = [("one", 6650), ("two", 6651)]
TURNS = 20


class StillLink:
    """Stands where net.link.Link does: a connection to a fake broker, no socket and no task."""

    def __init__(self, supervisor, address, proxy_to, limit, now):
        self.address = address
        self.proxy_to = proxy_to
        self.error = None
        self.idle_since = None
        self.stopped = False
        self.broker = Broker(now=now, limit=limit)
        self.broker.places = ["pulsar://%s:%d" % address]
        self.connection = self.broker.connection
        self.connection.speculation = 1

    def describe(self):
        return "%s:%d" % self.address

    async def stop(self):
        self.stopped = True


class Bench:
    """A supervisor whose links are still and whose time stands; `run` lets it do what there is to do."""

    def __init__(self, max_links=0, service=SERVICE):
        self.now = START
        self.reports = []
        room.Link, room.ticks_ms = StillLink, lambda: self.now
        self.supervisor = room.Supervisor(service, None, None, False, None, 1024, max_links, self.reports.append)

    async def run(self, milliseconds=0):
        """Let so much time go by."""
        self.now = ticks_add(self.now, milliseconds)
        self.supervisor.attend()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def adopt(self, topic):
        """A producer that looks for its broker."""
        core = fake.producer()
        core.topic = "persistent://public/default/" + topic
        core.id = len(self.supervisor.handles) + 1
        self.supervisor.adopt(core)
        await self.run()
        return core

    def link(self, host):
        """The link to a host, None where there is none."""
        for (address, _), link in self.supervisor._links.items():
            if address[0] == host:
                return link
        return None

    async def found(self, link, url):
        """The broker at the end of `link` answers the look-up it was asked last."""
        asked = [command for command in link.broker.heard() if command.kind == fake.LOOKUP][-1]
        link.broker.say(fake.LOOKUP_RESPONSE, 1, url, 3, 1, 4, asked[2], 5, True)
        await self.run()


def with_bench(check, **options):
    """Run check(a Bench made with the options)."""
    async def run():
        link, ticks = room.Link, room.ticks_ms
        bench = Bench(**options)
        try:
            await check(bench)
        finally:
            bench.supervisor.end()
            await bench.supervisor.ended()
            room.Link, room.ticks_ms = link, ticks

    asyncio.run(run())
