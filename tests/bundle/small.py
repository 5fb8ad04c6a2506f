"""Small packages for the tests of the bundler's steps: written to a folder, taken through steps, run on CPython."""
from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.bundle.building import describe
from tools.bundle.merging import merge, units_of
from tools.bundle.program import Program, Public
from tools.bundle.reading import PLAIN, Reader

MAIN = "pkg.main"


def merged(folder: Path, files: Mapping[str, str] | str, roots: Iterable[str] = ("run",),
           attributes: Iterable[str] = (), classes: Iterable[str] = (), kernels: str = PLAIN) -> Program:
    """The package `pkg` of these modules, merged from `pkg.main` on; a text alone is that module's.

    roots, attributes, classes: what is public, see Public.
    """
    if isinstance(files, str):
        files = {"main": files}
    for name, text in {"__init__": "", **files}.items():
        path = folder.joinpath("pkg", *name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    reader = Reader({"pkg": folder}, kernels)
    order, units = units_of(reader, [MAIN], [])
    return merge(reader, order, units, Public({*roots}, {*attributes}, {*classes}))


def run(program: Program, *args: Any) -> Any:
    """What the program's function `run` returns."""
    return namespace(program)["run"](*args)


def namespace(program: Program) -> dict[str, Any]:
    """The program's globals once it has been executed, as one module."""
    found: dict[str, Any] = {"__name__": "bundle"}
    exec(compile(describe(program), "bundle", "exec"), found)
    return found


def defined(program: Program) -> set[str]:
    """Names of all functions, methods (Class.name) and classes that are left."""
    found = set()
    for node in program.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body
                      if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return found
