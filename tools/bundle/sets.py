"""What is built: the sets, and which names of the package programs may use."""
from __future__ import annotations

import ast
from dataclasses import dataclass

from tools.bundle.program import Public
from tools.bundle.reading import PACKAGE, Reader
from tools.bundle.scopes import BundleError, bound_names, target_name

ERRORS = f"{PACKAGE}.errors"
_ROOTS = (f"{PACKAGE}.client", f"{PACKAGE}.auth", ERRORS)
KERNELS_VIPER = f"{PACKAGE}.wire.kernels_viper"


@dataclass(frozen=True)
class BuildSet:
    """A bundle: what one file of it holds, and what is left out."""

    name: str
    merged: tuple[str, ...]  # modules that the source loads on demand and the bundle at once
    without: tuple[str, ...] = ()  # methods, as module.Class.method

    @property
    def roots(self) -> tuple[str, ...]:
        """The modules of the one file, besides what they import."""
        return (*_ROOTS, *self.merged)


_PRODUCER = (f"{PACKAGE}.producer", f"{PACKAGE}.core.producer_core")
_CONSUMER = (f"{PACKAGE}.consumer", f"{PACKAGE}.core.consumer_core")
_CLIENT = f"{PACKAGE}.client.Client"
SETS = {
    one.name: one
    for one in (
        BuildSet("producer", _PRODUCER, (f"{_CLIENT}.subscribe", f"{_CLIENT}.create_reader")),
        BuildSet("consumer", _CONSUMER, (f"{_CLIENT}.create_producer",)),
        BuildSet("both", _PRODUCER + _CONSUMER),
    )
}

# Besides the classes of modules that stand directly in the package or in features/: what programs get to hold.
HELD = {f"{PACKAGE}.core.message": ("Message",)}
# Names without an underscore that are nevertheless ours alone: classes, or one attribute of a class.
HIDDEN = frozenset({
    "Ticket", "NoAuthentication", "Endpoint.opened", "Endpoint.core", "MessageId.encoded", "MessageId.done",
    "Alarms", "ByIds", "Call", "Cumulative", "DropNewest", "DropOldest", "Dropping", "Extra", "Extras", "Late",
    "ManualFlow", "NegativeAcks", "PartitionsQuery",
    "ReaderCore", "Request", "Requests", "Seek", "SendTimeout", "Start", "Tracked",
})  # fmt: skip

# Attributes that a feature gives to what programs hold, by the module that does it.
GIVEN = {f"{PACKAGE}.features.irq": ("irq", "from_irq"), f"{PACKAGE}.features.extra": ("extras",)}


def homes_of(reader: Reader) -> dict[str, str]:
    """By public name: the module that has it, from the table in the package's __init__; all others are errors."""
    for node in reader.read(PACKAGE).tree.body:
        if target_name(node) == "_HOMES":
            assert isinstance(node, ast.Assign)
            try:
                table = ast.literal_eval(node.value)
                return {name: f"{PACKAGE}.{module}" for name, module in table.items()}
            except (ValueError, AttributeError):
                break
    raise BundleError("mpy_pulsar/__init__.py: _HOMES must be a dict of literals, public name: module")


def version_of(reader: Reader) -> str:
    """The package's version."""
    for node in reader.read(PACKAGE).tree.body:
        if target_name(node) == "__version__":
            assert isinstance(node, ast.Assign)
            return str(ast.literal_eval(node.value))
    raise BundleError("mpy_pulsar/__init__.py assigns no __version__")


def error_names(reader: Reader) -> set[str]:
    """Everything of errors.py without an underscore is public."""
    found = set()
    for node in reader.read(ERRORS).tree.body:
        name = node.name if isinstance(node, ast.ClassDef) else target_name(node)
        if name and not name.startswith("_"):
            found.add(name)
    return found


def public_of(reader: Reader, order: list[str], homes: dict[str, str]) -> Public:
    """What keeps its name in a bundle of the modules in `order`."""
    public = Public(roots=error_names(reader) | set(homes))
    public.attributes |= {attribute for name in order for attribute in GIVEN.get(name, ())}
    classes = {(name, node.name): node for name in order for node in reader.read(name).tree.body
               if isinstance(node, ast.ClassDef)}
    for (module, name), node in classes.items():
        top = module.split(".")[1] if "." in module else ""
        held = top == "features" or module.count(".") == 1 or name in HELD.get(module, ()) or homes.get(name) == module
        if held and not name.startswith("_") and name not in HIDDEN:
            public.classes.add(name)
            public.attributes |= _public_attributes(node)
    return public


def _public_attributes(node: ast.ClassDef) -> set[str]:
    """Methods, class attributes and attributes of self without an underscore."""
    found = bound_names(node)
    for one in ast.walk(node):
        if (isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store) and isinstance(one.value, ast.Name)
                and one.value.id == "self"):
            found.add(one.attr)
    return {name for name in found if name and not name.startswith("_") and f"{node.name}.{name}" not in HIDDEN}
