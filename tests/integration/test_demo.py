"""The demonstration runs to its end without anybody watching."""

import re
import subprocess
import sys

from tests.conftest import missing
from tools import interpreters

BATCHES = 3
SECONDS = 60


def test_the_demonstration_sends_in_batches_and_reads_everything_back() -> None:
    if not interpreters.found():
        missing("no MicroPython on this machine: `make setup` says how to get one")
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--batches", str(BATCHES)],
        cwd=interpreters.ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no MicroPython" not in done.stdout
    entry = r"sensor \| 10 readings acknowledged in one entry, \((\d+),(\d+),-1,0\) to \(\1,\2,-1,9\)"
    assert len(set(re.findall(entry, done.stdout))) == BATCHES, done.stdout
    assert f"read {10 * BATCHES} readings back: none missing, none twice, in order" in done.stdout
    assert "token" in done.stdout and "eyJ" not in done.stdout, "a token was shown"
