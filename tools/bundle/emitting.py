"""From the program to files: each unit with the imports that it needs, compiled, and the map beside them."""
from __future__ import annotations

import ast

from tools.bundle.program import MAIN, Program, lazy_unit, unit_of
from tools.bundle.scopes import BundleError, Scopes, imported_names

_LOADER = '''
def __getattr__(name):
    home = %s.get(name)
    if home:
        return getattr(__import__(__name__ + "." + home, None, None, (name,)), name)
    raise AttributeError(name)
'''


def unit_sources(program: Program, version: str) -> dict[str, str]:
    """The source text of every unit that holds something; MAIN is the package's __init__."""
    homes = program.homes()
    by_unit: dict[str, list[ast.stmt]] = {MAIN: []}
    heads: list[ast.Import | ast.ImportFrom] = []
    for node in program.tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            heads.append(node)
        else:
            by_unit.setdefault(unit_of(node), []).append(node)
    scopes = Scopes(program.tree)
    sources = {}
    at_once: set[str] = set()  # units that the main one needs when it is loaded
    for unit, body in by_unit.items():
        used = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)
                and scopes.is_global(node)}
        lines: list[ast.stmt] = _outer(heads, used)
        for other in sorted({homes[name] for name in used if name in homes} - {unit}):
            if unit == MAIN:
                at_once.add(other)
            names = sorted(name for name in used if homes.get(name) == other)
            lines.append(ast.ImportFrom(other or None, [ast.alias(name) for name in names], 1))
        sources[unit] = (lines, [_relative(statement) for statement in body])
    for unit in at_once:
        if any(isinstance(node, ast.ImportFrom) and node.level for node in sources[unit][0]):
            raise BundleError(f"{unit} is loaded at the top of the bundle and needs what stands in it")
    texts = {unit: _text(lines + body) for unit, (lines, body) in sources.items()}
    texts[MAIN] = f"__version__ = {version!r}\n" + texts[MAIN] + _loader(program, homes)
    return texts


def _text(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, []))) + "\n"


def _outer(heads: list[ast.Import | ast.ImportFrom], used: set[str]) -> list[ast.stmt]:
    """Imports of other packages, of those names that are used."""
    found: list[ast.stmt] = []
    for node in heads:
        names = [alias for alias, name in zip(node.names, imported_names(node), strict=True) if name in used]
        if names:
            found.append(ast.Import(names) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, names, 0))
    return found


def _relative(statement: ast.stmt) -> ast.stmt:
    """Imports on demand name their unit's file."""
    for node in ast.walk(statement):
        unit = lazy_unit(node)
        if unit is not None and isinstance(node, ast.ImportFrom):
            node.module, node.level = unit or None, 1
            for alias in node.names:
                alias.asname = None if alias.asname == alias.name else alias.asname
    return statement


def _loader(program: Program, homes: dict[str, str]) -> str:
    """The function by which public names of other units are found."""
    table = {name: homes[name] for name in sorted(program.public.roots) if homes.get(name, MAIN) != MAIN}
    return _LOADER % table if table else ""
