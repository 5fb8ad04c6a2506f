"""Debian's packages of MicroPython, unpacked in the build folder: no root, and nothing of the machine is changed.

They are fetched by an apt of our own (private_apt), unpacked, not installed, and the interpreter is started through
its own loader, so it does not matter which Debian release the machine runs. With a 32-bit architecture this gives a
MicroPython whose words and heap blocks are those of ESP32 and RP2040.
"""
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tools.private_apt import PrivateApt, Unavailable, architecture, find_archive, run

# Fixed suites first: what they hold changes least. A suite whose lists fail their check is left for the next one.
SUITES = ("trixie", "stable", "forky")


def fetch(bits: int, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Unpack MicroPython into `folder` and return the command that starts it; raises Unavailable.

    `folder` is emptied first; its subfolder `root` is what stays. `say` is told each step.
    """
    name = architecture(bits)
    archive = find_archive()
    problems = []
    for suite in SUITES:
        shutil.rmtree(folder, ignore_errors=True)
        say(f"fetching MicroPython for {name} from Debian {suite} ...")
        try:
            apt = PrivateApt(folder / "apt", name, archive)
            apt.update(suite)
            for package in apt.download("micropython"):
                run(["dpkg", "-x", str(package), str(folder / "root")], 60)
            shutil.rmtree(folder / "apt")
            return command(folder)
        except Unavailable as problem:
            problems.append(f"{suite}: {problem}")
    shutil.rmtree(folder, ignore_errors=True)
    raise Unavailable(f"no suite of {archive.address} gave MicroPython for {name}; " + "; ".join(problems))


def command(folder: Path) -> list[str]:
    """The command that starts the MicroPython unpacked in `folder`; raises Unavailable when it is not there."""
    root = folder / "root"
    binary = root / "usr/bin/micropython"
    loaders = sorted(path for path in root.rglob("ld-linux*.so.*") if path.is_file())
    libraries = sorted({str(path.parent) for path in root.rglob("*.so.*") if path.is_file()})
    if not binary.is_file() or not loaders:
        raise Unavailable(f"{root} holds no MicroPython with its loader: delete {folder} and run `make setup`")
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(binary)]
