"""A function or method that is called in one place moves there.

Three forms of call are followed: a statement of its own, the value of an assignment, and `return` (each with or
without await); besides, anywhere, the call of a function that is nothing but `return expression`, and of a short one
in several places.
"""
from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tools.bundle.foreign import FOREIGN
from tools.bundle.program import Program, lazy_unit, unit_of
from tools.bundle.returns import Early, ends, without_returns
from tools.bundle.scopes import (
    CLASS, COMPREHENSIONS, FUNCTIONS, LOCAL, NAMED_FUNCTIONS, Function, Scopes, arguments_of, bound_names,
    functions_of, named_by_text, rewrite,
)
from tools.bundle.shaking import harmless

# MicroPython keeps a call's variables on the C stack up to about this many; beyond, each call takes heap for them. A
# function below must not grow beyond, for what is promised to allocate nothing.
_ON_STACK = 6


# Nodes of an expression that is no larger than the call which it stands for, and how often it may be put.
_SHORT = 14
_SHORT_USES = 4


@dataclass(frozen=True)
class _Callee:
    home: ast.ClassDef | None
    function: Function


def inline(program: Program) -> None:
    """Move what is called once to where it is called, until there is nothing more to move."""
    while _Round(program).run():
        pass
    ast.fix_missing_locations(program.tree)


class _Round:
    """Looks for functions to move; the tables are stale for those that it changed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tree = program.tree
        self.scopes = Scopes(self.tree)
        self.changed: set[ast.AST] = set()  # functions
        self.copied: set[tuple[bool, str]] = set()  # what is named more often than `uses` says
        self.inside: dict[ast.AST, ast.AST] = {}  # by call: the function that it stands in
        for _, function in functions_of(self.tree):
            self.inside.update((node, function) for node in ast.walk(function) if isinstance(node, ast.Call))
        self.callees: dict[tuple[bool, str], list[_Callee]] = {}  # by "is it a method" and name
        for owner, function in functions_of(self.tree):
            self.callees.setdefault((owner is not None, function.name), []).append(_Callee(owner, function))
        self.uses: Counter[tuple[bool, str]] = Counter()
        self.calls: dict[tuple[bool, str], list[ast.Call]] = {}  # by the name of what they call
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute):
                    self.calls.setdefault((True, node.func.attr), []).append(node)
                elif isinstance(node.func, ast.Name):
                    self.calls.setdefault((False, node.func.id), []).append(node)
            if isinstance(node, ast.Attribute):
                self.uses[True, node.attr] += 1
            elif isinstance(node, ast.Name):
                if self.scopes.is_global(node):
                    self.uses[False, node.id] += 1
                elif self.scopes.kind(node) == CLASS:
                    self.uses[True, node.id] += 1
            elif named := named_by_text(node):
                self.uses[True, named[2]] += 2
            elif lazy_unit(node) is not None and isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.uses[False, alias.name] += 2  # another unit's: it stays where it is

    def run(self) -> bool:
        """Move what can be moved without a fresh look; False where there is nothing to move."""
        for owner, function in functions_of(self.tree):
            if function.decorator_list or function in self.changed:
                continue
            for block, place, last in blocks_of(function):
                if self._try_statement(owner, function, block, place, last):
                    break
        for key in self.callees:
            self._try_expression(key)
        return bool(self.changed)

    def _candidate(self, key: tuple[bool, str], most: int = 1) -> _Callee | None:
        """The one function of that name, if it is used once, or so often at most, and may move."""
        found = self.callees.get(key, [])
        is_method, name = key
        if len(found) != 1 or not 0 < self.uses[key] <= most or name.startswith("__") or key in self.copied:
            return None
        if name in (self.program.public.attributes if is_method else self.program.public.roots) or name in FOREIGN:
            return None
        return found[0] if found[0].function not in self.changed and is_plain(found[0].function) else None

    def _callee_of(self, call: ast.Call, owner: ast.ClassDef | None) -> _Callee | None:
        """What a call calls: a method of the same class by `self.name(…)`, or a function of ours."""
        target = call.func
        if not _names_arguments(call):
            return None
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            found = self._candidate((True, target.attr))
            return found if found and found.home is owner else None
        if isinstance(target, ast.Name) and self.scopes.is_global(target):
            return self._candidate((False, target.id))
        return None

    def _try_statement(self, owner: ast.ClassDef | None, function: Function, block: list[ast.stmt], place: int,
                       last: bool) -> bool:
        statement = block[place]
        value = statement.value if isinstance(statement, (ast.Expr, ast.Assign, ast.Return)) else None
        call = value.value if isinstance(value, ast.Await) else value
        if not isinstance(call, ast.Call):
            return False
        if isinstance(statement, ast.Assign) and not _is_simple_target(statement):
            return False
        callee = self._callee_of(call, owner)
        if not callee or callee.function is function or unit_of(callee.function) != unit_of(function):
            return False
        if isinstance(value, ast.Await) != isinstance(callee.function, ast.AsyncFunctionDef):
            return False
        body = self._moved_body(function, callee.function, call, statement, last)
        if body is None:
            return False
        block[place:place + 1] = body or [ast.Pass()]
        self._remove(callee)
        self.changed |= {function, callee.function}
        return True

    def _moved_body(self, caller: Function, callee: Function, call: ast.Call, statement: ast.stmt,
                    last: bool) -> list[ast.stmt] | None:
        """The callee's statements with its parameters given and its variables named apart; None if that cannot be."""
        given = given_arguments(callee, call)
        if given is None:
            return None
        names, before = self._named_apart(caller, callee, given)
        grown = len(bound_names(caller)) + len({one.id for one in names.values() if isinstance(one, ast.Name)}
                                               - bound_names(caller))
        if isinstance(caller, ast.FunctionDef) and len(bound_names(caller)) <= _ON_STACK < grown:
            return None
        body = [self._with_names(copy.deepcopy(one), one, names) for one in callee.body
                if not isinstance(one, ast.Pass)]
        if isinstance(statement, ast.Return):
            if not ends(body):
                body.append(ast.Return(None))
            if last and isinstance(body[-1], ast.Return) and body[-1].value is None:
                body.pop()
            return [*before, *body]

        def store(value: ast.expr | None) -> list[ast.stmt]:
            if isinstance(statement, ast.Assign):
                return [ast.Assign(copy.deepcopy(statement.targets), value or ast.Constant(None))]
            return [] if value is None or harmless(value) else [ast.Expr(value)]

        try:
            return [*before, *without_returns(body, store)]
        except Early:
            return None

    def _named_apart(self, caller: Function, callee: Function, given: dict[str, ast.expr]
                     ) -> tuple[dict[str, ast.expr], list[ast.stmt]]:
        """What stands for each name that the callee binds, and the assignments to go before its body."""
        mine, theirs = bound_names(caller), bound_names(callee)
        stored = {node.id for part in callee.body for node in ast.walk(part)
                  if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
        names: dict[str, ast.expr] = {}
        before: list[ast.stmt] = []
        for name in [*given, *sorted(theirs - set(given))]:
            value = given.get(name)
            if value is not None and name not in stored and (
                    is_literal(value) or isinstance(value, ast.Name) and self.scopes.kind(value) == LOCAL):
                names[name] = value
                continue
            fresh = name
            while fresh in mine or (fresh in theirs and fresh != name):
                fresh += "_"
            mine.add(fresh)
            names[name] = ast.Name(fresh, ast.Load())
            if value is not None:
                before.append(ast.Assign([ast.Name(fresh, ast.Store())], value))
        return names, before

    def _with_names(self, new: ast.stmt, old: ast.stmt, names: dict[str, ast.expr]) -> ast.stmt:
        """A copy of a statement with other names; `old` is what it was copied from, which the scopes know."""
        mine = {id(copied) for copied, known in zip(ast.walk(new), ast.walk(old), strict=True)
                if self.scopes.kind(known) == LOCAL}

        def change(node: ast.AST) -> ast.AST:
            if isinstance(node, ast.Name) and id(node) in mine and node.id in names:
                fresh = copy.deepcopy(names[node.id])
                if isinstance(fresh, ast.Name):
                    fresh.ctx = node.ctx
                return fresh
            if isinstance(node, ast.ExceptHandler) and node.name in names:
                target = names[node.name]
                assert isinstance(target, ast.Name)
                node.name = target.id
            return node

        holder = ast.Module([new], [])
        return rewrite(holder, change).body[0]

    def _try_expression(self, key: tuple[bool, str]) -> None:
        """A function that is only `return expression`, called with arguments that may be put in its place.

        Its name says whose it is, since no other class has it. A short one may be called in several places.
        """
        callee = self._candidate(key, _SHORT_USES)
        if not callee or isinstance(callee.function, ast.AsyncFunctionDef) or len(callee.function.body) != 1:
            return
        only = callee.function.body[0]
        if not isinstance(only, ast.Return) or only.value is None:
            return
        expression = only.value
        calls = self.calls.get(key, [])
        if len(calls) != self.uses[key] or (len(calls) > 1 and sum(1 for _ in ast.walk(expression)) > _SHORT):
            return
        around = {self.inside.get(call, self.tree) for call in calls}
        if around & self.changed:
            return
        put: dict[ast.AST, ast.expr] = {}
        for call in calls:
            receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
            given = given_arguments(callee.function, call)
            if (given is None or not _names_arguments(call) or unit_of(call) != unit_of(callee.function)
                    or (receiver and self.scopes.kind(receiver) != LOCAL) or not self._may_be_put(expression, given)):
                return
            holder = ast.Expr(copy.deepcopy(expression))
            rewrite(holder, lambda one, given=given: copy.deepcopy(given[one.id])
                    if isinstance(one, ast.Name) and one.id in given else one)
            put[call] = holder.value
        for place in around:
            rewrite(place, lambda one: put.get(one, one))
        self._remove(callee)
        self.changed |= {*around, callee.function}
        for node in ast.walk(expression):
            if isinstance(node, (ast.Attribute, ast.Name)):
                self.copied.add((True, node.attr) if isinstance(node, ast.Attribute) else (False, node.id))

    def _may_be_put(self, expression: ast.expr, given: dict[str, ast.expr]) -> bool:
        """May the arguments stand in the expression itself? They are then evaluated later, or more than once."""
        uses = Counter(node.id for node in ast.walk(expression) if isinstance(node, ast.Name))
        calls = any(isinstance(node, ast.Call) for node in ast.walk(expression))
        for name, value in given.items():
            if is_literal(value) or isinstance(value, ast.Name) and self.scopes.kind(value) == LOCAL:
                continue
            if calls or uses[name] != 1 or not is_reading(value):
                return False
        return True

    def _remove(self, callee: _Callee) -> None:
        if callee.home:
            callee.home.body = [one for one in callee.home.body if one is not callee.function] or [ast.Pass()]
        else:
            self.tree.body = [one for one in self.tree.body if one is not callee.function]


def blocks_of(function: Function) -> Iterator[tuple[list[ast.stmt], int, bool]]:
    """Every statement of a function as its block and its place there, and whether nothing of the function follows it.

    Statements of functions and classes inside of it are left out.
    """
    def walk(block: list[ast.stmt], tail: bool) -> Iterator[tuple[list[ast.stmt], int, bool]]:
        for place, node in enumerate(block):
            last = tail and place == len(block) - 1
            yield block, place, last
            if isinstance(node, (*NAMED_FUNCTIONS, ast.ClassDef)):
                continue
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(node, name, None)
                if inner:
                    yield from walk(inner, last and isinstance(node, ast.If))
            for handler in getattr(node, "handlers", ()):
                yield from walk(handler.body, False)

    return walk(function.body, True)


def is_plain(function: Function) -> bool:
    """Has it nothing that ties it to a scope of its own?"""
    if function.decorator_list or function.args.vararg or function.args.kwarg:
        return False
    inside = [node for node in ast.walk(function) if node is not function]
    return not any(isinstance(node, (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.Yield, ast.YieldFrom, ast.Global,
                                     ast.Nonlocal, ast.Import, ast.ImportFrom)) or _is_super(node) for node in inside)


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "super"


def given_arguments(callee: Function, call: ast.Call) -> dict[str, ast.expr] | None:
    """By parameter: what the call gives it, in the order of evaluation; None where a default is no literal."""
    names = [one.arg for one in arguments_of(callee)]
    given: dict[str, ast.expr] = {}
    values = list(call.args)
    if isinstance(call.func, ast.Attribute):
        values.insert(0, call.func.value)
    given.update(zip(names, values))
    given.update({one.arg: one.value for one in call.keywords if one.arg})
    positional = [one.arg for one in callee.args.args]
    defaults = dict(zip(positional[len(positional) - len(callee.args.defaults):], callee.args.defaults, strict=True))
    defaults.update({one.arg: default for one, default in zip(callee.args.kwonlyargs, callee.args.kw_defaults,
                                                              strict=True) if default})
    for name, default in defaults.items():
        if name not in given:
            if not is_literal(default):
                return None
            given[name] = default
    return given if set(given) == set(names) and len(values) <= len(positional) else None


def is_literal(node: ast.expr) -> bool:
    """A constant, perhaps with a minus."""
    return isinstance(node, ast.Constant) or isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)


def is_reading(node: ast.expr) -> bool:
    """An expression that only reads and calculates."""
    return all(isinstance(one, (ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.BinOp, ast.operator,
                                ast.unaryop, ast.expr_context)) for one in ast.walk(node))


def _names_arguments(call: ast.Call) -> bool:
    """Does the call say what each parameter is given: no `*` and no `**`?"""
    return not any(isinstance(one, ast.Starred) for one in call.args) and all(one.arg for one in call.keywords)


def _is_simple_target(statement: ast.Assign) -> bool:
    target = statement.targets[0]
    if len(statement.targets) != 1:
        return False
    return isinstance(target, ast.Name) or isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
