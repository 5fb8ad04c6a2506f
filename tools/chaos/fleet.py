"""Many clients in one process, each with a link of its own: the broker restarts, and all come back without a rush.

After a lost link the attempts follow one another after 50 to 100 ms times 1, 1.5, 2, 3, 4, 6, 8 and so on, by chance
(`back_off` in mpy_pulsar/core/retry). So there are at most six in the first second; and t seconds after the loss the
next wait is at least 0.4 t: in any second that begins then there are at most 1 + 2.5 / t a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mpy_pulsar import Client, ConnectError, PulsarError
from tools.chaos import official
from tools.chaos.running import ROOT
from tools.devbroker.control import Control

_TOPIC = "persistent://public/default/fleet"
_DOWN_SECONDS = 5.0
_BEFORE = 2
"""Messages of each client before the restart; one more waits in its buffer while the broker is away."""
_AFTER = 2
_BACK_SECONDS = 120.0
_OPENED_AT_A_TIME = 50
_FIRST_SECOND = 6
_FIRST_WAIT = 0.05
_GROWTH = 1.5, 4 / 3  # of the wait, in turn
_SEND_BUFFER = 4096
_READ_BUFFER = 4096


@dataclass
class Fleet:
    """What a restart did to the clients."""

    clients: int
    down_seconds: float
    """How long the broker was away."""
    back: int = 0
    """How many sent again and had all acknowledged."""
    seconds_to_back: float = 0
    """From the broker's return to the last client's."""
    attempts: dict[int, int] | None = None
    """Connection attempts in each second since the links were lost."""
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    kilobytes: float = 0
    """Memory of a client with its producer and link, of this process."""

    def bound(self, second: int) -> int:
        """Attempts there may be at most in that second since the loss."""
        return int(self.clients * (_FIRST_SECOND if second < 1 else 1 + 2.5 / second))

    def most_attempts(self) -> int:
        """Attempts there may be at most in all that time, each after the shortest wait."""
        count, wait, at = 0, _FIRST_WAIT, _FIRST_WAIT
        while at <= self.down_seconds + self.seconds_to_back:
            wait *= _GROWTH[count % 2]
            at += wait
            count += 1
        return self.clients * count

    @property
    def sound(self) -> bool:
        """Did all come back, without a rush, and was nothing lost?"""
        bounded = all(count <= self.bound(second) for second, count in (self.attempts or {}).items())
        return self.back == self.clients and bounded and not (self.lost or self.duplicated or self.reordered)

    def __str__(self) -> str:
        attempts = ", ".join(f"{count:,}" for _, count in sorted((self.attempts or {}).items()))
        wrong = f"{self.lost} lost, {self.duplicated} doubled, {self.reordered} out of order"
        return (f"{self.back:,} of {self.clients:,} clients came back, the last {self.seconds_to_back:.1f} s after the"
                f" broker; attempts in each second: {attempts}; {self.acknowledged:,} messages acknowledged, {wrong};"
                f" {self.kilobytes:.0f} KB a client")  # fmt: skip


class _Member:
    """One client and what it was told."""

    def __init__(self, url: str, number: int, on_error: Callable[[PulsarError], None]) -> None:
        self.number = number
        self.acknowledged = 0
        self.client = Client(url, on_error=on_error, read_buffer_size=_READ_BUFFER, operation_timeout_seconds=60)

    async def open(self) -> None:
        self.producer = await self.client.create_producer(
            _TOPIC, producer_name=f"member-{self.number}", send_timeout_millis=0, send_buffer_size=_SEND_BUFFER,
            partitioned=False,
        )  # fmt: skip

    async def send(self, count: int) -> None:
        """So many more messages, each acknowledged."""
        for _ in range(count):
            await self.producer.send(b"%d %d" % (self.number, self.acknowledged))
            self.acknowledged += 1


@contextlib.contextmanager
def _broker() -> Iterator[tuple[str, Control]]:
    """A development broker in a process of its own: its URL and control."""
    command = [sys.executable, "-m", "tools.devbroker", "--port", "0", "--deduplication", "--control-port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout
        words = dict(line.split()[:2] for line in (process.stdout.readline(), process.stdout.readline()))
        with Control(words["control"]) as control:
            yield words["ready"], control
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def run(clients: int, down_seconds: float = _DOWN_SECONDS, say: Callable[[str], None] = lambda _: None) -> Fleet:
    """The whole of it. Raises RuntimeError where the fleet does not open."""
    _allow_files(clients + 200)
    with _broker() as (url, control):
        found = asyncio.run(_run(url, control, clients, down_seconds, say))
        _compare(found, url)
        return found


async def _run(url: str, control: Control, clients: int, down_seconds: float, say: Callable[[str], None]) -> Fleet:
    found = Fleet(clients, down_seconds)
    tries: list[float] = []

    def on_error(error: PulsarError) -> None:
        if isinstance(error, ConnectError):
            tries.append(time.monotonic())

    gc.collect()
    before = _resident()
    members = [_Member(url, number, on_error) for number in range(clients)]
    try:
        for start in range(0, clients, _OPENED_AT_A_TIME):
            await asyncio.gather(*(one.open() for one in members[start : start + _OPENED_AT_A_TIME]))
        await asyncio.gather(*(one.send(_BEFORE) for one in members))
        gc.collect()
        found.kilobytes = (_resident() - before) / clients / 1024
        say(f"{clients:,} clients are open, {found.kilobytes:.0f} KB each; the broker goes for {down_seconds:.0f} s")
        tries.clear()
        lost_at = time.monotonic()
        restart = asyncio.create_task(asyncio.to_thread(control.tell, f"restart {down_seconds}"))
        sending = [asyncio.create_task(one.send(1 + _AFTER)) for one in members]
        await restart
        back_at = time.monotonic()
        found.down_seconds = back_at - lost_at
        done, late = await asyncio.wait(sending, timeout=_BACK_SECONDS)
        found.seconds_to_back = time.monotonic() - back_at
        found.back = sum(task.exception() is None for task in done)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        # The first error of each client is the loss itself; each later one an attempt that failed, and one succeeded.
        attempts = Counter(int(at - lost_at) for at in sorted(tries)[clients:])
        found.attempts = dict(attempts)
        found.acknowledged = sum(one.acknowledged for one in members)
        return found
    finally:
        await asyncio.gather(*(one.client.close() for one in members), return_exceptions=True)


def _compare(found: Fleet, url: str) -> None:
    """What the topic holds, read with Apache's client, against what was acknowledged."""
    pulsar = official.module()
    highest: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    with contextlib.closing(official.client(url)) as reading:
        reader = reading.create_reader(_TOPIC, pulsar.MessageId.earliest)
        while reader.has_message_available():
            member, number = map(int, reader.read_next(30_000).data().split())
            found.duplicated += (member, number) in seen
            seen.add((member, number))
            found.reordered += number < highest.get(member, -1)
            highest[member] = max(number, highest.get(member, -1))
        reader.close()
    found.lost = found.acknowledged - len(seen)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024


def _allow_files(count: int) -> None:
    """Raise the limit of open files where it is too low. Raises RuntimeError where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise RuntimeError(f"{count} open files are needed, {hard} are allowed here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
