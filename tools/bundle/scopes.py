"""Which scope each name of a module belongs to, as Python's compiler sees it."""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TypeVar

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NAMED_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

BY_TEXT = ("getattr", "setattr", "hasattr", "delattr")
GLOBAL, LOCAL, CLASS, BUILTIN = "global", "local", "class", "builtin"

Node = TypeVar("Node", bound=ast.AST)


class BundleError(Exception):
    """The source does something that the bundler cannot follow; the text says where, and what to do instead."""


def arguments_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """All parameters of a function, in order."""
    found = node.args
    extra = [one for one in (found.vararg, found.kwarg) if one]
    return [*found.posonlyargs, *found.args, *found.kwonlyargs, *extra]


def imported_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The names that an import statement binds."""
    return [(alias.asname or alias.name).split(".")[0] for alias in node.names]


def bound_names(scope: ast.AST) -> set[str]:
    """The names that a module, class, function or comprehension binds itself."""
    bound: set[str] = set()
    free: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update(imported_names(node))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            free.update(node.names)
        if isinstance(node, DEFINITIONS):
            bound.add(node.name)
        elif not isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            for child in ast.iter_child_nodes(node):
                walk(child)

    if isinstance(scope, FUNCTIONS):
        bound.update(argument.arg for argument in arguments_of(scope))
        for child in scope.body if isinstance(scope.body, list) else [scope.body]:
            walk(child)
    elif isinstance(scope, COMPREHENSIONS):
        for generator in scope.generators:
            walk(generator.target)
    else:
        for child in ast.iter_child_nodes(scope):
            walk(child)
    return bound - free


class Scopes:
    """For every Name of a module: its kind (GLOBAL, LOCAL, CLASS, BUILTIN); for a local, the function that binds it.

    Made once and valid until the tree changes. Names in annotations have no entry: they are never evaluated.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.kinds: dict[ast.Name, str] = {}
        self.owners: dict[ast.Name, ast.AST] = {}
        self._module = bound_names(tree)
        for node in tree.body:
            self._visit(node, [])

    def kind(self, node: ast.AST) -> str | None:
        """The kind of a node that is a Name; None for all else."""
        return self.kinds.get(node) if isinstance(node, ast.Name) else None

    def is_global(self, node: ast.AST, name: str | None = None) -> bool:
        """Is that node the name of something global (of that name)?"""
        return self.kind(node) == GLOBAL and (name is None or isinstance(node, ast.Name) and node.id == name)

    def _visit(self, node: ast.AST, stack: list[tuple[ast.AST, set[str]]]) -> None:
        if isinstance(node, ast.Name):
            self._resolve(node, stack)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            for outer in evaluated_outside(node):
                self._visit(outer, stack)
            inner = [*stack, (node, bound_names(node))]
            for child in node.body if isinstance(node.body, list) else [node.body]:
                self._visit(child, inner)
        elif isinstance(node, COMPREHENSIONS):
            # The first iterable is evaluated outside, where its names are the same unless the targets hide them.
            self._visit(node.generators[0].iter, stack)
            inner = [*stack, (node, bound_names(node))]
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.comprehension) and child is node.generators[0]:
                    self._visit(child.target, inner)
                    for test in child.ifs:
                        self._visit(test, inner)
                else:
                    self._visit(child, inner)
        else:
            for child in ast.iter_child_nodes(node):
                if not (isinstance(node, ast.AnnAssign) and child is node.annotation):
                    self._visit(child, stack)

    def _resolve(self, node: ast.Name, stack: list[tuple[ast.AST, set[str]]]) -> None:
        for depth, (owner, names) in enumerate(reversed(stack)):
            is_class = isinstance(owner, ast.ClassDef)
            if node.id in names and (not is_class or depth == 0):
                self.kinds[node] = CLASS if is_class else LOCAL
                self.owners[node] = owner
                return
        self.kinds[node] = GLOBAL if node.id in self._module else BUILTIN


def evaluated_outside(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef) -> Iterator[ast.AST]:
    """What of a definition is evaluated in the scope around it: decorators, bases, defaults."""
    if isinstance(node, ast.ClassDef):
        yield from node.decorator_list
        yield from node.bases
        return
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default)


class Rewriter(ast.NodeTransformer):
    """Calls change(node) for every node, children first; None from it drops a statement, a list replaces it."""

    def __init__(self, change: Callable[[ast.AST], ast.AST | list[ast.stmt] | None]) -> None:
        self._change = change

    def generic_visit(self, node: ast.AST) -> ast.AST | list[ast.stmt] | None:  # pyright: ignore
        super().generic_visit(node)
        return self._change(node)


def rewrite(tree: Node, change: Callable[[ast.AST], ast.AST | list[ast.stmt] | None]) -> Node:
    """Change a tree in place, and fill up every block that was left empty."""
    Rewriter(change).visit(tree)
    fill_blocks(tree)
    return ast.fix_missing_locations(tree)


def fill_blocks(tree: ast.AST) -> None:
    """A block without statements is no Python: put `pass` into it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and not body and not isinstance(node, ast.Module):
            body.append(ast.Pass())
        if isinstance(node, ast.Try):
            if not node.finalbody and not node.handlers:
                node.finalbody.append(ast.Pass())


def functions_of(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | None, Function]]:
    """Every function of the module and every method of its classes, with its class; also those in `if` and `try`."""
    todo: list[ast.AST] = [*tree.body]
    while todo:
        node = todo.pop(0)
        if isinstance(node, NAMED_FUNCTIONS):
            yield None, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, NAMED_FUNCTIONS):
                    yield node, member
        else:
            todo[0:0] = [one for one in ast.iter_child_nodes(node) if isinstance(one, (ast.stmt, ast.ExceptHandler))]


def named_by_text(node: ast.AST) -> tuple[ast.expr, ast.Constant, str] | None:
    """Of `getattr(object, "name", …)` and hasattr, setattr, delattr: the object, where the name stands, and the name;
    None for all else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_TEXT:
        word = node.args[1] if len(node.args) > 1 else None
        if isinstance(word, ast.Constant) and isinstance(word.value, str):
            return node.args[0], word, word.value
    return None


def target_name(node: ast.stmt) -> str | None:
    """The name that a plain assignment `name = …` binds, else None."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None
