"""Run the demonstration: broker, sensor and reader, each line of theirs with its name before it.

Exit status 0 when every reading was acknowledged and read back.
"""

import argparse
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import interpreters
from tools.devbroker.thread import DevBrokerThread
from tools.tokens import KEY_BYTES, mint

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(__file__).resolve().parent
TOPIC = "readings"
READINGS_IN_A_BATCH = 10
DEADLINE_SECONDS = 120
DESCRIPTION = "Publish readings of this machine to an embedded broker and read them back."


class Program:
    """A process whose lines are printed as they come, its name before each."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=ROOT,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._relay = threading.Thread(target=self._print_lines, args=(name,), daemon=True)
        self._relay.start()

    def _print_lines(self, name: str) -> None:
        output = self._process.stdout
        if output:
            with output:
                for line in output:
                    say(name, line.rstrip())

    def wait(self, seconds: float) -> bool:
        """Did it end well within `seconds`? It is ended then in any case."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._relay.join()
        return self._process.returncode == 0


def say(name: str, text: str) -> None:
    """One line of the demonstration, in one piece: several threads say something."""
    sys.stdout.write(f"{name:>7} | {text}\n")
    sys.stdout.flush()


def commands() -> tuple[list[str], list[str], dict[str, str]]:
    """How sensor and reader are started, and the environment of both."""
    environment = {"MICROPYPATH": interpreters.search_path(ROOT), "PYTHONPATH": str(ROOT)}
    found = interpreters.found()
    if not found:
        say("demo", "no MicroPython could be had here, so CPython plays the board:")
        say("demo", "install one (`brew install micropython`, or Debian's package) and run `make setup`")
        return [sys.executable], [sys.executable], environment
    # The smallest machine of those at hand is the most like a board.
    sensor = min(found, key=lambda interpreter: interpreter.bits)
    reader = max(found, key=lambda interpreter: interpreter.version)
    say("demo", f"sensor: {sensor.name}; reader: {reader.name}")
    return sensor.argv([]), reader.argv([]), environment


def run(batches: int) -> bool:
    """Everything once, on an embedded broker; True when all went well."""
    key = secrets.token_bytes(KEY_BYTES)
    token = mint("demo", key, lifetime_seconds=3600)
    readings = batches * READINGS_IN_A_BATCH
    with DevBrokerThread(port=0, token_key=key) as broker:
        say("broker", f"{broker.url}, in memory, for development; it asks for a token")
        sensor_command, reader_command, environment = commands()
        arguments = [broker.url, token, TOPIC]
        reader = Program(
            "reader", [*reader_command, str(PROGRAMS / "reader.py"), *arguments, str(readings)], environment
        )
        sensor = Program(
            "sensor", [*sensor_command, str(PROGRAMS / "sensor.py"), *arguments, str(batches)], environment
        )
        sent = sensor.wait(DEADLINE_SECONDS)
        return reader.wait(DEADLINE_SECONDS if sent else 1) and sent


def main() -> int:
    """Entry point; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=DESCRIPTION)
    parser.add_argument("--batches", type=int, default=10, help="of ten readings each (default %(default)s)")
    options = parser.parse_args()
    if not run(options.batches):
        say("demo", "that went wrong: the lines above say where")
        return 1
    say("demo", "done. Next: a board (boards/pico_w), CPython (README.md), a real broker (`make broker-real`)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
