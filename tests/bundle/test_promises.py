"""The sources keep what they promise the bundler; each breach is named together with what to do instead."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import missing
from tools.bundle.promises import names_in_stubs, packages_imported, problems_of, read_all, stale_entries
from tools.bundle.reading import PACKAGE, Module, Reader
from tools.bundle.sets import SETS, homes_of, public_of
from tools.interpreters import ROOT

STUBS = ROOT / "build" / "typings"


def of(source: str) -> list[Module]:
    """A module with that source, read as one of the package."""
    return [Reader({PACKAGE: ROOT}).prepare(f"{PACKAGE}.sample", source)]


def test_the_package_keeps_its_promises() -> None:
    assert problems_of(read_all(ROOT)) == []


def test_no_attribute_of_ours_is_called_like_one_of_another_packages_objects() -> None:
    if not STUBS.is_dir():
        missing("MicroPython's type stubs are missing: run `make setup`")
    modules = read_all(ROOT)
    packages = packages_imported(modules)
    assert {"asyncio", "socket", "time"} <= packages
    foreign = {**names_in_stubs(STUBS, packages), **names_in_stubs(STUBS / "stdlib", packages)}
    assert {"setblocking", "is_set", "decode"} <= foreign.keys()
    reader = Reader({PACKAGE: ROOT})
    public = public_of(reader, [module.name for module in modules], homes_of(reader))
    assert problems_of(modules, foreign, public.attributes) == []


def test_the_sets_name_what_is_there() -> None:
    assert stale_entries(read_all(ROOT)) == []


def test_everything_public_is_in_a_bundle_of_both() -> None:
    reader = Reader({PACKAGE: ROOT})
    homes = homes_of(reader)
    assert {"Client", "AuthenticationToken", "MessageId"} <= set(homes)
    public = public_of(reader, [module.name for module in read_all(ROOT)], homes)
    assert {"create_producer", "subscribe", "send_nowait", "receive", "data", "code", "text"} <= public.attributes
    assert {"Producer", "Consumer", "Message", "MessageId", "Client"} <= public.classes
    assert SETS["both"].without == ()


@pytest.mark.parametrize(("source", "word"), [
    ("def f(x, name):\n    return getattr(x, name)", "write the attribute out"),
    ("def f():\n    return globals()", "sees names"),
    ("def f(x):\n    return x.__dict__", "reads __dict__"),
    ("def f(kind):\n    return kind.__name__", "reads __name__"),
    ("def f(x):\n    try:\n        return x()\n    except OSError as error:\n        return x.__class__.__name__",
     "reads __name__"),
    ("class Own(ValueError):\n    pass", "belongs into errors.py"),
    ("def f(x):\n    x.colour = 1", "set it in that class's __init__"),
    ("class A:\n    def f(self):\n        self.__x = 1", "one underscore"),
    ("def f(x):\n    assert x", "without asserts"),
    ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2\n    return g", "nonlocal"),
    ("def f(x):\n    class A:\n        pass\n    return A", "move it to the top"),
    ("def g(a, b):\n    return a\ndef f(**options):\n    return g(1, **options)", "behind a `*`"),
    ("def f(x, **options):\n    return x.make(**options)", "`**` into x.make"),
    ("class A(B, C):\n    pass", "at most one base"),
    ("class A:\n    @property\n    def f(self):\n        return 1", "decorator property"),
    ("class A:\n    def f(this):\n        return 1", "is called self"),
    ("import mpy_pulsar.wire.kernels as kernels", "import names from it"),
])  # fmt: skip
def test_a_breach_is_named(source: str, word: str) -> None:
    problems = problems_of(of(source))
    assert len(problems) == 1 and word in problems[0] and problems[0].startswith("mpy_pulsar.sample:"), problems


def test_a_name_of_somebody_else_is_named() -> None:
    source = "class A:\n    def __init__(self):\n        self.ready = 1\n        self.wait = 2\n"
    (problem,) = problems_of(of(source), {"ready": "socket.socket", "wait": "asyncio.Event", "other": "x.Y"})
    assert "mpy_pulsar.sample.A: its attribute ready is called like one of socket.socket" in problem
    assert problems_of(of(source), {"ready": "socket.socket"}, ["ready"]) == []


@pytest.mark.parametrize("source", [
    "def g(a, *, b=1):\n    return a\ndef f(**options):\n    return g(1, **options)",
    "import socket\nX = getattr(socket, 'TCP_NODELAY', 1)",
    "class A:\n    @staticmethod\n    def f(x):\n        return x\n    def g(self, other):\n        self.y = other\n"
    "def h(a):\n    a.y = 1",
    "def f(content):\n    return content.__class__ is str",
    "def f(x):\n    try:\n        return x()\n    except OSError as error:\n        return error.__class__.__name__",
    "def f(name):\n    import network\n    return hasattr(network, name)",
    "class A:\n    def f(self):\n        self.own = 1\ndef f(x):\n    return hasattr(x, 'own') or getattr(x, 'own', 1)",
    "def f(context):\n    context.verify_mode = 1",
    "def f(producer):\n    producer.from_irq = 1",
])  # fmt: skip
def test_what_is_allowed(source: str) -> None:
    assert problems_of(of(source)) == []


def test_stubs_are_read(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    text = "class T:\n    x: int\n    def y(self): ...\n    _z = 1\ndef f(): ...\n"
    (tmp_path / "thing" / "__init__.pyi").write_text(text)
    (tmp_path / "other.pyi").write_text("class O:\n    w: int\n")
    assert names_in_stubs(tmp_path, ["thing", "other"]) == {"x": "thing.T", "y": "thing.T", "w": "other.O"}
