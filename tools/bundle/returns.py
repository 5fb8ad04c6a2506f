"""A function's body without its `return`: what follows a return that may happen moves into an else."""
from __future__ import annotations

import ast
from collections.abc import Callable

Store = Callable[[ast.expr | None], list[ast.stmt]]


class Early(Exception):
    """A return that cannot be turned into if and else, such as one in a loop."""


def ends(body: list[ast.stmt]) -> bool:
    """Does a block never run past its end?"""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and ends(last.body) and ends(last.orelse)
    return isinstance(last, (ast.Return, ast.Raise))


def without_returns(body: list[ast.stmt], store: Store) -> list[ast.stmt]:
    """The same statements; `store` makes those that stand for `return value`, and for running past the end (None).

    Raises Early where a return stands in anything but if and else.
    """
    out: list[ast.stmt] = []
    for place, node in enumerate(body):
        rest = body[place + 1:]
        if isinstance(node, ast.Return):
            return out + store(node.value)
        if isinstance(node, ast.Raise):
            return [*out, node]
        if not any(isinstance(one, ast.Return) for one in ast.walk(node)):
            out.append(node)
            continue
        if not isinstance(node, ast.If):
            raise Early
        if rest and not ends(node.body) and not ends(node.orelse):
            raise Early  # what follows would stand in both branches
        yes = without_returns(node.body if ends(node.body) else node.body + rest, store)
        no = without_returns(node.orelse if ends(node.orelse) else node.orelse + rest, store)
        return out + _choice(node.test, yes, no)
    return out + store(None)


def _choice(test: ast.expr, yes: list[ast.stmt], no: list[ast.stmt]) -> list[ast.stmt]:
    if yes:
        return [ast.If(test, yes, no)]
    if no:
        negated = test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else None
        return [ast.If(negated or ast.UnaryOp(ast.Not(), test), no, [])]
    return [ast.Expr(test)]
