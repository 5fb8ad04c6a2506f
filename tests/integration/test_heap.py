"""What a board's heap holds: on a 32-bit MicroPython (the words and blocks of ESP32 and RP2040), from the bundles.

A heap of 64 KB holds a producer with a board's default send buffer of 4 KB, or a consumer of entries of 2 to 3.7 KB,
two at a time; 80 KB hold both in one process. Whatever was sent or received, and however often the link was lost, the
heap in use is the same after as before.

Each program begins with `gc.threshold(4096)`: without it the garbage of the imports lies among what stays, and a heap
of 64 KB with 15 KB free has no block of 2 KB left. `pytest -rP` shows the figures.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpy_pulsar import Client
from tests.conftest import missing
from tests.integration import stored
from tests.integration.runs import PROGRAMS, Program, Runtime, fresh_name
from tests.made_bundles import written
from tools import interpreters
from tools.bundle.reading import VIPER
from tools.devbroker import DevBrokerThread
from tools.interpreters import Interpreter
from tools.size.measure import compile_file

_BYTES = 100

HEAP = "64K"
SEND_BUFFER = 4096  # a board's default
# By size of an entry: its messages, the bytes of each.
ENTRIES = {"2 KB of 19": (19, 100), "2 KB of 100": (100, 12), "3.7 KB of 100": (100, 28)}
PERMITS = 2  # a board's default
FOR_BOTH = "80K"
MESSAGES = 1000
FIRST_ROUND = 100
RECONNECT_MESSAGES = 100_000
# Of one link, so that it is cut within every 200 messages or so; each cut costs a back-off of 50 to 100 ms.
CUT_AFTER = 20_500
RECONNECTS = 500
MOST_PENDING = SEND_BUFFER // _BYTES
RECONNECT_SECONDS = 200
# Bytes by which the heap in use may differ. One block of 16 bytes left behind by each message would be 16,000.
MOST_GROWTH = 300

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


def check(program: Program, kind: str, heap: str, seconds: float = 60) -> None:
    """The program passed, and the heap did not grow; prints the figures."""
    program.finish(seconds, other_text=True)
    (record,) = program.of_kind(kind)
    largest = re.search(r"max free sz: (\d+)", program.text())
    total = re.search(r"GC: total: (\d+), used: \d+, free: (\d+)", program.text())
    assert largest and total, program.describe("printed no map of its heap")
    steps = ", ".join(f"{one['kind']} {one['used']:,}" for one in program.records if one["kind"] in _REPORTED)
    print(f"{program.label}, heap {heap}: in use {steps}; {int(total[2]):,} free of {int(total[1]):,}, the largest"
          f" block {int(largest[1]) * _BLOCK_BYTES:,} bytes")
    assert abs(record["growth"]) <= MOST_GROWTH, program.describe("left something behind")


def test_sending_leaves_nothing(interpreter: Interpreter, folder: Path, broker: DevBrokerThread) -> None:
    topic = fresh_name("heap")
    lines = broker.url, topic, FIRST_ROUND, MESSAGES, SEND_BUFFER
    with start(interpreter, HEAP, board(folder, "producer"), "heap_out", *lines) as program:
        check(program, "sent", HEAP)
    count = FIRST_ROUND + MESSAGES
    assert asyncio.run(receive(broker.url, topic, count)) == [content(number) for number in range(count)]


@pytest.mark.parametrize("entries", ENTRIES)
def test_receiving_leaves_nothing(
    interpreter: Interpreter, folder: Path, broker: DevBrokerThread, entries: str
) -> None:
    in_an_entry, size = ENTRIES[entries]
    topic = fresh_name("heap")
    lines = (broker.url, topic, FIRST_ROUND, MESSAGES, PERMITS, size)
    with start(interpreter, HEAP, board(folder, "consumer"), "heap_in", *lines) as program:
        program.wait_for("ready")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND), in_an_entry, size))
        # Measured when all that came has been taken: a queue's entries are no leak.
        program.wait_for("opened")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND, FIRST_ROUND + MESSAGES), in_an_entry, size))
        check(program, "received", HEAP)


def test_sending_and_receiving_in_one_process_leave_nothing(
    interpreter: Interpreter, folder: Path, broker: DevBrokerThread
) -> None:
    lines = broker.url, fresh_name("heap"), FIRST_ROUND, MESSAGES
    with start(interpreter, FOR_BOTH, board(folder, "both"), "heap_both", *lines) as program:
        check(program, "exchanged", FOR_BOTH)


def test_links_that_are_cut_again_and_again_leave_nothing(interpreter: Interpreter, folder: Path) -> None:
    topic = f"persistent://public/default/{fresh_name('heap')}"
    with DevBrokerThread() as broker:
        cut = broker.fault("cut", received=CUT_AFTER)
        lines = broker.url, topic, 2 * MESSAGES, RECONNECT_MESSAGES, SEND_BUFFER
        with start(interpreter, HEAP, board(folder, "producer"), "heap_reconnect", *lines) as program:
            check(program, "sent", HEAP, RECONNECT_SECONDS)
            (left,) = program.of_kind("left")
        assert (left["tasks"], left["sockets"]) == (0, 0)
        entries = broker.call(lambda broker: stored.messages(broker, topic))
    print(f"{cut.hits} links were cut")
    assert cut.hits >= RECONNECTS
    check_order([int.from_bytes(content[:3], "little") for _, content in entries], cut.hits)


def check_order(numbers: list[int], cuts: int) -> None:
    """All are there, in order; what stands there twice was sent again after a cut, and had no receipt before."""
    highest = -1
    returns = 0
    before = -1
    for number in numbers:
        if number != before + 1:
            returns += 1
            assert highest - MOST_PENDING < number <= highest, (number, before, highest)
        before = number
        highest = max(highest, number)
    assert highest == RECONNECT_MESSAGES - 1 and returns <= cuts
