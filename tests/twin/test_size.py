"""make size: its arithmetic, the order of imports, and that every module is measured."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import missing
from tools.size import __main__ as command
from tools.size import measure
from tools.size.measure import Failed


def test_shares_are_means_and_totals_are_those_of_each_start() -> None:
    found = measure.cost([[2000, 100, 30], [2100, 300, 10]], ["p", "p.a"], {"p": 40, "p.a": 50})
    assert [(one.name, one.mpy, one.heap) for one in found.modules] == [("p", 40, 200), ("p.a", 50, 20)]
    assert found.heaps == (130, 310)
    assert (found.heap, found.mpy, found.asyncio) == (220, 90, 2050)


def test_imports_are_ordered_from_the_bottom_up(tmp_path: Path) -> None:
    package = tmp_path / "mpy_pulsar"
    (package / "low").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "low" / "__init__.py").write_text("")
    (package / "low" / "one.py").write_text("import sys\nif sys.maxsize:\n    from ..two import x\n")
    (package / "two.py").write_text("def late():\n    from .never import z\n")
    (package / "top.py").write_text("from .low.one import a\n")
    assert measure.import_order(tmp_path, ["mpy_pulsar.top"]) == [
        "mpy_pulsar", "mpy_pulsar.low", "mpy_pulsar.two", "mpy_pulsar.low.one", "mpy_pulsar.top",
    ]


def test_what_does_not_compile_is_said(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f(:\n")
    with pytest.raises(Failed, match="SyntaxError"):
        measure.compile_file(tmp_path / "wrong.py", tmp_path / "wrong.mpy", "wrong")


def test_the_command_measures_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        command.interpreter_32()
    except Failed as problem:
        missing(str(problem))
    monkeypatch.setattr(command, "RESULT", tmp_path / "build" / "size.json")
    assert command.main() == 0
    text = capsys.readouterr().out
    result = json.loads((tmp_path / "build" / "size.json").read_text())
    for name, figures in result["sets"].items():
        assert len(figures["heaps"]) == len(measure.STARTS)
        assert figures["mpy"] == sum(module["mpy"] for module in figures["modules"].values())
        assert f"{figures['mpy']:,}" in text and f"{figures['heap']:,}" in text
        assert all(module["heap"] > 0 for module in figures["modules"].values()), name
        assert "mpy_pulsar.core.handle" in figures["modules"]
    sizes = {name: figures["heap"] for name, figures in result["sets"].items()}
    assert sizes["producer and consumer"] > max(sizes["producer"], sizes["consumer"])
    assert "mqtt_as" in text
