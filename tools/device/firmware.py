"""The emulated board's firmware: MicroPython for the RP2040 with this package frozen into it."""
from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from tools.device import kit
from tools.device.kit import FOLDER, HERE, ROOT, Say

_BOARD = "PICO_PPP"
_FIRMWARES = FOLDER / "firmware"
_KEPT = 4  # firmwares of other versions of the package that are kept
_BUILD_SECONDS = 1200
_SHOWN_LINES = 15


class BuildFailed(Exception):
    """The firmware does not build; the text holds what the compiler said."""


def _sources() -> dict[str, Path]:
    """What is frozen or configures the build, by its place in the folder that the build reads."""
    found = {"project/manifest.py": ROOT / "manifest.py"}
    for path in sorted((ROOT / "mpy_pulsar").rglob("*.py")):
        found[f"project/{path.relative_to(ROOT)}"] = path
    for path in sorted((HERE / "board").iterdir()):
        if path.is_file():
            found[f"board/{path.name}"] = path
    return found


def fingerprint() -> str:
    """Of everything that the firmware is made from."""
    digest = hashlib.sha256((kit.fingerprint() + Path(__file__).read_text()).encode())
    for name, path in _sources().items():
        digest.update(b"%s %d\n" % (name.encode(), path.stat().st_size) + path.read_bytes())
    return digest.hexdigest()[:16]


def build(say: Say) -> Path:
    """The firmware of the tree as it stands, built unless it was before: about a minute, seconds when little changed.

    Raises private_apt.Unavailable where what it is made from cannot be had, and BuildFailed.
    """
    with kit.exclusive():
        folder = kit.fetch(say)
        target = _FIRMWARES / f"{fingerprint()}.bin"
        if target.exists():
            os.utime(target)
            return target
        started = time.monotonic()
        say("building the board's firmware ...")
        built = _make(folder)
        _FIRMWARES.mkdir(exist_ok=True)
        for old in sorted(_FIRMWARES.glob("*.bin"), key=os.path.getmtime)[:-_KEPT]:
            old.unlink()
        half = target.with_suffix(".half")
        shutil.copy(built, half)
        half.rename(target)
        say(f"built in {time.monotonic() - started:.0f} s: {target.stat().st_size:,} bytes")
        return target


def _make(folder: Path) -> Path:
    tree, frozen, output = folder / "micropython", folder / "frozen", folder / "build"
    _lay_out(frozen)
    jobs = f"-j{os.cpu_count() or 1}"
    _run(folder, "make", "-C", str(tree / "mpy-cross"), jobs)
    if not (output / "Makefile").exists():
        _run(folder, "cmake", "-S", str(tree / "ports/rp2"), "-B", str(output), "-DPICO_NO_PICOTOOL=1",
             "-DPICO_BUILD_DOCS=0", f"-DMICROPY_BOARD={_BOARD}", f"-DMICROPY_BOARD_DIR={frozen / 'board'}",
             f"-DMICROPY_FROZEN_MANIFEST={frozen / 'board/manifest.py'}")
    _run(folder, "make", "-C", str(output), jobs)
    return output / "firmware.bin"


def _lay_out(frozen: Path) -> None:
    """Copy what is frozen to where the build reads it; a file that is the same keeps its time, so make leaves it."""
    wanted = _sources()
    for path in frozen.rglob("*") if frozen.is_dir() else ():
        if path.is_file() and path.relative_to(frozen).as_posix() not in wanted:
            path.unlink()
    for name, source in wanted.items():
        target = frozen / name
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _run(folder: Path, *words: str) -> None:
    # Settings of a make that called us (jobs, silence) are not for this one.
    variables = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    variables |= {"PATH": kit.compiler_path(folder), "LC_ALL": "C"}
    log = folder / "build.log"
    with open(log, "w") as output:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=variables,
                              timeout=_BUILD_SECONDS)
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "rror" in line] or lines
        raise BuildFailed(f"`{' '.join(words[:3])}` failed ({log}):\n" + "\n".join(errors[:_SHOWN_LINES]))
