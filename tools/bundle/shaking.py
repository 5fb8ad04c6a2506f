"""Step 3: what nothing reaches goes: globals, methods, attributes that nobody reads, hooks that do nothing."""
from __future__ import annotations

import ast
from collections import deque

from tools.bundle.foreign import FOREIGN
from tools.bundle.program import Program, lazy_unit, set_unit, unit_of
from tools.bundle.scopes import (
    CLASS, DEFINITIONS, Scopes, bound_names, fill_blocks, functions_of, imported_names, named_by_text,
    rewrite, target_name,
)

_SIMPLE = (ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.unaryop, ast.expr_context)
# Reading an attribute of ours has no effect: there are no properties among them.
_READING = (*_SIMPLE, ast.Attribute, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop)


def harmless(node: ast.AST) -> bool:
    """May that expression be left out?"""
    return all(isinstance(one, _SIMPLE) for one in ast.walk(node))


def only_reads(node: ast.AST) -> bool:
    """The same, attributes and comparisons included: what arguments of calls and conditions mostly are."""
    return all(isinstance(one, _READING) for one in ast.walk(node))


def shake(program: Program) -> None:
    """Drop what neither a public name nor a statement at the top of a module leads to, until nothing more goes."""
    while True:
        before = _size(program.tree)
        _Sweep(program).run()
        _drop_idle_hooks(program)
        if _size(program.tree) == before:  # things only go
            return


def _size(tree: ast.AST) -> int:
    return sum(1 for _ in ast.walk(tree))


class _Sweep:
    """One round: marks from the roots, then drops what was not marked."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tree = program.tree
        self.scopes = Scopes(self.tree)
        self.names: set[str] = set()  # global names in use
        self.attributes = set(program.public.attributes)
        self.marked: set[ast.AST] = set()
        self.waiting: list[ast.stmt] = []  # methods of classes in use that nobody has named yet
        self.todo: deque[ast.AST] = deque()
        self.binders: dict[str, list[ast.stmt]] = {}

    def run(self) -> None:
        for node in self.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            names = [node.name] if isinstance(node, DEFINITIONS) else bound_names(ast.Module([node], []))
            if isinstance(node, ast.Assign):  # such as `Class.x = …` at the top: goes with the class
                names = [*names, *(one.value.id for one in node.targets
                                   if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name))]
            for name in names:
                self.binders.setdefault(name, []).append(node)
            if not isinstance(node, (*DEFINITIONS, ast.Assign)):
                self.todo.append(node)
        for name in self.program.public.roots:
            self._name(name)
        while self.todo:
            self._mark(self.todo.popleft())
            if not self.todo:
                ready = [one for one in self.waiting if getattr(one, "name", "") in self.attributes]
                self.waiting = [one for one in self.waiting if one not in ready]
                self.todo += ready
        self._drop()

    def _name(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            self.todo += self.binders.get(name, [])

    def _mark(self, node: ast.AST) -> None:
        if node in self.marked:
            return
        self.marked.add(node)
        if not isinstance(node, ast.ClassDef):
            self._use(node)
            return
        for outer in [*node.bases, *node.decorator_list]:
            self._use(outer)
        for member in node.body:
            if isinstance(member, DEFINITIONS) and not member.name.startswith("__"):
                self.waiting.append(member)
            else:
                self.todo.append(member)

    def _use(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                if isinstance(node.ctx, ast.Load):
                    self.attributes.add(node.attr)
            elif isinstance(node, ast.Name):
                if self.scopes.is_global(node):
                    self._name(node.id)
                elif self.scopes.kind(node) == CLASS and isinstance(node.ctx, ast.Load):
                    self.attributes.add(node.id)
            elif isinstance(node, ast.ImportFrom) and lazy_unit(node) is not None:
                for alias in node.names:
                    self._name(alias.name)
            elif named := named_by_text(node):
                self.attributes.add(named[2])
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
                self.attributes.add(node.target.attr)

    def _drop(self) -> None:
        tree = self.tree
        unused = set(self.waiting)
        kept: list[ast.stmt] = []
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                pairs = zip(node.names, imported_names(node), strict=True)
                node.names = [alias for alias, name in pairs if name in self.names]
                if node.names:
                    kept.append(node)
            elif not isinstance(node, (*DEFINITIONS, ast.Assign)) or node in self.marked:
                kept.append(node)
        tree.body = kept
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                node.body = [
                    member for member in node.body if member not in unused and not self._unread_default(member)
                ] or [ast.Pass()]
        rewrite(tree, self._without_unread)

    def _unread_default(self, member: ast.stmt) -> bool:
        """`x = …` in a class where nobody reads an x."""
        name = target_name(member)
        return name is not None and not name.startswith("__") and name not in self.attributes | FOREIGN

    def _without_unread(self, node: ast.AST) -> ast.AST | None:
        """`self.x = …` where nobody reads an x."""
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Attribute):
            return node
        target = node.targets[0]
        if target.attr in self.attributes or target.attr in FOREIGN or not isinstance(target.value, ast.Name):
            return node
        if harmless(node.value):
            return None
        kept = ast.Expr(node.value)
        set_unit(kept, unit_of(node))
        return kept


def _drop_idle_hooks(program: Program) -> None:
    """Calls of methods that nowhere do anything, as statements of their own, and then the methods themselves."""
    bodies: dict[str, list[bool]] = {}
    stored = {node.attr for node in ast.walk(program.tree)
              if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)}
    for owner, function in functions_of(program.tree):
        if owner:
            idle = all(isinstance(one, ast.Pass) for one in function.body) and isinstance(function, ast.FunctionDef)
            bodies.setdefault(function.name, []).append(idle)
    idle = {name for name, kinds in bodies.items()
            if all(kinds) and name not in stored | FOREIGN | program.public.attributes and not name.startswith("__")}

    def change(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            if (isinstance(call.func, ast.Attribute) and call.func.attr in idle and only_reads(call.func.value)
                    and all(only_reads(one) for one in call.args) and not call.keywords):
                return None
        elif isinstance(node, ast.If) and not _does(node.body) and not _does(node.orelse) and only_reads(node.test):
            return None
        elif isinstance(node, ast.If) and not _does(node.orelse):
            node.orelse = []
        return node

    rewrite(program.tree, change)
    for node in ast.walk(program.tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and len(block) > 1:
                setattr(node, field, [one for one in block if not isinstance(one, ast.Pass)] or [ast.Pass()])
    fill_blocks(program.tree)


def _does(block: list[ast.stmt]) -> bool:
    """Is there more than `pass` in a block?"""
    return any(not isinstance(one, ast.Pass) for one in block)
