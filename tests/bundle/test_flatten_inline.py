"""Classes with one subclass and functions with one call join, and do the same as before."""
from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bundle.small import defined, merged, run
from tools.bundle.building import describe
from tools.bundle.flattening import flatten
from tools.bundle.inlining import inline

_FAMILY = """
class Top:
    kind = 'top'
    def __init__(self, x):
        self.x = x
    def say(self):
        return [self.kind, self.x]
    def more(self):
        return 'top more'
class Low(Top):
    kind = 'low'
    def __init__(self, x):
        super().__init__(x + 1)
        self.y = x
    def say(self):
        return super().say() + [self.y]
    def more(self):
        return 'low more'
def run(x):
    thing = Low(x)
    return thing.say(), thing.more()
"""


def test_a_class_with_one_subclass_becomes_part_of_it(tmp_path: Path) -> None:
    program = merged(tmp_path, _FAMILY)
    expected = run(program, 3)
    flatten(program)
    assert run(program, 3) == expected == (["low", 4, 3], "low more")
    assert defined(program) == {"Low", "Low.__init__", "Low._top_init", "Low.say", "Low._top_say", "Low.more", "run"}


@pytest.mark.parametrize("more", [
    "class Second(Top):\n    pass\n", "def make():\n    return Top(1)\n",
    "def is_top(x):\n    return isinstance(x, Top)\n",
])  # fmt: skip
def test_a_class_that_is_used_elsewhere_stays(more: str, tmp_path: Path) -> None:
    program = merged(tmp_path, _FAMILY + more)
    flatten(program)
    assert "Top" in defined(program)


def test_a_public_class_stays(tmp_path: Path) -> None:
    program = merged(tmp_path, _FAMILY, roots=("run", "Top"))
    flatten(program)
    assert "Top" in defined(program)


def inlined(tmp_path: Path, source: str, *gone: str, arguments: tuple = (0, 1, 2, 3, -1)) -> str:
    """The text after inlining; `gone` have moved, and `run` gives the same for each argument."""
    program = merged(tmp_path, source)
    before = defined(program)
    expected = [outcome(program, one) for one in arguments]
    inline(program)
    assert before - defined(program) == {*gone}, describe(program)
    assert [outcome(program, one) for one in arguments] == expected
    return describe(program)


def outcome(program: object, argument: object) -> object:
    """What `run` returns or raises."""
    try:
        result = run(program, argument)  # pyright: ignore[reportArgumentType]
        return asyncio.run(result) if asyncio.iscoroutine(result) else result
    except (ValueError, TypeError, IndexError) as error:
        return repr(error)


def test_statements_assignments_and_returns_are_replaced(tmp_path: Path) -> None:
    inlined(tmp_path, """
LOG = []
class A:
    def __init__(self, x):
        self.x = x
        self._note(x, extra=2)
        self.y = self._double()
    def _note(self, x, extra=1, more=3):
        LOG.append((x, extra, more))
        return 7
    def _double(self):
        if self.x > 1:
            return self.x * 2
        elif self.x == 1:
            y = 5
            return y
        LOG.append('none')
    def _last(self):
        if not self.y:
            return None
        return self.y
    def both(self):
        return self._last()
def run(x):
    a = A(x)
    return a.both(), a.y, LOG
""", "A._note", "A._double", "A._last")


def test_variables_of_both_are_told_apart(tmp_path: Path) -> None:
    text = inlined(tmp_path, """
def part(value, size):
    total = value
    value += size
    for index in range(size):
        total += index * value
    return total
def run(x):
    a = b = c = d = e = f = 1
    index = value = total = 10
    size = part(x, total)
    return index, value, total, size, a + b + c + d + e + f
""", "part")
    assert "index_" in text and "total_" in text


def test_arguments_are_evaluated_once_and_in_order(tmp_path: Path) -> None:
    inlined(tmp_path, """
LOG = []
def log(x):
    LOG.append(x)
    return x
def part(a, b, c):
    if c:
        return a + a + b
    return b
def run(x):
    s = t = u = v = w = y = 0
    result = part(log(x), log(x + 1), x)
    return result, LOG[-2:], s, t, u, v, w, y
""", "part")


def test_errors_of_what_was_moved_are_those_of_before(tmp_path: Path) -> None:
    inlined(tmp_path, """
def part(x):
    try:
        y = [4, 5][x]
    except IndexError as error:
        raise ValueError('no %s' % error)
    if x < 0:
        raise TypeError('below')
    return y
def run(x):
    a = b = c = d = e = f = g = x
    error = part(x)
    return error + a + b + c + d + e + f + g
""", "part")


def test_coroutines_move_into_those_that_await_them(tmp_path: Path) -> None:
    inlined(tmp_path, """
import asyncio
async def part(x):
    await asyncio.sleep(0)
    if x:
        return x + 1
    return -1
async def run(x):
    y = await part(x)
    return y
""", "part")


def test_a_function_that_is_an_expression_moves_anywhere(tmp_path: Path) -> None:
    text = inlined(tmp_path, """
class Ring:
    def __init__(self, x):
        self.items = [x, x + 1, x + 2]
        self.size = 3
    def at(self, place):
        return self.items[place % self.size]
def twice(x):
    return x + x
def run(x):
    ring = Ring(x)
    place = 4
    return [ring.at(place) for _ in range(2)] if twice(x) else None
""", "Ring.at", "twice")
    assert "ring.items[place % ring.size]" in text


def test_a_short_expression_moves_to_several_places(tmp_path: Path) -> None:
    inlined(tmp_path, """
class Ring:
    def __init__(self, x):
        self.count = x
    def idle(self):
        return not self.count
    def long(self):
        return [self.count, self.count, self.count, self.count, self.count]
def run(x):
    ring, other = Ring(x), Ring(0)
    return ring.idle(), other.idle(), ring.long(), other.long()
""", "Ring.idle")


@pytest.mark.parametrize(("name", "source"), [
    ("called twice", "def part(x):\n    x += 1\n    return x\ndef run(x):\n    y = part(x)\n"
                     "    z = part(y)\n    return y, z\n"),
    ("return in a loop", "def part(x):\n    for i in range(9):\n        if i > x:\n            return i\ndef run(x):\n"
                         "    a = b = c = d = e = f = g = 1\n    y = part(x)\n    return y\n"),
    ("handed on", "def part(x):\n    return x\ndef run(x):\n    return list(map(part, [x]))\n"),
    ("recursive", "def run(x):\n    if x > 0:\n        y = run(x - 1)\n        return y\n    return x\n"),
    ("not awaited at once", "import asyncio\nasync def part(x):\n    await asyncio.sleep(0)\n    return x\n"
                            "async def run(x):\n    y = part(x)\n    return await y\n"),
    ("a generator", "def part(x):\n    yield x\ndef run(x):\n    y = part(x)\n    return list(y)\n"),
    ("any number of arguments", "def part(*x):\n    return x\ndef run(x):\n    y = part(x, x)\n    return y\n"),
])  # fmt: skip
def test_what_cannot_move_stays(name: str, source: str, tmp_path: Path) -> None:
    inlined(tmp_path, source)


def test_a_small_function_does_not_become_a_large_one(tmp_path: Path) -> None:
    """Its calls would take heap for their variables, where they took none."""
    inlined(tmp_path, "def part(x):\n    a = x\n    b = a + 1\n    c = b + a\n    d = c + b\n    e = d + c\n"
                      "    return e\ndef run(x):\n    y = 1\n    z = part(x)\n    return y + z\n")
