"""Makes the bundles for boards in build/bundle/ and says what they cost: `make bundle`.

    .venv/bin/python -m tools.bundle [set …] [--steps merge,fold,…] [--together] [--arch armv6m,…]

    set         producer, consumer or both; all of them where none is named
    --steps     only these steps, in their fixed order
    --together  what the source loads on demand is in the one file as well
    --arch      architectures of the native kernels; "" for none

build/bundle/<set>/plain/mpy_pulsar/ goes to any board, build/bundle/<set>/<arch>/mpy_pulsar/ to chips of that kind.
Beside them stand map.json (see tools.bundle.tracebacks) and source/, what was compiled.
"""
from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from tools.bundle.building import STEPS, Bundle, build
from tools.bundle.reading import PACKAGE, PLAIN, VIPER
from tools.bundle.scopes import BundleError
from tools.bundle.sets import SETS
from tools.bundle.tracebacks import traceback_map
from tools.interpreters import ROOT
from tools.size.__main__ import MARK, interpreter_32
from tools.size.measure import STARTS, Cost, Failed, compile_file, measure

TARGET = ROOT / "build" / "bundle"
ARCHITECTURES = ("armv6m", "xtensawin", "rv32imc")


def write(bundle: Bundle, folder: Path, architecture: str | None = None) -> dict[str, int]:
    """Write a bundle's files, compiled, into folder/mpy_pulsar: bytes by file name. What stood there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "source").mkdir(parents=True)
    sizes = {}
    for unit, text in bundle.files.items():
        name = unit or "__init__"
        source = folder / "source" / f"{name}.py"
        source.write_text(text)
        shown = f"{PACKAGE}.{unit}" if unit else PACKAGE
        native = architecture if unit in bundle.native else None
        sizes[name] = compile_file(source, folder / PACKAGE / f"{name}.mpy", shown, native)
    (folder / "map.json").write_text(json.dumps(traceback_map(bundle.program), indent=1, sort_keys=True) + "\n")
    return sizes


def cost(folder: Path) -> Cost | None:
    """What importing the bundle in that folder costs on top of asyncio; None without a 32-bit MicroPython."""
    try:
        interpreter = interpreter_32()
    except Failed:
        return None
    return measure(interpreter, folder, [PACKAGE])


def _line(name: str, sizes: dict[str, int], found: Cost | None) -> str:
    rest = ", ".join(f"{unit} {size:,}" for unit, size in sizes.items() if unit != "__init__")
    heap = f"{found.heap:>10,.0f}" if found else f"{'':>10}"
    return f"{name:24}{sizes['__init__']:>10,}{heap}  {rest}"


def main(words: list[str]) -> int:
    """Make what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="tools.bundle", description="Makes the bundles for boards.")
    parser.add_argument("sets", nargs="*", metavar="set", help=f"{', '.join(SETS)}; all where none is named")
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--arch", default=",".join(ARCHITECTURES))
    options = parser.parse_args(words)
    unknown = set(options.sets) - set(SETS)
    if unknown:
        parser.error(f"no set is called {', '.join(sorted(unknown))}")
    steps = options.steps.split(",")
    print(f"{'bytes':24}{'.mpy':>10}{'heap':>10}  files beside it (heap: the mean of {len(STARTS)} starts)")
    try:
        for name in options.sets or SETS:
            bundle = build(ROOT, SETS[name], PLAIN, steps, options.together)
            folder = TARGET / name / PLAIN
            sizes = write(bundle, folder)
            print(_line(f"{name}, plain", sizes, cost(folder)))
            bundle = build(ROOT, SETS[name], VIPER, steps, options.together)
            for architecture in filter(None, options.arch.split(",")):
                sizes = write(bundle, TARGET / name / architecture, architecture)
                print(_line(f"{name}, {architecture}", sizes, None))
    except (BundleError, Failed) as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{MARK[0]:24}{MARK[1]:>10,}{MARK[2]:>10,}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
