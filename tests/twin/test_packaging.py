"""What a board or a host installs is what stands in the tree, under one version."""
from __future__ import annotations

import ast
import re
import tomllib

from tools import mip_index


def test_package_json_lists_what_is_there() -> None:
    assert mip_index.INDEX.read_text() == mip_index.index(), "run `make package`"


def test_versions_agree() -> None:
    manifest = ast.parse((mip_index.ROOT / "manifest.py").read_text())
    calls = [node.value for node in manifest.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    metadata = next(call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "metadata")
    stated = {word.arg: word.value.value for word in metadata.keywords if isinstance(word.value, ast.Constant)}
    assert stated["version"] == mip_index.version()


def test_nothing_is_needed_to_install() -> None:
    project = tomllib.loads((mip_index.ROOT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    assert project["requires-python"] == ">=3.9"


def test_locks_are_complete_and_name_no_index() -> None:
    for name in ("requirements-dev.txt", "requirements-stubs.txt", "requirements-device.txt"):
        text = (mip_index.ROOT / name).read_text()
        assert "://" not in text
        entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
        assert entries
        for entry in entries:
            assert re.match(r"[a-z0-9.-]+==\S+", entry) and "--hash=sha256:" in entry, entry


def test_the_architecture_names_every_module_and_no_other() -> None:
    text = (mip_index.ROOT / "docs" / "architecture.md").read_text()
    rooms = text.split("## Rooms", 1)[1].split("Three seams", 1)[0]
    named = re.findall(r"`(\w+)`", rooms)
    there = [path.stem for path in (mip_index.ROOT / "mpy_pulsar").rglob("*.py") if path.stem != "__init__"]
    assert sorted(named) == sorted(there)


def test_the_readme_names_every_target_of_make() -> None:
    makefile = (mip_index.ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE)) - {"help"}
    readme = (mip_index.ROOT / "README.md").read_text()
    assert set(re.findall(r"`?make ([a-z-]+)", readme)) == targets
