"""How long nothing is acknowledged after a fault: our client and pulsar-client, side by side in the same fault."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tools.chaos.running import PROGRAMS, ROOT

OURS, OFFICIAL = "ours", "pulsar_client"
_PAUSE_MS = 10
_OPEN_SECONDS = 60.0
_MOST_SECONDS = 150.0
# So long receipts must have come again without a further pause before it is over.
_STEADY_SECONDS = 0.5


class Probe:
    """A process that sends a message every 10 ms, and the times of its receipts."""

    def __init__(self, url: str, topic: str, kind: str) -> None:
        self.kind = kind
        self.open = False
        self._receipts: list[tuple[float, float]] = []
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-u", str(PROGRAMS / "probe.py")], cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin
        self._process.stdin.write(f"{url}\n{topic}\n{_PAUSE_MS}\n{kind}\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            kind, *times = line.split()
            if kind == "t":
                with self._lock:
                    self._receipts.append((float(times[0]), float(times[1])))
            elif kind == "o":
                self.open = True

    def is_back(self, since: float) -> bool:
        """Was a message that was sent some time after `since` acknowledged, and the next ones too?"""
        with self._lock:
            last = self._receipts[-1] if self._receipts else (0.0, 0.0)
        return last[0] >= since + _STEADY_SECONDS and time.monotonic() - last[1] < _STEADY_SECONDS

    def longest_pause(self, since: float) -> float:
        """The longest time without a receipt from `since` on, in seconds; forgets what was before."""
        with self._lock:
            times = [since, *sorted(at for _, at in self._receipts if at > since)]
            del self._receipts[:-1]
        return max((after - before for before, after in zip(times, times[1:], strict=False)), default=0.0)

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()


class Probes:
    """Both clients, each with a producer on a topic of its own in the same bundle; `watch` measures a fault.

    times: by fault and client, the pauses in seconds.
    """

    def __init__(self, url: str, namespace: str, name: str) -> None:
        self.times: dict[str, dict[str, list[float]]] = {}
        self._url = url
        self._topic = f"persistent://{namespace}/recovery-{name}"
        self._probes: list[Probe] = []

    def watch(self, fault: str, do: Callable[[], None]) -> None:
        """Do it, wait until both clients are back, and note how long each was away."""
        before = time.monotonic() - _STEADY_SECONDS
        _wait_until(lambda: all(probe.is_back(before) for probe in self._probes), "both send")
        started = time.monotonic()
        do()
        done = time.monotonic()
        _wait_until(lambda: all(probe.is_back(done) for probe in self._probes), f"both are back after {fault}")
        for probe in self._probes:
            self.times.setdefault(fault, {}).setdefault(probe.kind, []).append(probe.longest_pause(started))

    def __enter__(self) -> Probes:
        self._probes = [Probe(self._url, f"{self._topic}-{kind}", kind) for kind in (OURS, OFFICIAL)]
        try:
            _wait_until(lambda: all(probe.open for probe in self._probes), "both are open", _OPEN_SECONDS)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for probe in self._probes:
            probe.stop()


def medians(times: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """By fault and client, the median in milliseconds."""
    return {
        fault: {kind: round(statistics.median(found) * 1000, 1) for kind, found in by_kind.items()}
        for fault, by_kind in times.items()
    }


def _wait_until(condition: Callable[[], bool], what: str, seconds: float = _MOST_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.05)
