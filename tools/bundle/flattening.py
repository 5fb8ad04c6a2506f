"""A class that has one subclass and no other use becomes part of it."""
from __future__ import annotations

import ast

from tools.bundle.program import Program
from tools.bundle.scopes import NAMED_FUNCTIONS, Scopes, target_name


def flatten(program: Program) -> None:
    """Join classes with their only subclass, until there are no more such pairs."""
    while True:
        pair = _next_pair(program)
        if not pair:
            return
        _join(program.tree, *pair)
        ast.fix_missing_locations(program.tree)


def _next_pair(program: Program) -> tuple[ast.ClassDef, ast.ClassDef] | None:
    """A class and its only subclass, in the same unit, where the first is named nowhere else and is not public."""
    scopes = Scopes(program.tree)
    classes = {node.name: node for node in program.tree.body if isinstance(node, ast.ClassDef)}
    uses: dict[str, int] = {}
    for node in scopes.kinds:
        if scopes.is_global(node):
            uses[node.id] = uses.get(node.id, 0) + 1
    homes = program.homes()
    for node in classes.values():
        base = node.bases[0] if len(node.bases) == 1 else None
        parent = classes.get(base.id) if isinstance(base, ast.Name) else None
        if (parent and uses[parent.name] == 1 and parent.name not in program.public.roots
                and homes[parent.name] == homes[node.name] and not parent.decorator_list):
            return parent, node
    return None


def _super_calls(node: ast.AST, name: str) -> list[ast.Attribute]:
    """Every `super().name` below a node."""
    return [one for one in ast.walk(node) if isinstance(one, ast.Attribute) and one.attr == name
            and isinstance(one.value, ast.Call) and isinstance(one.value.func, ast.Name)
            and one.value.func.id == "super"]


def _join(tree: ast.Module, parent: ast.ClassDef, child: ast.ClassDef) -> None:
    """Move the parent's members into the child; what it overrides stays only where it is called by super()."""
    own = {member.name if isinstance(member, NAMED_FUNCTIONS) else target_name(member) for member in child.body}
    moved: list[ast.stmt] = []
    for member in parent.body:
        if isinstance(member, ast.Pass):
            continue
        name = member.name if isinstance(member, NAMED_FUNCTIONS) else target_name(member)
        if name in own:
            calls = _super_calls(child, name or "")
            if not isinstance(member, NAMED_FUNCTIONS) or not calls:
                continue
            member.name = f"_{parent.name.lower()}_{member.name.strip('_')}"
            for call in calls:
                call.attr = member.name
                call.value = ast.Name("self", ast.Load())
        moved.append(member)
    child.body = [*moved, *(member for member in child.body if not isinstance(member, ast.Pass))] or [ast.Pass()]
    child.bases = parent.bases
    tree.body.remove(parent)
