"""The rooms of mpy_pulsar: imports only go down, and only the three seams know which interpreter they run on.

From the top: features (loaded on first use), the package itself (what users hold), net, core, wire, and the ground
(port and errors). docs/architecture.md says why.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mpy_pulsar"
ROOMS = {"features": 5, "": 4, "net": 3, "core": 2, "wire": 1, "ground": 0}
GROUND = ("port", "errors")
SANS_IO = ("core", "wire")
WORLD = {"asyncio", "socket", "ssl", "tls", "time", "select"}
SEAMS = ("port.py", "wire/kernels.py", "net/stream.py")
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands, what it names, and whether it waits for a call of a function."""

    line: int
    level: int  # dots in front
    module: str
    lazy: bool


def imports_of(tree: ast.AST, lazy: bool = False) -> Iterator[Import]:
    """All imports below a node, outside functions and in them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, 0, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.lineno, node.level, node.module or "", lazy)
        else:
            yield from imports_of(node, lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module given by its path inside the package, such as ("wire", "writer")."""
    if len(parts) > 1:
        return parts[0]
    return "ground" if parts and parts[0] in GROUND else ""


def problems_of(name: str, source: str, packages: frozenset[str]) -> list[str]:
    """What a file of the package, at the path `name` inside it, does against the rules.

    `packages` are the folders of the package with an __init__.py, the package itself as "".
    """
    tree = ast.parse(source)
    parts = tuple(name[:-len(".py")].split("/"))
    folder = parts[:-1]
    here = room_of(parts)
    problems = []
    if here not in ROOMS:
        problems.append(f"{name}: the folder {here}/ is none of the rooms")
    for found in imports_of(tree):
        where = f"{name}:{found.line}"
        top = found.module.split(".")[0]
        if not found.level:
            if top == "mpy_pulsar":
                problems.append(f"{where}: imports {found.module} by its full name: say it relatively")
            if top == "cpython_shim" and name not in SEAMS:
                problems.append(f"{where}: imports {found.module}, and is none of the seams {SEAMS}")
            if here in SANS_IO and top.lstrip("u") in WORLD | {"asyncio"}:
                problems.append(f"{where}: imports {top}: {here}/ touches no socket, task or clock")
            continue
        if found.level - 1 > len(folder):
            problems.append(f"{where}: leaves the package")
            continue
        base = folder[:len(folder) - (found.level - 1)]
        target = base + tuple(found.module.split(".") if found.module else ())
        if "/".join(target) in packages:
            problems.append(f"{where}: imports from the package {'.'.join(target) or 'mpy_pulsar'}, "
                            "which fails on MicroPython while its module is not loaded: import from the module")
            continue
        there = room_of(target)
        if there == "features" and here != "features":
            if not found.lazy:
                problems.append(f"{where}: loads a feature at once: import it in the function that needs it")
        elif ROOMS.get(there, 9) > ROOMS.get(here, 9):
            problems.append(f"{where}: {here or 'the package'} imports {'.'.join(target)}, which stands above it")
    if name not in SEAMS:
        problems += [f"{name}:{node.lineno}: asks for sys.implementation, and is none of the seams {SEAMS}"
                     for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "implementation"]
    return problems


def packages_here() -> frozenset[str]:
    """The folders of mpy_pulsar that are packages, "" for itself."""
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    return frozenset("" if path == PACKAGE else path.relative_to(PACKAGE).as_posix() for path in folders)


@pytest.mark.parametrize("name", FILES)
def test_rooms(name: str) -> None:
    assert not problems_of(name, (PACKAGE / name).read_text(), packages_here())


def test_every_room_is_there() -> None:
    assert packages_here() >= set(ROOMS) - {"ground"}


@pytest.mark.parametrize(("name", "source"), [
    ("wire/writer.py", "from ..core.connection import Connection"),
    ("core/handle.py", "from ..net.link import Link"),
    ("core/handle.py", "def late():\n    from ..client import Client"),
    ("net/link.py", "from ..client import Client"),
    ("port.py", "from .errors import PulsarError\nfrom .wire.writer import Writer"),
    ("client.py", "from .features.reader import Reader"),
    ("client.py", "from . import producer"),
    ("client.py", "from .wire import writer"),
    ("net/link.py", "from .. import errors"),
    ("net/link.py", "from mpy_pulsar.errors import PulsarError"),
    ("net/link.py", "from ...tools.demo import main"),
    ("core/message.py", "import time"),
    ("core/message.py", "def late():\n    from time import ticks_ms"),
    ("wire/batch.py", "import uasyncio as asyncio"),
    ("wire/batch.py", "import cpython_shim.kernels"),
    ("client.py", "import sys\nTWIN = sys.implementation.name == 'cpython'"),
    ("extras/thing.py", "import sys"),
])
def test_a_breach_is_seen(name: str, source: str) -> None:
    assert problems_of(name, source, frozenset({"", "features", "net", "core", "wire"}))


@pytest.mark.parametrize(("name", "source"), [
    ("client.py", "import asyncio\nfrom .net.supervisor import Supervisor\nfrom .errors import PulsarError"),
    ("client.py", "def create_reader():\n    from .features.reader import Reader"),
    ("features/reader.py", "from ..consumer import Consumer\nfrom .schema import Schema"),
    ("core/handle.py", "from ..wire.writer import Writer\nfrom .message import Message\nimport struct"),
    ("port.py", "import sys\nif sys.implementation.name == 'cpython':\n    from cpython_shim.port import const"),
])
def test_what_the_rules_allow(name: str, source: str) -> None:
    assert not problems_of(name, source, frozenset({"", "features", "net", "core", "wire"}))
