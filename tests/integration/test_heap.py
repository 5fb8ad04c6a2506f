"""What a board's heap holds: on a 32-bit MicroPython (the words and blocks of ESP32 and RP2040), from .mpy files.

A heap of 64 KB holds a producer with a send buffer of 2 KB, or a consumer of entries of 0.5 KB, one at a time. A
board's default send buffer of 4 KB, made before the imports, just does not fit, and is tried with 72 KB. Nor do entries
of 2 KB: a consumer takes 55 KB before the first, and each needs a block in one piece; they are tried with 80 KB. Both
in one process ran from 80 KB on and are tried with 96 KB. Whatever was sent or received, the heap in use is the same
after as before.
`pytest -rP` shows the figures.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpy_pulsar import Client
from tests.conftest import missing
from tests.integration.runs import PROGRAMS, Program, Runtime, fresh_name
from tests.made_bundles import written
from tools import interpreters
from tools.bundle.reading import VIPER
from tools.devbroker import DevBrokerThread
from tools.interpreters import Interpreter
from tools.size.measure import compile_file

FOR_SENDING = {2048: "64K", 4096: "72K"}  # by bytes of the send buffer
# By size of an entry: its messages, the heap, the receiver's queue.
FOR_RECEIVING = {"0.5 KB": (4, "64K", 1), "2 KB": (19, "80K", 2)}
FOR_BOTH = "96K"
MESSAGES = 1000
FIRST_ROUND = 100
# Bytes by which the heap in use may differ. One block of 16 bytes left behind by each message would be 16,000.
MOST_GROWTH = 512

_BYTES = 100
_BLOCK_BYTES = 16
_REPORTED = ("started", "imported", "ready", "opened", "sent", "received", "exchanged")


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    """A 32-bit MicroPython."""
    found = [entry for entry in interpreters.found() if entry.bits == 32]
    return found[0] if found else missing("no 32-bit MicroPython was found: run `make setup`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bundles are written, each with the programs beside it."""
    return tmp_path_factory.mktemp("bundles")


def board(folder: Path, name: str) -> Path:
    """A folder like a board's: the bundle of that set with native kernels, and the programs, all of it compiled."""
    place = written(folder, name, VIPER, 32)
    for program in PROGRAMS.glob("heap_*.py"):
        compile_file(program, place / f"{program.stem}.mpy", program.name)
    return place


@pytest.fixture(scope="module")
def broker() -> Iterator[DevBrokerThread]:
    """A development broker without tokens."""
    with DevBrokerThread() as running:
        yield running


def start(interpreter: Interpreter, heap: str, place: Path, name: str, *lines: object) -> Program:
    """A program of a board's folder with a heap of that size, and what it reads first."""
    environment = interpreters.environment({"MICROPYPATH": interpreters.search_path(place)})
    runtime = Runtime(interpreter.name, tuple(interpreter.argv([], heap)), environment)
    # Started in that folder, since MicroPython's -m looks in the current one first.
    program = Program(runtime, name, None, words=("-m", name), folder=place)
    for line in lines:
        program.tell(str(line))
    return program


def content(number: int, size: int = _BYTES) -> bytes:
    """The content of message `number`, as the programs make and check it."""
    return bytes([number & 255, number >> 8]) + bytes(size - 2)


async def send(url: str, topic: str, numbers: range, in_an_entry: int, size: int) -> None:
    """The twin sends, so many messages in an entry."""
    async with Client(url) as client:
        producer = await client.create_producer(topic, batching_max_messages=in_an_entry)
        ids = await producer.send_batch([content(number, size) for number in numbers])
        assert len({(one.ledger_id(), one.entry_id()) for one in ids}) == -(-len(numbers) // in_an_entry)


async def receive(url: str, topic: str, count: int) -> list[bytes]:
    """The twin receives a topic from its beginning."""
    async with Client(url) as client:
        consumer = await client.subscribe(topic, "twin", initial_position=1)
        return [(await consumer.receive()).data() for _ in range(count)]


def check(program: Program, kind: str, heap: str) -> None:
    """The program passed, and the heap did not grow; prints the figures."""
    program.finish(other_text=True)
    (record,) = program.of_kind(kind)
    largest = re.search(r"max free sz: (\d+)", program.text())
    total = re.search(r"GC: total: (\d+), used: \d+, free: (\d+)", program.text())
    assert largest and total, program.describe("printed no map of its heap")
    steps = ", ".join(f"{one['kind']} {one['used']:,}" for one in program.records if one["kind"] in _REPORTED)
    print(f"{program.label}, heap {heap}: in use {steps}; {int(total[2]):,} free of {int(total[1]):,}, the largest"
          f" block {int(largest[1]) * _BLOCK_BYTES:,} bytes")
    assert abs(record["growth"]) <= MOST_GROWTH, program.describe("left something behind")


@pytest.mark.parametrize("send_buffer", FOR_SENDING)
def test_sending_leaves_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread, send_buffer: int
) -> None:
    topic, heap = fresh_name("heap"), FOR_SENDING[send_buffer]
    lines = broker.url, topic, FIRST_ROUND, MESSAGES, send_buffer
    with start(interpreter, heap, compiled, "heap_out", *lines) as program:
        check(program, "sent", heap)
    count = FIRST_ROUND + MESSAGES
    assert asyncio.run(receive(broker.url, topic, count)) == [content(number) for number in range(count)]


@pytest.mark.parametrize("entries", FOR_RECEIVING)
def test_receiving_leaves_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread, entries: str
) -> None:
    in_an_entry, heap, permits = FOR_RECEIVING[entries]
    topic = fresh_name("heap")
    lines = (broker.url, topic, FIRST_ROUND, MESSAGES, permits)
    with start(interpreter, heap, compiled, "heap_in", *lines) as program:
        program.wait_for("ready")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND), in_an_entry))
        # Measured when all that came has been taken: a queue's entries are no leak.
        program.wait_for("opened")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND, FIRST_ROUND + MESSAGES), in_an_entry))
        check(program, "received", heap)


def test_sending_and_receiving_in_one_process_leave_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread
) -> None:
    topic = fresh_name("heap")
    with start(interpreter, FOR_BOTH, compiled, "heap_both", broker.url, topic, FIRST_ROUND, MESSAGES) as program:
        check(program, "exchanged", FOR_BOTH)
