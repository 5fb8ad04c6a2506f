"""The bundles themselves, as boards get them, between programs and the development broker."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mpy_pulsar import AuthenticationToken, Client
from tests.conftest import missing
from tests.integration.conftest import Place
from tests.integration.runs import Runtime, SideBySide, fresh_name, micropythons
from tests.integration.test_exchange import CHECKS
from tests.made_bundles import written
from tools.bundle.reading import PLAIN, VIPER
from tools.interpreters import ROOT

MESSAGES = 300
# What the program that exchanges messages needs besides, for its own waits.
_HELPERS = ("port.py", "net/__init__.py", "net/resolve.py", "net/stream.py")
_SMALL = {32: "64K", 64: "128K"}

_SEND = """
import gc
gc.threshold(4096)  # else the garbage of the imports lies among what stays
import asyncio, micropython, sys
from mpy_pulsar import AuthenticationToken, Client

# With the heap locked whatever allocates raises MemoryError. One port that is embedded in CPython has no lock.
lock = getattr(micropython, "heap_lock", int)
unlock = getattr(micropython, "heap_unlock", int)

async def main():
    url, token, topic, count = sys.argv[1:5]
    async with Client(url, authentication=AuthenticationToken(token)) as client:
        # What `send` and properties load leaves no room for the default of 4 KB.
        producer = await client.create_producer(topic, send_buffer_size=2048)
        message_id = await producer.send(b"first", properties={"kind": "first"}, partition_key="k")
        content = bytearray(2)
        number = 1
        count = int(count)
        while number < count:
            await producer.room(2)
            lock()
            try:
                while number < count and producer.has_room(2):
                    content[0] = number & 255
                    content[1] = number >> 8
                    producer.send_nowait(content)
                    number += 1
            finally:
                unlock()
        await producer.flush()
        print("sent", message_id.batch_index(), producer.is_connected())

asyncio.run(main())
"""
_RECEIVE = """
import gc
gc.threshold(4096)
import asyncio, sys
from mpy_pulsar import AuthenticationToken, Client, InitialPosition

async def main():
    url, token, topic, count, subscription = sys.argv[1:6]
    async with Client(url, authentication=AuthenticationToken(token)) as client:
        consumer = await client.subscribe(topic, subscription, initial_position=InitialPosition.Earliest)
        for number in range(int(count)):
            message = await consumer.receive()
            await consumer.acknowledge(message)
            if message.data() != b"%d" % number:
                raise ValueError("message %d: %r" % (number, message.data()))
        print("received", message.message_id().entry_id() >= 0)

asyncio.run(main())
"""


BOARDS = [(one.name, 32 if "32" in one.name else 64) for one in micropythons()] or [("none", 64)]


def runtime_of(name: str, folder: Path, heap: str = "16M") -> Runtime:
    """That MicroPython, with the bundle in `folder` as its package."""
    return next((one for one in micropythons(heap, folder) if one.name == name), None) or missing("no MicroPython")


@pytest.mark.parametrize("kernels", [PLAIN, VIPER])
def test_everything_works_with_the_bundle(kernels: str, dev_place: Place, silent_url: str, tmp_path: Path) -> None:
    with SideBySide() as programs:
        started = []
        for name, bits in BOARDS:
            folder = written(tmp_path, "both", kernels, bits)
            for helper in _HELPERS:
                (folder / "mpy_pulsar" / helper).parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / "mpy_pulsar" / helper, folder / "mpy_pulsar" / helper)
            options = {
                "url": dev_place.url, "token": dev_place.token, "wrong_token": dev_place.wrong_token,
                "silent_url": silent_url, "prefix": fresh_name("bundle"),
            }  # fmt: skip
            started.append(programs.start(runtime_of(name, folder), "exchange", options))
        for program in started:
            program.finish(90)
            assert [record["name"] for record in program.of_kind("check")] == CHECKS


def run_scripts(folder: Path, name: str, kernels: str, text: str, words: Callable[[str], Sequence[str]]) -> list[str]:
    """What a program that uses that bundle prints on each board, within a small heap; words(board) are its arguments.

    They run side by side.
    """
    def run(board: tuple[str, int]) -> str:
        place = places[board]
        runtime = runtime_of(board[0], place, _SMALL[board[1]])
        done = subprocess.run([*runtime.command, "script.py", *words(board[0])], env=dict(runtime.environment),
                              cwd=place, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        return done.stdout if done.returncode == 0 else f"{board[0]}: {done.stdout}{done.stderr}"

    places = {board: written(folder, name, kernels, board[1]) for board in BOARDS}
    for place in places.values():
        (place / "script.py").write_text(text)
    with ThreadPoolExecutor() as pool:
        return [*pool.map(run, BOARDS)]


async def received(place: Place, topic: str, count: int) -> list[bytes]:
    """The twin receives a topic from its beginning."""
    async with Client(place.url, authentication=AuthenticationToken(place.token)) as client:
        consumer = await client.subscribe(topic, "twin", initial_position=1)
        return [(await consumer.receive()).data() for _ in range(count)]


async def send(place: Place, topic: str, contents: list[bytes]) -> None:
    """The twin sends, few messages in an entry."""
    async with Client(place.url, authentication=AuthenticationToken(place.token)) as client:
        producer = await client.create_producer(topic, batching_max_messages=10)
        await producer.send_batch(contents)


@pytest.mark.parametrize("kernels", [PLAIN, VIPER])
def test_the_producers_bundle_sends_from_a_small_heap_and_takes_none_of_it(
    kernels: str, dev_place: Place, tmp_path: Path
) -> None:
    prefix = fresh_name("bundle")
    said = run_scripts(tmp_path, "producer", kernels, _SEND,
                       lambda board: (dev_place.url, dev_place.token, f"{prefix}-{board}", str(MESSAGES)))
    assert said == ["sent 0 True\n"] * len(BOARDS), "\n".join(said)
    expected = [b"first", *(number.to_bytes(2, "little") for number in range(1, MESSAGES))]
    for board, _ in BOARDS:
        assert asyncio.run(received(dev_place, f"{prefix}-{board}", MESSAGES)) == expected


def test_the_consumers_bundle_receives_in_a_small_heap(dev_place: Place, tmp_path: Path) -> None:
    topic = fresh_name("bundle")
    asyncio.run(send(dev_place, topic, [b"%d" % number for number in range(MESSAGES)]))
    said = run_scripts(tmp_path, "consumer", PLAIN, _RECEIVE,
                       lambda board: (dev_place.url, dev_place.token, topic, str(MESSAGES), board))
    assert said == ["received True\n"] * len(BOARDS), "\n".join(said)
