"""`client.errors()`: how a stream ends, and what becomes of streams that nobody ends."""
import asyncio

from mpy_pulsar import Client, PulsarError

_MOST = 8


def _client():
    return Client("pulsar://localhost")


async def _turn():
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_a_loop_that_is_left_leaves_no_stream_behind():
    async def run():
        client = _client()
        for _ in range(3):
            async with client.errors() as errors:
                client._report(PulsarError("one"))
                client._report(PulsarError("two"))
                async for error in errors:
                    assert str(error) == "one"
                    break
            assert client._streams == []
            client._report(PulsarError("after the end"))
            async for error in errors:
                assert str(error) == "two"
        try:
            async with client.errors():
                raise ValueError
        except ValueError:
            assert client._streams == []

    asyncio.run(run())


def test_a_stream_that_is_closed_ends_for_whoever_waits():
    async def run():
        client = _client()
        errors = client.errors()
        taken = []

        async def take():
            async for error in errors:
                taken.append(str(error))
            taken.append("end")

        task = asyncio.create_task(take())
        client._report(PulsarError("one"))
        await _turn()
        errors.close()
        errors.close()
        await task
        assert taken == ["one", "end"] and client._streams == []

    asyncio.run(run())


def test_streams_that_nobody_ends_stay_few_and_those_in_use_stay():
    async def run():
        client = _client()
        used = client.errors()
        waiting = asyncio.create_task(used.__anext__())
        await _turn()
        left = []
        for _ in range(5 * _MOST):
            left.append(client.errors())
            client._report(PulsarError("one"))
            assert str(await left[-1].__anext__()) == "one"
            await waiting
            waiting = asyncio.create_task(used.__anext__())
            await _turn()
        assert len(client._streams) == _MOST + 1 and used in client._streams
        assert [one in client._streams for one in left] == [False] * (4 * _MOST) + [True] * _MOST
        waiting.cancel()
        await _turn()
        client.errors()
        assert used not in client._streams and len(client._streams) == _MOST

    asyncio.run(run())
