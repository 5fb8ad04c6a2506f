"""Prepares a clone for work: the virtual environment, MicroPython's type stubs, every MicroPython there is.

    python3 -m tools.setup            bring everything up to date; what could not be fetched before is tried again
    python3 -m tools.setup --quick    the same, but a fetch that failed before is left alone
    python3 -m tools.setup --lock     write the requirements-*.txt anew (needs uv)

It runs on a bare Python 3.11 or later and writes to .venv/ and build/ only. A second run finds its stamps and takes a
second.
"""
from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tools import interpreters

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
TYPINGS = ROOT / "build" / "typings"
DEVELOPMENT = ROOT / "requirements-dev.txt"
STUBS = ROOT / "requirements-stubs.txt"
DEVICE = ROOT / "requirements-device.txt"

_LOCKING = ("pip", "compile", "--universal", "--generate-hashes", "--python-version", "3.11",
            "--no-emit-index-url", "--no-emit-find-links", "--quiet", "--custom-compile-command", "make lock")


class SetupError(Exception):
    """The set-up cannot go on; the text says what to do."""


def say(text: str) -> None:
    """Show progress at once, in a pipe too."""
    print(f"setup: {text}", flush=True)


def check_python() -> None:
    """Raise SetupError unless this Python can make a virtual environment."""
    if sys.version_info < (3, 11):
        raise SetupError(f"Python 3.11 or later is needed, and this is {platform.python_version()}: install python3.13")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(f"this Python has no venv module: apt-get install python{version}-venv (as root)")


def fingerprint(files: Iterable[Path], *words: str) -> str:
    """A stamp of the content of `files` and of `words`."""
    digest = hashlib.sha256("\n".join(words).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make_environment() -> None:
    """Make .venv with the locked development dependencies, unless it is there and up to date."""
    stamp = VENV / "stamp"
    # Programs in it begin with its path, so a clone that was moved needs a new one.
    wanted = fingerprint([DEVELOPMENT], str(VENV))
    if _stamped(stamp, wanted) and _works(PYTHON):
        return
    started = time.monotonic()
    say(f"making .venv with Python {platform.python_version()} ...")
    shutil.rmtree(VENV, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(VENV)], "making the virtual environment")
    total = sum(1 for line in DEVELOPMENT.read_text().splitlines() if "==" in line)
    say(f"installing the {total} packages of {DEVELOPMENT.name} (about 200 MB unpacked, a minute at first) ...")
    _install(["-r", str(DEVELOPMENT)])
    stamp.write_text(wanted)
    say(f".venv is ready, {time.monotonic() - started:.0f} s")


def make_typings() -> None:
    """Put MicroPython's type stubs into build/typings, unless they are there and up to date."""
    stamp = TYPINGS / "stamp"
    wanted = fingerprint([STUBS])
    if _stamped(stamp, wanted):
        return
    say("installing MicroPython's type stubs into build/typings ...")
    shutil.rmtree(TYPINGS, ignore_errors=True)
    _install(["--no-deps", "--target", str(TYPINGS), "-r", str(STUBS)])
    stamp.write_text(wanted)


def lock(words: list[str]) -> None:
    """Resolve the dependencies of pyproject.toml anew for every platform and Python from 3.11; `words` go to uv."""
    uv = shutil.which("uv")
    if not uv:
        raise SetupError("locking needs uv: `pipx install uv`, or `python3 -m pip install --user uv`")
    choices = {
        DEVELOPMENT: ["pyproject.toml", "--extra", "dev"],
        STUBS: ["--group", "stubs"],
        DEVICE: ["--group", "device", "--no-deps"],
    }
    for target, choice in choices.items():
        say(f"locking {target.name} ...")
        # A name without its folder: uv writes what it is given into the file.
        _run([uv, *_LOCKING, *choice, *words, "--output-file", target.name], f"locking {target.name}")


def main(words: list[str]) -> int:
    """Run from the command line; returns the exit code."""
    try:
        if words[:1] == ["--lock"]:
            lock(words[1:])
            return 0
        if words not in ([], ["--quick"]):
            print(__doc__, file=sys.stderr)
            return 2
        check_python()
        (ROOT / "build").mkdir(exist_ok=True)
        with open(ROOT / "build" / "setup.lock", "w") as guard:
            # `make demo` and `make test` may be started side by side; the second waits for the first's set-up.
            fcntl.flock(guard, fcntl.LOCK_EX)
            make_environment()
            make_typings()
            interpreters.find(say, again=not words)
    except (SetupError, interpreters.NoInterpreter) as problem:
        print(f"setup: {problem}", file=sys.stderr)
        return 1
    return 0


def _stamped(stamp: Path, wanted: str) -> bool:
    return stamp.is_file() and stamp.read_text() == wanted


def _works(python: Path) -> bool:
    """Does the Python of the virtual environment still run? Not when the one it was made from is gone."""
    try:
        return subprocess.run([str(python), "-c", "import pip"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _install(words: list[str]) -> None:
    """Run pip in the virtual environment, naming each package as it is fetched."""
    # A user's own pip settings for where to install would break an installation into a folder of ours.
    variables = {name: value for name, value in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX")}
    variables.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--progress-bar", "off", *words]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, env=variables, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pip:
        for line in pip.stdout or ():
            lines.append(line)
            if line.startswith(("Collecting", "Installing")):
                print("   ", line.split(" (from")[0].split(" --hash")[0].rstrip()[:100], flush=True)
    if pip.returncode:
        raise SetupError("pip could not install the dependencies; its last words:\n" + "".join(lines[-15:]))


def _run(command: list[str], purpose: str) -> None:
    done = subprocess.run(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise SetupError(f"{purpose} failed:\n{done.stdout}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
