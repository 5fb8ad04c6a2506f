"""Reads source modules as a device sees them: MicroPython's half of each seam, no docstrings, absolute imports."""
from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.bundle.scopes import DEFINITIONS, NAMED_FUNCTIONS, BundleError, arguments_of, rewrite

PACKAGE = "mpy_pulsar"
PLAIN, VIPER = "plain", "viper"
_SEAM = "sys.implementation.name == 'micropython'"


@dataclass
class Module:
    """One source file: its dotted name and its tree."""

    name: str
    tree: ast.Module
    is_package: bool = False
    lazy: set[str] = field(default_factory=set)  # modules of ours that its functions import
    eager: list[str] = field(default_factory=list)  # modules of ours that it imports when it is loaded, in order


class Reader:
    """Finds and reads modules of ours, each once.

    folders: where the modules of a top package are, such as {"mpy_pulsar": the project's root}; a name outside of them
    is somebody else's. kernels: PLAIN or VIPER, which side of a module's choice of kernels is taken.
    """

    def __init__(self, folders: Mapping[str, Path], kernels: str = PLAIN) -> None:
        self._folders = folders
        self._kernels = kernels
        self._modules: dict[str, Module] = {}
        self.homes: dict[str, str] = {}
        """By public name of the package: its module. For `from mpy_pulsar import Client`, as programs have it."""

    def is_ours(self, name: str) -> bool:
        """Does that dotted name belong to one of the folders?"""
        return name.split(".")[0] in self._folders

    def path(self, name: str) -> Path:
        """The file of a module of ours; BundleError where there is none."""
        found = self._find(name)
        if not found:
            raise BundleError(f"there is no module {name}")
        return found

    def _find(self, name: str) -> Path | None:
        place = self._folders[name.split(".")[0]].joinpath(*name.split("."))
        choices = (place.with_suffix(".py"), place / "__init__.py")
        return next((choice for choice in choices if choice.is_file()), None)

    def read(self, name: str) -> Module:
        """The module of that name."""
        if name not in self._modules:
            path = self.path(name)
            self._modules[name] = self.prepare(name, path.read_text(), path.name == "__init__.py")
        return self._modules[name]

    def prepare(self, name: str, text: str, is_package: bool = False) -> Module:
        """A module from its source text."""
        tree = ast.parse(text, name)
        tree.body = [*self._chosen(name, tree.body)]
        drop_docstrings(tree)
        module = Module(name, tree, is_package)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = name.split(".")
                base = base[:len(base) - node.level + is_package]
                node.module = ".".join(base + ([node.module] if node.module else []))
                node.level = 0
        if name.split(".")[0] != PACKAGE:
            rewrite(tree, self._of_a_test)
        self._collect(module, tree, False)
        return module

    def _of_a_test(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        """What programs and tests may do and the package does not: asserts, and imports from a package."""
        if isinstance(node, ast.Assert):  # which mpy-cross would leave out
            error = ast.Call(ast.Name("AssertionError", ast.Load()), [node.msg] if node.msg else [], [])
            return ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Raise(error)], [])
        if isinstance(node, ast.ImportFrom) and node.module and self.is_ours(node.module):
            parts: list[ast.stmt] = []
            for alias in node.names:
                here = alias.asname or alias.name
                if node.module == PACKAGE and alias.name in self.homes:
                    parts.append(ast.ImportFrom(self.homes[alias.name], [alias], 0))
                elif self._find(f"{node.module}.{alias.name}"):
                    parts.append(ast.Import([ast.alias(f"{node.module}.{alias.name}", here)]))
                else:
                    parts.append(ast.ImportFrom(node.module, [alias], 0))
            return parts
        return node

    def _chosen(self, name: str, body: list[ast.stmt]) -> Iterator[ast.stmt]:
        """The statements of a module that are left when its choices of interpreter and kernels are made."""
        for node in body:
            if isinstance(node, ast.If) and ast.unparse(node.test) == _SEAM:
                yield from self._chosen(name, node.body)
            elif isinstance(node, ast.Try) and isinstance(node.body[0], ast.ImportFrom) and node.body[0].level:
                yield from node.body if self._kernels == VIPER else node.handlers[0].body
            else:
                yield node

    def _collect(self, module: Module, node: ast.AST, inside: bool) -> None:
        """Note the imports of ours below a node."""
        for child in ast.iter_child_nodes(node):
            for name in self.ours_of(child):
                if inside:
                    module.lazy.add(name)
                elif name not in module.eager:
                    module.eager.append(name)
            self._collect(module, child, inside or isinstance(child, (*NAMED_FUNCTIONS, ast.Lambda)))

    def ours_of(self, node: ast.AST) -> list[str]:
        """The modules of ours that an import statement names; empty for all other nodes."""
        if isinstance(node, ast.ImportFrom):
            return [node.module] if node.module and self.is_ours(node.module) else []
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names if self.is_ours(alias.name)]
        return []


def drop_docstrings(tree: ast.Module) -> None:
    """Docstrings, and annotations too, but for those of decorated functions, which are viper's types."""
    for node in ast.walk(tree):
        if isinstance(node, NAMED_FUNCTIONS) and not node.decorator_list:
            node.returns = None
            for argument in arguments_of(node):
                argument.annotation = None
        if isinstance(node, (*DEFINITIONS, ast.Module)) and node.body and _is_text(node.body[0]):
            rest = node.body[1:]
            node.body = rest if rest or isinstance(node, ast.Module) else [ast.Pass()]
    ast.fix_missing_locations(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
