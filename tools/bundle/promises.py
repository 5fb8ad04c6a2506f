"""What the sources promise the bundler, and where they break it: `problems_of` says in which line, and what to do.

The bundler follows names, not values. So an attribute must be written as `object.name`, never as a text; it must be
set on `self` somewhere, or nobody knows whose it is; and it must not be called like one of somebody else's objects.
"""
from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from tools.bundle.foreign import FOREIGN
from tools.bundle.reading import PACKAGE, Module, Reader
from tools.bundle.scopes import BY_TEXT, FUNCTIONS, NAMED_FUNCTIONS, bound_names, functions_of
from tools.bundle.sets import ERRORS, GIVEN, HIDDEN, SETS

_SEES_NAMES = ("globals", "locals", "vars", "dir", "eval", "exec", "__import__")
_NAMES_OF_NAMES = ("__dict__", "__name__", "__qualname__", "__class__")
# Built-in exceptions and those of errors.py have the same names in a bundle; `error` is what the sources call one.
_NAME_OF_AN_ERROR = "error.__class__.__name__"
# What may be set without a class that sets it on self: it keeps its name.
_KEPT = FOREIGN | {name for names in GIVEN.values() for name in names}
_DECORATORS = ("staticmethod", "micropython.viper", "micropython.native")


def read_all(root: Path) -> list[Module]:
    """Every module of the package in `root`, as the bundler reads it."""
    reader = Reader({PACKAGE: root})
    paths = sorted((root / PACKAGE).rglob("*.py"))
    names = [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [reader.read(name) for name in names]


def attributes_of(modules: Collection[Module]) -> dict[str, str]:
    """By name: the class of ours that has such an attribute or method, as `module.Class`."""
    found: dict[str, str] = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            names = bound_names(node) | {
                one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and _is_self(one.value)
                and not isinstance(one.ctx, ast.Load)}
            for name in names:
                found.setdefault(name, f"{module.name}.{node.name}")
    return found


def problems_of(modules: Collection[Module], foreign: Mapping[str, str] | None = None,
                kept: Collection[str] = ()) -> list[str]:
    """What the modules do that the bundler cannot follow, each as `module:line: what, and what to do instead`.

    foreign: attributes of other packages' objects, by name what has them; where one of ours has the same name, and
    FOREIGN does not list it, the two cannot be told apart. kept: attributes that keep their names anyway.
    """
    ours = attributes_of(modules)
    functions = {function.name: function for module in modules for owner, function in functions_of(module.tree)
                 if not owner}
    errors = {name for module in modules if module.name == ERRORS for name in bound_names(module.tree)}
    problems = []
    for module in modules:
        if module.name == PACKAGE:
            continue  # loads by text, and is written anew for each bundle
        modules_named = {alias.asname or alias.name for node in ast.walk(module.tree) if isinstance(node, ast.Import)
                         for alias in node.names}
        for node in ast.walk(module.tree):
            for text in _of_node(node, ours, functions, modules_named):
                problems.append(f"{module.name}:{getattr(node, 'lineno', 0)}: {text}")
        problems += [f"{module.name}:{line}: {text}" for line, text in _of_classes(module.tree)]
        if module.name != ERRORS:
            problems += [f"{module.name}:{line}: {text}" for line, text in _of_exceptions(module.tree, errors)]
    for name, owner in sorted(ours.items()):
        other = (foreign or {}).get(name)
        if other and name not in FOREIGN and name not in kept and not name.startswith("__"):
            problems.append(f"{owner}: its attribute {name} is called like one of {other}: rename it, or add it to the"
                            " list in tools/bundle/foreign.py, by which it keeps its name")
    return problems


def _of_node(node: ast.AST, ours: Mapping[str, str], functions: Mapping[str, ast.AST],
             outer: Collection[str]) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from _of_call(node, ours, functions, outer)
    elif isinstance(node, ast.Attribute):
        if ast.unparse(node) == _NAME_OF_AN_ERROR:
            return
        if node.attr in _NAMES_OF_NAMES and not (node.attr == "__class__" and isinstance(node.ctx, ast.Load)):
            yield (f"reads {node.attr}, and names are others in a bundle: keep what you need in an attribute; only of"
                   f" exceptions, {_NAME_OF_AN_ERROR}")
        elif not isinstance(node.ctx, ast.Load) and not _is_self(node.value) and node.attr not in {*ours, *_KEPT}:
            yield f"sets {node.attr} of another object, and no class sets it on self: set it in that class's __init__"
        elif node.attr.startswith("__") and not node.attr.endswith("__"):
            yield f"{node.attr} is mangled by CPython and not by MicroPython: use one underscore"
    elif isinstance(node, ast.Nonlocal):
        yield "nonlocal: use an attribute or a list"
    elif isinstance(node, ast.Assert):
        yield "assert: boards run without asserts; raise an error"
    elif isinstance(node, ast.Import) and any(alias.name.split(".")[0] == PACKAGE for alias in node.names):
        yield "imports a module of ours as a module: import names from it"
    elif isinstance(node, FUNCTIONS) and any(isinstance(one, ast.ClassDef) for one in ast.walk(node)):
        yield "a class inside of a function: move it to the top of the module"


def _root(node: ast.expr) -> str:
    """The name that an expression such as `sys.modules[package]` begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _of_call(node: ast.Call, ours: Mapping[str, str], functions: Mapping[str, ast.AST],
             outer: Collection[str]) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in BY_TEXT and not (node.args and _root(node.args[0]) in outer):
        word = node.args[1] if len(node.args) > 1 else None
        if not isinstance(word, ast.Constant) or not isinstance(word.value, str):
            yield f"{name}() with a name made at run time: write the attribute out"
    elif name in _SEES_NAMES:
        yield f"{name}() sees names, which are others in a bundle: do without"
    if any(not keyword.arg for keyword in node.keywords):
        callee = functions.get(name)
        if not isinstance(callee, NAMED_FUNCTIONS) or not callee.args.kwonlyargs:
            yield (f"`**` into {name or ast.unparse(node.func)}: only parameters behind a `*` keep their names, and"
                   " only functions at the top of a module are looked at")


def _of_classes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What classes and their methods must be like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and (node.keywords or len(node.bases) > 1
                                               or any(not isinstance(base, ast.Name) for base in node.bases)):
            yield node.lineno, f"class {node.name}: at most one base, and that by its plain name"
    for owner, function in functions_of(tree):
        decorators = [ast.unparse(one) for one in function.decorator_list]
        unknown = [one for one in decorators if one not in _DECORATORS]
        if unknown:
            yield function.lineno, f"{function.name}: the decorator {unknown[0]} is none of {', '.join(_DECORATORS)}"
        first = function.args.args[0].arg if function.args.args else None
        if owner and "staticmethod" not in decorators and first != "self":
            yield function.lineno, f"{owner.name}.{function.name}: the first parameter of a method is called self"


def _of_exceptions(tree: ast.Module, errors: Collection[str]) -> Iterator[tuple[int, str]]:
    """Exceptions outside of errors.py, whose names texts may show."""
    for node in (one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)):
        for base in node.bases:
            kind = getattr(builtins, ast.unparse(base), None)
            if ast.unparse(base) in errors or (isinstance(kind, type) and issubclass(kind, BaseException)):
                yield node.lineno, f"class {node.name}: an exception belongs into errors.py, where it keeps its name"


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def stale_entries(modules: Collection[Module]) -> list[str]:
    """Entries of tools/bundle/sets.py that name what is not there any more."""
    classes = {node.name: node for module in modules for node in ast.walk(module.tree)
               if isinstance(node, ast.ClassDef)}
    problems = []
    for entry in sorted(HIDDEN):
        name, _, attribute = entry.partition(".")
        known = attributes_in(classes[name]) if name in classes else None
        if known is None or (attribute and attribute not in known):
            problems.append(f"tools/bundle/sets.py: HIDDEN names {entry}, which is not there: take it out")
    names = {module.name for module in modules}
    for one in SETS.values():
        for module in one.roots:
            if module not in names:
                problems.append(f"tools/bundle/sets.py: the set {one.name} names {module}, which is not there")
        for place in one.without:
            owner, _, method = place.rpartition(".")
            node = classes.get(owner.rpartition(".")[2])
            if not node or method not in attributes_in(node):
                problems.append(f"tools/bundle/sets.py: the set {one.name} leaves out {place}, which is not there")
    return problems


def attributes_in(node: ast.ClassDef) -> set[str]:
    """All attributes that a class binds, or sets on self."""
    return bound_names(node) | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)
                                and _is_self(one.value) and not isinstance(one.ctx, ast.Load)}


def names_in_stubs(folder: Path, modules: Collection[str]) -> dict[str, str]:
    """By name: the class of the type stubs in `folder` that has such an attribute, those with an underscore left out.

    Functions of modules are not looked at: a bundle leaves what is reached through a module's name alone.
    """
    found: dict[str, str] = {}
    for module in sorted(modules):
        place = folder.joinpath(*module.split("."))
        for path in [*([place.with_suffix(".pyi")] if place.with_suffix(".pyi").is_file() else []),
                     *sorted(place.glob("*.pyi"))]:
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    for name in _declared(node):
                        if not name.startswith("_"):
                            found.setdefault(name, f"{module}.{node.name}")
    return found


def _declared(node: ast.ClassDef) -> Iterator[str]:
    for member in node.body:
        if isinstance(member, (*NAMED_FUNCTIONS, ast.ClassDef)):
            yield member.name
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            yield member.target.id
        elif isinstance(member, ast.Assign):
            yield from (target.id for target in member.targets if isinstance(target, ast.Name))


def packages_imported(modules: Collection[Module]) -> set[str]:
    """Modules of other packages that the sources import, with what those are built on."""
    found = {"builtins"}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] not in (PACKAGE, "cpython_shim")}
