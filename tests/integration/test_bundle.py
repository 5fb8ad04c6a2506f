"""The bundles themselves, as boards get them, between programs and the development broker."""

import asyncio
import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from mpy_pulsar import AuthenticationToken, Client
from tests.conftest import missing
from tests.integration.conftest import Place
from tests.integration.runs import Program, Runtime, fresh_name, micropythons
from tests.integration.test_exchange import CHECKS
from tools.bundle.__main__ import write
from tools.bundle.building import Bundle, build
from tools.bundle.reading import PLAIN, VIPER
from tools.bundle.sets import SETS
from tools.interpreters import ROOT

MESSAGES = 300
# What the program that exchanges messages needs besides, for its own waits.
_HELPERS = ("port.py", "net/__init__.py", "net/resolve.py", "net/stream.py")
_ARCHITECTURES = {32: "x86", 64: "x64"}
_SMALL = {32: "56K", 64: "112K"}

_SEND = """
import asyncio, micropython, sys
from mpy_pulsar import AuthenticationToken, Client

# With the heap locked whatever allocates raises MemoryError. One port that is embedded in CPython has no lock.
lock = getattr(micropython, "heap_lock", int)
unlock = getattr(micropython, "heap_unlock", int)

async def main():
    url, token, topic, count = sys.argv[1:5]
    async with Client(url, authentication=AuthenticationToken(token)) as client:
        producer = await client.create_producer(topic)
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
import asyncio, sys
from mpy_pulsar import AuthenticationToken, Client, InitialPosition

async def main():
    url, token, topic, count = sys.argv[1:5]
    async with Client(url, authentication=AuthenticationToken(token)) as client:
        consumer = await client.subscribe(topic, "board", initial_position=InitialPosition.Earliest)
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


def made(folder: Path, name: str, kernels: str, bits: int) -> Path:
    """A bundle in a folder of its own."""
    write(bundle_of(name, kernels), folder, _ARCHITECTURES[bits] if kernels == VIPER else None)
    return folder


@functools.cache
def bundle_of(name: str, kernels: str) -> Bundle:
    """Made once for all interpreters."""
    return build(ROOT, SETS[name], kernels)


@pytest.mark.parametrize("kernels", [PLAIN, VIPER])
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board[0])
def test_everything_works_with_the_bundle(
    board: tuple[str, int], kernels: str, dev_place: Place, silent_url: str, tmp_path: Path
) -> None:
    made(tmp_path, "both", kernels, board[1])
    for helper in _HELPERS:
        (tmp_path / "mpy_pulsar" / helper).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / "mpy_pulsar" / helper, tmp_path / "mpy_pulsar" / helper)
    options = {
        "url": dev_place.url, "token": dev_place.token, "wrong_token": dev_place.wrong_token,
        "silent_url": silent_url, "prefix": fresh_name("bundle"),
    }  # fmt: skip
    with Program(runtime_of(board[0], tmp_path), "exchange", options) as program:
        program.finish(90)
        assert [record["name"] for record in program.of_kind("check")] == CHECKS


def run_script(board: tuple[str, int], folder: Path, text: str, *words: str) -> str:
    """What a program that uses the bundle in `folder` prints; it must end well within a small heap."""
    (folder / "script.py").write_text(text)
    runtime = runtime_of(board[0], folder, _SMALL[board[1]])
    done = subprocess.run([*runtime.command, str(folder / "script.py"), *words], env=dict(runtime.environment),
                          cwd=folder, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board[0])
@pytest.mark.parametrize("kernels", [PLAIN, VIPER])
def test_the_producers_bundle_sends_from_a_small_heap_and_takes_none_of_it(
    kernels: str, board: tuple[str, int], dev_place: Place, tmp_path: Path
) -> None:
    made(tmp_path, "producer", kernels, board[1])
    topic = fresh_name("bundle")
    words = dev_place.url, dev_place.token, topic, str(MESSAGES)
    assert run_script(board, tmp_path, _SEND, *words).split() == ["sent", "0", "True"]
    expected = [b"first", *(number.to_bytes(2, "little") for number in range(1, MESSAGES))]
    assert asyncio.run(received(dev_place, topic, MESSAGES)) == expected


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board[0])
def test_the_consumers_bundle_receives_in_a_small_heap(
    board: tuple[str, int], dev_place: Place, tmp_path: Path
) -> None:
    made(tmp_path, "consumer", PLAIN, board[1])
    topic = fresh_name("bundle")
    asyncio.run(send(dev_place, topic, [b"%d" % number for number in range(MESSAGES)]))
    words = dev_place.url, dev_place.token, topic, str(MESSAGES)
    assert run_script(board, tmp_path, _RECEIVE, *words).split() == ["received", "True"]
