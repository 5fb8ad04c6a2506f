"""What the steps hand on: all modules in one tree, and which file each of its statements goes to."""
from __future__ import annotations

import ast
from dataclasses import dataclass, field

from tools.bundle.scopes import DEFINITIONS, bound_names

MAIN = ""
"""The unit of the bundle itself; every other unit is a file that is loaded on demand."""

_LAZY = "@"


@dataclass
class Public:
    """Names that keep their spelling, since programs use them."""

    roots: set[str] = field(default_factory=set)
    """Global names: what the package gives."""
    attributes: set[str] = field(default_factory=set)
    """Methods and attributes of what programs hold."""
    classes: set[str] = field(default_factory=set)
    """Classes whose public methods programs call, whose parameters they may give by name."""


@dataclass
class Program:
    """A tree that holds everything, by names that are one for one."""

    tree: ast.Module
    public: Public
    origins: dict[str, str] = field(default_factory=dict)
    """By global name: where it stands in the source, such as `wire.batch.BatchRing`."""
    renamed: dict[str, str] = field(default_factory=dict)
    """What `renaming` did: new names by old ones, `.name` for attributes and methods."""
    functions: dict[str, list[str]] = field(default_factory=dict)
    """By a function's new name: the functions and methods of the source that have it, with module and class."""

    def homes(self) -> dict[str, str]:
        """By global name: the unit that binds it. Imports of other packages belong to none."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            names = [node.name] if isinstance(node, DEFINITIONS) else bound_names(ast.Module([node], []))
            found.update(dict.fromkeys(names, unit_of(node)))
        return found


def set_unit(node: ast.AST, unit: str) -> None:
    """A statement, and all that is in it, belongs to that unit."""
    for one in ast.walk(node):
        one.unit = unit  # pyright: ignore[reportAttributeAccessIssue]


def unit_of(node: ast.AST) -> str:
    """The unit that a statement belongs to."""
    return getattr(node, "unit", MAIN)


def lazy_import(unit: str, name: str, here: str) -> ast.ImportFrom:
    """The statement by which a function loads something global of another unit, under the local name `here`."""
    return ast.ImportFrom(_LAZY + unit, [ast.alias(name, here)], 0)


def lazy_unit(node: ast.AST) -> str | None:
    """The unit that such a statement loads; None for all other nodes."""
    if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_LAZY):
        return node.module[len(_LAZY):]
    return None
