"""The fault proxy: every kind of fault does what it says, and a seed gives the same faults again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tools.chaos.faults import Kind, LinkFault, Schedule
from tools.chaos.proxy import FaultProxy

_SECONDS = 30
_SENT = bytes(range(256)) * 20

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class One(Schedule):
    """A schedule of one fault a link."""

    seed: int = 0
    fault: LinkFault = LinkFault(Kind.CUT, 1, True, 0)

    def of_link(self, number: int) -> Iterator[LinkFault]:
        """That one, then one that is never reached."""
        yield self.fault
        yield LinkFault(Kind.CUT, 1 << 60, True, 0)


@asynccontextmanager
async def proxied(fault: LinkFault) -> AsyncIterator[tuple[FaultProxy, list[bytes], Callable[[], Awaitable[Link]]]]:
    """A server that sends back what it gets and keeps it, a proxy before it, and a way to connect."""
    got: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                got.append(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = FaultProxy(server.sockets[0].getsockname(), One(fault=fault))
    await proxy.start()
    proxy.begin()
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Link:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        return reader, writer

    try:
        yield proxy, got, connect
    finally:
        for writer in writers:
            writer.close()
        await proxy.stop()
        server.close()
        await server.wait_closed()


def run(story: Awaitable[None]) -> None:
    """Run it, not for ever."""

    async def bounded() -> None:
        await asyncio.wait_for(story, _SECONDS)

    asyncio.run(bounded())


def test_a_cut_lets_the_bytes_before_it_pass_and_no_other() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.CUT, 777, True, 0)) as (proxy, got, connect):
            reader, writer = await connect()
            writer.write(_SENT)
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(1000):
                    pass
            while len(b"".join(got)) < 777:
                await asyncio.sleep(0.01)
            assert b"".join(got) == _SENT[:777]
            assert proxy.struck == {Kind.CUT: 1}

    run(story())


def test_a_cut_of_answers_counts_them_alone() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.CUT, 10, False, 0)) as (_, got, connect):
            reader, writer = await connect()
            writer.write(b"0123456789abc")
            assert await reader.read() == b"0123456789"
            assert b"".join(got) == b"0123456789abc"

    run(story())


def test_a_reset_resets() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.RESET, 5, True, 0)) as (_, _, connect):
            reader, writer = await connect()
            writer.write(b"0123456789")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(story())


def test_a_half_open_link_swallows_everything_until_it_is_reset() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.HALF_OPEN, 5, True, 0.2)) as (_, got, connect):
            reader, writer = await connect()
            writer.write(b"0123456789")
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(6)
            assert b"".join(got) == b"01234"

    run(story())


@pytest.mark.parametrize("kind", [Kind.DELAY, Kind.THROTTLE, Kind.DRIBBLE])
def test_slow_links_lose_and_change_nothing(kind: Kind) -> None:
    async def story() -> None:
        async with proxied(LinkFault(kind, 100, True, 0.2)) as (proxy, _, connect):
            reader, writer = await connect()
            writer.write(_SENT)
            assert await reader.readexactly(len(_SENT)) == _SENT
            assert proxy.struck == {kind: 1}

    run(story())


def test_refusing_ends_by_itself() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.REFUSE, 1, True, 0.2)) as (_, _, connect):
            reader, writer = await connect()
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            refused = 0
            while True:
                try:
                    await connect()
                    break
                except ConnectionRefusedError:
                    refused += 1
                    await asyncio.sleep(0.01)
            assert refused

    run(story())


def test_calm_lets_everything_pass() -> None:
    async def story() -> None:
        async with proxied(LinkFault(Kind.CUT, 10, True, 0)) as (proxy, _, connect):
            await proxy.calm()
            reader, writer = await connect()
            writer.write(_SENT)
            assert await reader.readexactly(len(_SENT)) == _SENT
            assert not proxy.struck

    run(story())


def test_a_seed_and_a_number_give_the_same_faults() -> None:
    def faults(seed: int, number: int) -> list[LinkFault]:
        return list(itertools.islice(Schedule(seed).of_link(number), 20))

    assert faults(1, 2) == faults(1, 2)
    assert faults(1, 2) != faults(1, 3) and faults(1, 2) != faults(2, 2)
    kinds = {fault.kind for number in range(50) for fault in faults(5, number)}
    assert kinds == set(Kind)
