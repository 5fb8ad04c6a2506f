"""Last step: names that nobody outside knows become names that every firmware has in ROM.

Globals, attributes and parameters are three separate spaces, so they share the same few names. Attributes of unrelated
classes may share a name too. Local variables that are no parameters have no names on a device; they only make room.
"""
from __future__ import annotations

import ast
import string
from collections import Counter
from collections.abc import Iterable, Iterator

from tools.bundle.foreign import FOREIGN, INHERITED, MORE_ROM_NAMES, ROM_NAMES
from tools.bundle.program import Program
from tools.bundle.scopes import (
    BUILTIN, CLASS, FUNCTIONS, GLOBAL, LOCAL, NAMED_FUNCTIONS, BundleError, Function, Scopes, arguments_of, bound_names,
    evaluated_outside, functions_of, imported_names, named_by_text,
)

_KEPT_ARGUMENTS = {"self"}
_WORDS = {"as", "if", "in", "is", "or"}


def rename(program: Program) -> None:
    """Give every private name its new spelling; `program.renamed` tells which, `.name` being attributes."""
    _Renamer(program).run()


def fresh_names(avoid: Iterable[str]) -> Iterator[str]:
    """ROM names, then letters, without those to avoid."""
    avoid = set(avoid) | _WORDS
    in_rom = (*ROM_NAMES, *MORE_ROM_NAMES)
    yield from (name for name in in_rom if name not in avoid and name not in _KEPT_ARGUMENTS)
    avoid.update(in_rom)
    letters = string.ascii_lowercase
    yield from (one for one in letters if one not in avoid)
    yield from (one + two for one in letters for two in letters + string.digits if one + two not in avoid)


class _Renamer:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.tree = program.tree
        self.scopes = Scopes(self.tree)
        self.globals: dict[str, str] = {}
        self.attributes: dict[str, str] = {}
        self.locals: dict[tuple[ast.AST, str], str] = {}
        self.keywords = {keyword.arg for node in ast.walk(self.tree) if isinstance(node, ast.Call)
                         for keyword in node.keywords if keyword.arg}

    def run(self) -> None:
        self._choose_globals()
        self._choose_attributes()
        for owner, function in functions_of(self.tree):
            self._choose_locals(owner, function)
        before = dict(self.scopes.kinds)
        self._apply()
        self._check(before)
        self.program.renamed = {**self.globals, **{"." + old: new for old, new in self.attributes.items()}}

    def _check(self, before: dict[ast.Name, str]) -> None:
        """Every name must still mean something of the same kind: nothing was hidden by a name that was given."""
        after = Scopes(self.tree).kinds
        for node, kind in before.items():
            if after.get(node) != kind:
                raise BundleError(f"line {node.lineno}: {node.id} was {kind} and became {after.get(node)} by renaming")

    # Globals

    def _choose_globals(self) -> None:
        imported = {name for node in ast.walk(self.tree) if isinstance(node, (ast.Import, ast.ImportFrom))
                    for name in imported_names(node)}
        built_in = {node.id for node, kind in self.scopes.kinds.items() if kind == BUILTIN}
        public = self.program.public.roots
        named = self._named_in_classes()
        kept = {name for name in self.program.homes() if name in public or name in imported or name in named}
        free = fresh_names(kept | imported | built_in | self._fixed_locals() | {"micropython", "const"})
        uses = Counter(node.id for node in self.scopes.kinds if self.scopes.is_global(node))
        names = [name for name in self.program.homes() if name not in kept and not name.startswith("__")]
        for name in sorted(names, key=lambda one: (-uses[one], one)):
            self.globals[name] = next(free)

    def _named_in_classes(self) -> set[str]:
        """Globals that a class names outside of its functions: an attribute of their new name would hide them."""
        return {node.id for one in ast.walk(self.tree) if isinstance(one, ast.ClassDef)
                for statement in one.body if not isinstance(statement, FUNCTIONS)
                for node in ast.walk(statement) if isinstance(node, ast.Name) and self.scopes.is_global(node)}

    def _fixed_locals(self) -> set[str]:
        """What functions bind under names that stay: parameters given by name, locals of native code."""
        found = set()
        for owner, function in functions_of(self.tree):
            for inner in ast.walk(function):
                if isinstance(inner, NAMED_FUNCTIONS) and _is_native(inner):
                    found |= bound_names(inner)
                elif isinstance(inner, FUNCTIONS):
                    found |= {one.arg for one in arguments_of(inner) if self._is_kept(owner, inner, one)}
        return found - _KEPT_ARGUMENTS

    # Attributes and methods

    def _choose_attributes(self) -> None:
        groups, inherited = self._groups()
        uses = Counter(node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        ours = set().union(*groups.values()) if groups else set()
        kept = {name for name in ours if name.startswith("__") or name in self.program.public.attributes
                or name in FOREIGN}
        anywhere = self._stored_anywhere()
        methods = {function.name for owner, function in functions_of(self.tree) if owner} - kept
        function_names = {self.globals.get(function.name, function.name)
                          for owner, function in functions_of(self.tree) if not owner}
        users: dict[str, set[str]] = {}
        for group, names in groups.items():
            for name in names & kept:
                users.setdefault(name, set()).add(group)
            for name in INHERITED if group in inherited else ():
                users.setdefault(name, set()).add(group)
        for name in self._read_in_bodies():
            users.setdefault(name, set()).update(groups)
        # First the methods: no two of them share a name while there are names, so that a traceback can be read back.
        for name in sorted(ours - kept, key=lambda one: (one not in methods, -uses[one], one)):
            mine = {group for group, names in groups.items() if name in names}
            if name in anywhere:
                mine = set(groups)
            self.attributes[name] = self._attribute_for(name in methods, mine, set(groups), users, function_names)
            users.setdefault(self.attributes[name], set()).update(mine)
            if name in methods:
                function_names.add(self.attributes[name])

    @staticmethod
    def _attribute_for(is_method: bool, mine: set[str], everywhere: set[str], users: dict[str, set[str]],
                       function_names: set[str]) -> str:
        """The first name that is free in those groups; for a method preferably one that no other function has."""
        if is_method:
            for name in ROM_NAMES:
                if not users.get(name, set()) & mine and name not in function_names and name not in _KEPT_ARGUMENTS:
                    return name
        return next(name for name in fresh_names(()) if not users.get(name, set()) & mine)

    def _read_in_bodies(self) -> set[str]:
        """Globals and built-ins that the bodies of classes read: an attribute of that name would hide them."""
        return {self.globals.get(one.id, one.id)
                for node in self.tree.body if isinstance(node, ast.ClassDef) for member in node.body
                for part in (evaluated_outside(member) if isinstance(member, NAMED_FUNCTIONS) else [member])
                for one in ast.walk(part) if isinstance(one, ast.Name) and self.scopes.kind(one) in (GLOBAL, BUILTIN)}

    def _groups(self) -> tuple[dict[str, set[str]], set[str]]:
        """By the topmost class of a hierarchy: all its attributes; and the groups that inherit from others' classes."""
        classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        parents = {name: node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else None
                   for name, node in classes.items()}

        def top(name: str) -> str:
            parent = parents[name]
            return top(parent) if parent in classes else name

        groups: dict[str, set[str]] = {}
        for name, node in classes.items():
            group = groups.setdefault(top(name), set())
            for member in node.body:
                group |= {member.name} if isinstance(member, NAMED_FUNCTIONS) else bound_names(ast.Module([member], []))
            group |= {one.attr for one in ast.walk(node) if _is_own_store(one) and isinstance(one, ast.Attribute)}
        return groups, {top(name) for name in classes if parents[name] and parents[name] not in classes}

    def _stored_anywhere(self) -> set[str]:
        """Attributes that are stored into objects other than self: whose they are is not known."""
        return {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store) and not _is_own_store(node)}

    # Parameters and local variables

    def _choose_locals(self, owner: ast.ClassDef | None, function: Function) -> None:
        """Names for all that a function and those inside of it bind: ROM names for parameters, any for the rest."""
        inner = [node for node in ast.walk(function) if isinstance(node, FUNCTIONS)]
        used = {self.globals.get(node.id, node.id) for node in ast.walk(function) if isinstance(node, ast.Name)
                and self.scopes.kind(node) not in (LOCAL, CLASS, None)}
        kept = {argument.arg for one in inner for argument in arguments_of(one)
                if self._is_kept(owner, one, argument)}
        places = [(scope, name) for scope in inner for name in sorted(bound_names(scope))]
        imported = {name for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
                    for name in imported_names(node)}
        free = fresh_names(used | kept | imported)
        spare = (f"_{number}" for number in range(10_000))
        for scope, name in places:
            assert isinstance(scope, FUNCTIONS)
            if name in imported or name in kept or isinstance(scope, NAMED_FUNCTIONS) and _is_native(scope):
                continue
            is_argument = name in {argument.arg for argument in arguments_of(scope)}
            self.locals[scope, name] = next(free) if is_argument else next(spare)
        for node in ast.walk(function):
            if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                for name in sorted(bound_names(node)):
                    self.locals[node, name] = next(spare)

    def _is_kept(self, owner: ast.ClassDef | None, function: ast.AST, argument: ast.arg) -> bool:
        """May that parameter be given by name?"""
        assert isinstance(function, FUNCTIONS)
        if argument.arg in _KEPT_ARGUMENTS or argument.arg in self.keywords:
            return True
        if argument in function.args.kwonlyargs:
            return True
        if isinstance(function, ast.Lambda):
            return False
        public = self.program.public
        if owner is None:
            return function.name in public.roots
        return owner.name in public.classes and (function.name in public.attributes or function.name == "__init__")

    # All at once

    def _apply(self) -> None:
        # What is reached through the name of another package's module is never ours.
        imported = {name for node in self.tree.body if isinstance(node, ast.Import) for name in imported_names(node)}
        modules = {node for node in self.scopes.kinds if self.scopes.is_global(node) and node.id in imported}
        for node, kind in self.scopes.kinds.items():
            if kind == LOCAL:
                node.id = self.locals.get((self.scopes.owners[node], node.id), node.id)
            elif kind == CLASS:
                node.id = self.attributes.get(node.id, node.id)
            else:
                node.id = self.globals.get(node.id, node.id) if kind != BUILTIN else node.id
        for owner, function in functions_of(self.tree):
            for inner in ast.walk(function):
                if isinstance(inner, FUNCTIONS):
                    for argument in arguments_of(inner):
                        argument.arg = self.locals.get((inner, argument.arg), argument.arg)
                    self._apply_inside(inner)
            names = self.attributes if owner else self.globals
            place = self.program.origins.get(owner.name if owner else function.name, function.name)
            new = names.get(function.name, function.name)
            self.program.functions.setdefault(new, []).append(f"{place}.{function.name}" if owner else place)
            function.name = new
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                if not isinstance(node.value, ast.Name) or node.value not in modules:
                    node.attr = self.attributes.get(node.attr, node.attr)
            elif named := named_by_text(node):
                of, word, name = named
                if not isinstance(of, ast.Name) or of not in modules:
                    word.value = self.attributes.get(name, name)
            elif isinstance(node, ast.ClassDef):
                node.name = self.globals.get(node.name, node.name)
            elif isinstance(node, ast.Global):
                node.names = [self.globals.get(name, name) for name in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if (node.module or "").startswith("@"):
                        alias.asname = alias.asname or alias.name
                        alias.name = self.globals.get(alias.name, alias.name)

    def _apply_inside(self, function: ast.AST) -> None:
        """What holds names as text: exception handlers, definitions inside of functions."""
        for node in ast.iter_child_nodes(function):
            self._apply_text(function, node)

    def _apply_text(self, scope: ast.AST, node: ast.AST) -> None:
        if isinstance(node, ast.ExceptHandler) and node.name:
            node.name = self.locals.get((scope, node.name), node.name)
        elif isinstance(node, NAMED_FUNCTIONS):
            node.name = self.locals.get((scope, node.name), node.name)
        if not isinstance(node, FUNCTIONS):
            for child in ast.iter_child_nodes(node):
                self._apply_text(scope, child)


def _is_own_store(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id == "self")


def _is_native(function: Function) -> bool:
    return any("micropython" in ast.unparse(one) for one in function.decorator_list)
