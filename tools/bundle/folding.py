"""Step 2: constants go into the code, and what they decide is decided now."""
from __future__ import annotations

import ast
import copy
from collections import Counter

from tools.bundle.program import Program
from tools.bundle.scopes import Scopes, rewrite, target_name

_LARGEST = 1 << 64  # numbers beyond are left to the device


def fold(program: Program) -> None:
    """Put module-level integers and truth values where they are used, other constants where they are used once; decide
    conditions.

    Whether a name begins with an underscore does not matter, nor whether it was made by const(…): a name that is
    assigned once, at the top of a module, and is not public.
    """
    tree = program.tree
    scopes = Scopes(tree)
    stored: Counter[str] = Counter()
    loaded: Counter[str] = Counter()
    for node in scopes.kinds:
        if scopes.is_global(node):
            (loaded if isinstance(node.ctx, ast.Load) else stored)[node.id] += 1
    values: dict[str, ast.expr] = {}
    kept: list[ast.stmt] = []
    for statement in tree.body:
        name = target_name(statement)
        if name and stored[name] == 1 and name not in program.public.roots:
            assert isinstance(statement, ast.Assign)
            value = _constant(_without_const(statement.value), scopes, values)
            if type(value) in (int, bool) or (isinstance(value, (str, bytes)) and loaded[name] <= 1):
                values[name] = _literal(value)
                continue
        kept.append(statement)
    tree.body = kept

    def change(node: ast.AST) -> ast.AST | list[ast.stmt] | None:
        if isinstance(node, ast.Name):
            if scopes.is_global(node) and isinstance(node.ctx, ast.Load) and node.id in values:
                return copy.deepcopy(values[node.id])
            return node
        return _decided(node)

    rewrite(tree, change)


def _without_const(node: ast.expr) -> ast.expr:
    is_const = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const"
    return node.args[0] if is_const and isinstance(node, ast.Call) else node


def _constant(node: ast.expr, scopes: Scopes, values: dict[str, ast.expr]) -> object:
    """The value of an expression of constants, else None."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        known = values.get(node.id) if scopes.is_global(node) else None
        return None if known is None else ast.literal_eval(known)
    if isinstance(node, ast.UnaryOp):
        value = _constant(node.operand, scopes, values)
        return _evaluated(ast.UnaryOp(node.op, _literal(value))) if _is_number(value) else None
    if isinstance(node, ast.BinOp):
        left, right = _constant(node.left, scopes, values), _constant(node.right, scopes, values)
        if _is_number(left) and _is_number(right):
            return _evaluated(ast.BinOp(_literal(left), node.op, _literal(right)))
    return None


def _is_number(value: object) -> bool:
    return type(value) is int


def _literal(value: object) -> ast.expr:
    """The expression of a constant; MicroPython's compiler knows no negative literals, but folds the minus."""
    if type(value) is int and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)  # pyright: ignore[reportArgumentType]


def _evaluated(node: ast.expr) -> int | None:
    """The value of an operation on two integers; None where it fails, is no integer, or is very large."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.LShift, ast.Pow)):
        shift = ast.literal_eval(node.right)
        if not 0 <= shift <= 64:
            return None
    try:
        code = compile(ast.fix_missing_locations(ast.Expression(node)), "", "eval")
        value = eval(code, {"__builtins__": {}})
    except (ArithmeticError, ValueError, TypeError):
        return None
    return value if type(value) is int and abs(value) <= _LARGEST else None


def _value(node: ast.expr) -> int | None:
    """The value of a literal integer, else None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


def truth(node: ast.expr) -> bool | None:
    """Is a constant true? None for what is no constant."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    value = _value(node)
    return None if value is None else bool(value)


def _decided(node: ast.AST) -> ast.AST | list[ast.stmt] | None:
    """The node with what its constants decide."""
    if isinstance(node, ast.BinOp) and _value(node.left) is not None and _value(node.right) is not None:
        value = _evaluated(copy.deepcopy(node))
        return node if value is None else _literal(value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and truth(node.operand) is not None:
        return ast.Constant(not truth(node.operand))
    if isinstance(node, ast.BoolOp):
        return _decided_chain(node)
    if isinstance(node, ast.IfExp) and truth(node.test) is not None:
        return node.body if truth(node.test) else node.orelse
    if isinstance(node, ast.If) and truth(node.test) is not None:
        return node.body if truth(node.test) else node.orelse
    return node


def _decided_chain(node: ast.BoolOp) -> ast.expr:
    """`and` and `or` up to the first operand that ends them; those that change nothing are left out."""
    ending = isinstance(node.op, ast.Or)
    kept: list[ast.expr] = []
    for place, operand in enumerate(node.values):
        decided = truth(operand)
        if decided == ending:
            kept.append(operand)
            break
        if decided is None or place == len(node.values) - 1:
            kept.append(operand)
    return kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)
