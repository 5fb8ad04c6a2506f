"""The first steps on small sources: many modules in one, constants in the code, nothing that is of no use."""
from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.bundle.small import defined, merged, namespace, run
from tools.bundle.building import describe
from tools.bundle.emitting import unit_sources
from tools.bundle.folding import fold
from tools.bundle.reading import PACKAGE, VIPER, Reader
from tools.bundle.scopes import BundleError
from tools.bundle.shaking import shake


def test_names_that_clash_are_told_apart(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "one": "LIMIT = 1\ndef make():\n    return LIMIT\n",
        "two": "LIMIT = 2\ndef make():\n    return LIMIT\n",
        "main": "from .one import make\nfrom .two import make as other, LIMIT\ndef run():\n"
                "    return make(), other(), LIMIT\n",
    })  # fmt: skip
    assert run(program) == (1, 2, 2)


def test_a_local_variable_does_not_hide_what_was_imported_by_another_name(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "def message(x):\n    return x + 1\n",
        "main": "from .low import message as encode\ndef run(x):\n    message = encode(x)\n    return message\n",
    })  # fmt: skip
    assert run(program, 4) == 5


def test_a_name_of_a_built_in_is_ours_in_one_module_only(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "def sum(x):\n    return 'ours'\ndef use():\n    return sum([1])\n",
        "main": "from .low import use\ndef run():\n    return use(), sum([1, 2])\n",
    })  # fmt: skip
    assert run(program) == ("ours", 3)


def test_imports_of_other_packages_are_made_once(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "import math\nfrom math import floor as down\ndef low(x):\n    return math.ceil(x) + down(x)\n",
        "main": "import math\nfrom math import floor\nfrom .low import low\ndef run(x):\n"
                "    return low(x) * math.ceil(x) + floor(x)\n",
    })  # fmt: skip
    assert run(program, 1.5) == 7
    assert describe(program).count("import math") == 1 and describe(program).count("floor") >= 2


def test_what_is_loaded_on_demand_is_a_file_of_its_own(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "BASE = [1]\n",
        "rare": "from .low import BASE\nclass Rare:\n    def value(self):\n        return BASE[0]\n",
        "main": "from .low import BASE\ndef run():\n    from .rare import Rare\n    return Rare().value() + BASE[0]\n",
    })  # fmt: skip
    sources = unit_sources(program, "1")
    assert set(sources) == {"", "rare"}
    assert "from . import BASE" in sources["rare"] and "class Rare" in sources["rare"]
    assert "    from .rare import Rare\n" in sources[""] and "class Rare" not in sources[""]


def test_what_is_there_anyway_is_not_loaded_on_demand(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "def low():\n    return 1\n",
        "main": "from .low import low\ndef run():\n    from .low import low as again\n    return again() + low()\n",
    })  # fmt: skip
    assert run(program) == 2
    assert "import" not in describe(program)


def test_globals_that_functions_assign_are_followed(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "count = 0\ndef up():\n    global count\n    count += 1\n    return count\n",
        "main": "from .low import up\ncount = 10\ndef run():\n    up()\n    return up() + count\n",
    })  # fmt: skip
    assert run(program) == 12


@pytest.mark.parametrize(("files", "word"), [
    ({"main": "from .low import nothing\ndef run():\n    return nothing\n", "low": ""}, "has no nothing"),
    ({"main": "from .missing import x\ndef run():\n    return x\n"}, "no module pkg.missing"),
    ({"main": "if 1:\n    from .low import x\ndef run():\n    return x\n", "low": "x = 1"}, "inside of a statement"),
    ({"main": "import pkg.low as low\ndef run():\n    low.x = 2\n", "low": "x = 1"}, "assigns to x"),
])  # fmt: skip
def test_what_cannot_be_followed_is_refused(files: dict[str, str], word: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=word):
        merged(tmp_path, files)


def test_seams_and_kernels_are_chosen() -> None:
    source = ("import sys\nif sys.implementation.name == 'micropython':\n    try:\n        from .fast import f\n"
              "    except ImportError:\n        from .slow import f\nelse:\n    from shim import f\n")
    plain = Reader({PACKAGE: Path()}).prepare(f"{PACKAGE}.k", source)
    viper = Reader({PACKAGE: Path()}, VIPER).prepare(f"{PACKAGE}.k", source)
    assert plain.eager == [f"{PACKAGE}.slow"] and viper.eager == [f"{PACKAGE}.fast"]


def test_docstrings_and_annotations_go_but_not_vipers_types() -> None:
    source = ('"""d"""\ndef f(a: int) -> int:\n    """d"""\n    return a\n'
              '@micropython.viper\ndef g(b: ptr8):\n    pass\nclass C:\n    """d"""\n')
    module = Reader({PACKAGE: Path()}).prepare(f"{PACKAGE}.k", source)
    text = ast.unparse(module.tree)
    assert '"""' not in text and "int" not in text and "b: ptr8" in text


def test_constants_are_folded(tmp_path: Path) -> None:
    program = merged(tmp_path, {
        "low": "from micropython import const\nSIZE = const(4)\n_MASK = const((1 << SIZE) - 1)\nMINUS = -SIZE\n"
               "TABLE = (1, 2)\nNAME = 'once'\nTWICE = 'twice'\n",
        "main": "from .low import SIZE, _MASK, MINUS, TABLE, NAME, TWICE\nVERSION = 7\ndef run():\n"
                "    return SIZE * 2 + 1, _MASK, MINUS, TABLE[0], NAME, TWICE, TWICE, VERSION\n",
    }, roots=("run", "VERSION"))  # fmt: skip
    fold(program)
    text = describe(program)
    assert "return (9, 15, -4, TABLE[0], 'once', TWICE, TWICE, VERSION)" in text
    shake(program)
    assert run(program) == (9, 15, -4, 1, "once", "twice", "twice", 7)
    assert "const" not in describe(program)


def test_a_global_that_changes_is_not_folded(tmp_path: Path) -> None:
    program = merged(tmp_path, "n = 1\ndef run():\n    global n\n    n += 1\n    return n\n")
    fold(program)
    assert run(program) == 2


@pytest.mark.parametrize(("condition", "left"), [
    ("ON and x", "x"), ("OFF and x", "0"), ("x or ON", "x or 1"), ("OFF or x", "x"), ("x and ON and y", "x and y"),
    ("not ON", "False"), ("1 if ON else x", "1"), ("OFF or 0", "0"),
])  # fmt: skip
def test_conditions_are_decided(condition: str, left: str, tmp_path: Path) -> None:
    program = merged(tmp_path, f"ON = 1\nOFF = 0\ndef run(x, y):\n    return {condition}\n")
    expected = {(x, y): run(program, x, y) for x in (0, 5) for y in (0, 6)}
    fold(program)
    if left != "x and y":
        assert f"return {left}\n" in describe(program)
    assert {key: run(program, *key) for key in expected} == expected


def test_branches_are_decided(tmp_path: Path) -> None:
    program = merged(tmp_path, "ON = True\ndef run(x):\n    if ON:\n        x += 1\n    else:\n        x += 2\n"
                               "    if not ON:\n        x = 0\n    return x\n")
    fold(program)
    assert run(program, 1) == 2 and "if" not in describe(program)


_SHAKEN = """
class Base:
    spare = 1
    used = 2
    def __init__(self):
        self.seen = 1
        self.unseen = 2
        self.effect = note(3)
    def hook(self, x):
        pass
    def asked(self):
        return self.seen + self.used
    def never(self):
        return helper()
class Other:
    def asked(self):
        return 0
def helper():
    return 1
def note(x):
    NOTES.append(x)
    return x
NOTES = []
UNUSED = helper()
def run():
    thing = Base()
    if NOTES:
        thing.hook(1)
    return thing.asked(), NOTES
"""


def test_what_nothing_reaches_goes(tmp_path: Path) -> None:
    program = merged(tmp_path, _SHAKEN)
    shake(program)
    assert defined(program) == {"Base", "Base.__init__", "Base.asked", "note", "run"}
    text = describe(program)
    assert run(program) == (3, [3])
    for word in ("unseen", "effect", "spare", "UNUSED", "hook", "helper", "if "):
        assert word not in text, word


def test_public_methods_and_attributes_stay(tmp_path: Path) -> None:
    program = merged(tmp_path, _SHAKEN, roots=("run", "Base"), attributes=("never", "unseen"))
    shake(program)
    assert {"Base.never", "helper"} <= defined(program)
    assert namespace(program)["Base"]().unseen == 2


def test_a_hook_that_does_something_somewhere_is_called(tmp_path: Path) -> None:
    program = merged(tmp_path, "class A:\n    def hook(self):\n        pass\nclass B(A):\n    def hook(self):\n"
                               "        LOG.append(1)\nLOG = []\ndef run():\n    for kind in (A, B):\n"
                               "        kind().hook()\n    return LOG\n")
    shake(program)
    assert run(program) == [1]


def test_an_alias_in_a_class_keeps_its_method(tmp_path: Path) -> None:
    program = merged(tmp_path, "class A:\n    def step(self):\n        return 4\n    __next__ = step\n"
                               "def run():\n    return next(A())\n")
    shake(program)
    assert run(program) == 4
