"""Step 1: many modules become one namespace; names that would clash get their module's name in front."""
from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tools.bundle.program import MAIN, Program, Public, lazy_import, set_unit
from tools.bundle.reading import Module, Reader
from tools.bundle.scopes import (
    DEFINITIONS, FUNCTIONS, GLOBAL, LOCAL, BundleError, Scopes, bound_names, imported_names, rewrite,
)


@dataclass(frozen=True)
class Entity:
    """What a name stands for: something that `module` binds, or, of another package, the module itself (name None)."""

    module: str
    name: str | None
    ours: bool


def units_of(reader: Reader, roots: Sequence[str], lazy: Iterable[str], apart: Iterable[str] = (),
             together: bool = False) -> tuple[list[str], dict[str, str]]:
    """All modules that are needed, each after those that it imports, and the unit of each.

    roots: modules of the main unit, with all that they import when they are loaded. lazy: modules that are loaded on
    demand, besides those that functions import. apart: modules that get a unit of their own although others import
    them at once. together: what is loaded on demand joins the main unit.
    """
    order: list[str] = []
    apart = set(apart)
    wanted: list[str] = [*roots, *lazy]

    def visit(name: str) -> None:
        if name in order:
            return
        module = reader.read(name)
        for needed in module.eager:
            visit(needed)
        order.append(name)
        wanted.extend(sorted(module.lazy))

    for name in wanted:
        visit(name)
    main = set()

    def join(name: str) -> None:
        if name not in main and name not in apart:
            main.add(name)
            for needed in reader.read(name).eager:
                join(needed)

    for name in order if together else roots:
        join(name)
    return order, _name_units(reader, order, main, {*lazy, *apart})


def _name_units(reader: Reader, order: list[str], main: set[str], kept: set[str]) -> dict[str, str]:
    """The unit of each module: MAIN, its own, or that of the only module that imports it."""
    units = dict.fromkeys(main, MAIN)
    on_demand = {name for module in order for name in reader.read(module).lazy} | kept
    for name in reversed(order):
        if name in units:
            continue
        users = {units[user] for user in order if name in reader.read(user).eager and user in units}
        if len(users) == 1 and MAIN not in users and name not in on_demand:
            units[name] = users.pop()
            continue
        short = name.rpartition(".")[2]
        units[name] = short if short not in units.values() else name.partition(".")[2].replace(".", "_")
    return units


def merge(reader: Reader, order: Sequence[str], units: dict[str, str], public: Public,
          without: Iterable[str] = ()) -> Program:
    """One Program of the modules in `order`. without: methods to leave out, as `module.Class.method`."""
    modules = [reader.read(name) for name in order]
    for place in without:
        _leave_out(modules, place)
    return _Merger(reader, modules, units, public).merge()


def _leave_out(modules: list[Module], place: str) -> None:
    owner, _, method = place.rpartition(".")
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and f"{module.name}.{node.name}" == owner:
                kept = [one for one in node.body if getattr(one, "name", "") != method]
                if len(kept) < len(node.body):
                    node.body = kept or [ast.Pass()]
                    return
    raise BundleError(f"nothing to leave out: {place} is not there (tools/bundle/sets.py names it)")


class _Merger:
    def __init__(self, reader: Reader, modules: list[Module], units: dict[str, str], public: Public) -> None:
        self.reader = reader
        self.modules = modules
        self.units = units
        self.public = public
        self.symbols: dict[str, dict[str, Entity]] = {}  # by module, what its global names stand for
        self.final: dict[Entity, str] = {}
        self.placed: list[ast.Name] = []  # names that were given their final spelling

    def merge(self) -> Program:
        for module in self.modules:
            self.symbols[module.name] = self._symbols(module)
        self._choose_names()
        body: list[ast.stmt] = []
        origins = {}
        for module in self.modules:
            self._rewrite(module)
            for node in module.tree.body:
                set_unit(node, self.units[module.name])
            body += module.tree.body
        for entity, name in self.final.items():
            if entity.ours and entity.name:
                origins[name] = f"{entity.module.partition('.')[2] or entity.module}.{entity.name}"
        tree = ast.Module([*self._outer_imports(), *body], [])
        scopes = Scopes(tree)
        for node in self.placed:
            if not scopes.is_global(node):
                raise BundleError(f"line {node.lineno}: {node.id} is global, and a function hides that name: rename its"
                                  " local variable")
        return Program(ast.fix_missing_locations(tree), self.public, origins)

    def _symbols(self, module: Module) -> dict[str, Entity]:
        """What the global names of a module stand for."""
        found = {}
        for node in module.tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for here, entity in self._imported(node):
                    found[here] = entity
            elif not isinstance(node, DEFINITIONS) and any(self.reader.ours_of(one) for one in ast.walk(node)):
                raise BundleError(f"{module.name}:{node.lineno}: an import from the package inside of a statement; only"
                                  " a choice of kernels by one `try` may do that")
        for name in bound_names(module.tree):
            found.setdefault(name, Entity(module.name, name, True))
        return found

    def _imported(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Entity]]:
        """The names that an import binds, and what they stand for."""
        if isinstance(node, ast.Import):
            # `import a.b` of ours, without `as`, only loads the module: the name that it binds is not followed.
            return [(alias.asname or alias.name, Entity(alias.name, None, self.reader.is_ours(alias.name)))
                    for alias in node.names if alias.asname or not self.reader.is_ours(alias.name)]
        module = node.module or ""
        ours = self.reader.is_ours(module)
        return [(alias.asname or alias.name, Entity(module, alias.name, ours)) for alias in node.names]

    def resolve(self, entity: Entity) -> Entity:
        """Where that was bound first: an import of an import is followed."""
        while entity.ours and entity.name:
            if entity.module not in self.symbols:
                raise BundleError(f"{entity.module} is imported, but is no module that was read")
            if entity.name not in self.symbols[entity.module]:
                raise BundleError(f"{entity.module} has no {entity.name}, which another module imports")
            there = self.symbols[entity.module][entity.name]
            if there == entity:
                break
            entity = there
        return entity

    def _choose_names(self) -> None:
        """A name for each entity that no other one has, and that no function using it binds itself."""
        locals_ = {name for module in self.modules for node in ast.walk(module.tree) if isinstance(node, FUNCTIONS)
                   for name in bound_names(node)}
        aliased = set()
        for module in self.modules:
            for name, entity in self.symbols[module.name].items():
                entity = self.resolve(entity)
                if name != (entity.name or entity.module):
                    aliased.add(entity)
            aliased |= self._under_another_name(module)
        taken = set(self.public.roots)
        for module in self.modules:
            for entity in self.symbols[module.name].values():
                entity = self.resolve(entity)
                if entity in self.final or (entity.ours and not entity.name):
                    continue
                name = wish = entity.name or entity.module
                is_root = entity.ours and wish in self.public.roots
                while not is_root and (name in taken or (entity.ours and hasattr(builtins, name))
                                       or (entity in aliased and name in locals_)):
                    name = f"{entity.module.rpartition('.')[2]}_{name}"
                taken.add(name)
                self.final[entity] = name

    def _under_another_name(self, module: Module) -> set[Entity]:
        """What functions import by another name, and what is reached through a module's name."""
        found = set()
        places: dict[str, str] = {}
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and self.reader.ours_of(node):
                for here, entity in self._imported(node):
                    if entity.name:
                        entity = self.resolve(entity)
                        found |= {entity} if here != entity.name else set()
                    else:
                        places[here] = entity.module
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in places:
                if node.attr in self.symbols.get(places[node.value.id], ()):
                    found.add(self.resolve(Entity(places[node.value.id], node.attr, True)))
        return found

    def _rewrite(self, module: Module) -> None:
        """Give all names of a module their final spelling, and take its imports out."""
        tree = module.tree
        scopes = Scopes(tree)
        symbols = self.symbols[module.name]
        unit = self.units[module.name]
        loaded: dict[tuple[ast.AST, str], Entity] = {}  # by function and local name: what it imports from us
        for function in ast.walk(tree):
            if isinstance(function, FUNCTIONS):
                for node in _own_statements(function):
                    if self.reader.ours_of(node):
                        assert isinstance(node, (ast.Import, ast.ImportFrom))
                        for here, entity in self._imported(node):
                            loaded[function, here] = self.resolve(entity)

        # A test's module may have other numbers than the package's from the beginning on.
        at_top = {target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}

        def stays_local(entity: Entity) -> bool:
            return bool(entity.ours) and self.units[entity.module] not in (unit, MAIN)

        def meaning(node: ast.Name) -> Entity | None:
            kind = scopes.kinds.get(node)
            if kind == GLOBAL:
                return self.resolve(symbols[node.id])
            entity = loaded.get((scopes.owners[node], node.id)) if kind == LOCAL else None
            return entity if entity and not stays_local(entity) else None

        def change(node: ast.AST) -> ast.AST | list[ast.stmt] | None:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                entity = meaning(node.value)
                if entity and entity.ours and not entity.name:
                    if not isinstance(node.ctx, ast.Load) and not (node.attr.isupper() and node in at_top):
                        raise BundleError(f"{module.name}:{node.lineno}: assigns to {node.attr} of a module of ours")
                    name = self.final[self.resolve(Entity(entity.module, node.attr, True))]
                    self.placed.append(ast.copy_location(ast.Name(name, node.ctx), node))
                    return self.placed[-1]
            elif isinstance(node, ast.Name):
                entity = meaning(node)
                if entity and (entity.name or not entity.ours):
                    if not isinstance(node.ctx, ast.Load) and (entity.module != module.name or not entity.ours):
                        raise BundleError(f"{module.name}:{node.lineno}: assigns to {node.id}, which it imported")
                    # Renamed when all are known: until then the scopes hold.
                    final[node] = self.final[entity]
            elif isinstance(node, ast.Global):
                node.names = [self.final[self.resolve(symbols[name])] for name in node.names]
            elif isinstance(node, (ast.Import, ast.ImportFrom)) and self.reader.ours_of(node):
                kept = [(here, entity) for here, entity in self._imported(node) if stays_local(self.resolve(entity))]
                if node in tree.body:
                    return None
                return [self._load(here, self.resolve(entity)) for here, entity in kept]
            return node

        final: dict[ast.Name, str] = {}
        rewrite(tree, change)
        for name_node, name in final.items():
            name_node.id = name
            self.placed.append(name_node)
        # What is left is bound here, or, by an import, in a head that all units share.
        tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        for node in tree.body:
            self._rename_binding(module, node)

    def _load(self, here: str, entity: Entity) -> ast.stmt:
        if not entity.name:
            raise BundleError(f"{entity.module} is loaded on demand as a module: import names from it")
        return lazy_import(self.units[entity.module], self.final[entity], here)

    def _rename_binding(self, module: Module, node: ast.AST) -> None:
        """Definitions and imports hold their names as plain text, also inside of `if` and `try`."""
        if isinstance(node, DEFINITIONS):
            node.name = self.final[self.resolve(self.symbols[module.name][node.name])]
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias, name in zip(node.names, imported_names(node), strict=True):
                final = self.final[self.resolve(self.symbols[module.name][name])]
                if final != name:
                    alias.asname = final
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.ExceptHandler)):
                self._rename_binding(module, child)

    def _outer_imports(self) -> list[ast.stmt]:
        """Imports of other packages, each once."""
        whole: list[ast.stmt] = []
        parts: dict[str, list[ast.alias]] = {}
        for entity, name in self.final.items():
            if entity.ours:
                continue
            if entity.name is None:
                whole.append(ast.Import([ast.alias(entity.module, None if entity.module == name else name)]))
            else:
                alias = ast.alias(entity.name, None if entity.name == name else name)
                parts.setdefault(entity.module, []).append(alias)
        return [*whole, *(ast.ImportFrom(module, names, 0) for module, names in parts.items())]


def _own_statements(function: ast.AST) -> list[ast.AST]:
    """All nodes of a function, but not those of functions inside of it."""
    found: list[ast.AST] = []
    todo = [*ast.iter_child_nodes(function)]
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, FUNCTIONS):
            todo += ast.iter_child_nodes(node)
    return found
