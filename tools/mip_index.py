"""Writes package.json, by which mip and mpremote install the package on a board: every file of mpy_pulsar.

    .venv/bin/python -m tools.mip_index
"""
from __future__ import annotations

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "package.json"


def version() -> str:
    """The package's version, from `__version__` in mpy_pulsar/__init__.py; raises ValueError when it has none."""
    tree = ast.parse((ROOT / "mpy_pulsar" / "__init__.py").read_text())
    for node in tree.body:
        if (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id == "__version__" and isinstance(node.value, ast.Constant)):
            return str(node.value.value)
    raise ValueError("mpy_pulsar/__init__.py assigns no __version__")


def index() -> str:
    """The text that package.json should have: pairs of the place on the board and the file, beside package.json."""
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "mpy_pulsar").rglob("*.py"))
    return json.dumps({"version": version(), "urls": [[name, name] for name in files], "deps": []}, indent=2) + "\n"


if __name__ == "__main__":
    INDEX.write_text(index())
    print(f"wrote {INDEX.name}, version {version()}")
