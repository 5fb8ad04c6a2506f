"""Prints what importing a producer, a consumer, or both costs a board, and writes it to build/size.json: `make size`.

    .venv/bin/python -m tools.size
"""
from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools import interpreters
from tools.interpreters import ROOT
from tools.size.measure import STARTS, Cost, Failed, compile_package, import_order, measure

RESULT = ROOT / "build" / "size.json"
_PRODUCER = ("mpy_pulsar.producer", "mpy_pulsar.core.producer_core")
_CONSUMER = ("mpy_pulsar.consumer", "mpy_pulsar.core.consumer_core")
SETS = {
    "producer": ("mpy_pulsar.client", *_PRODUCER),
    "consumer": ("mpy_pulsar.client", *_CONSUMER),
    "producer and consumer": ("mpy_pulsar.client", *_PRODUCER, *_CONSUMER),
}
# mqtt_as 0.8.3, the usual MQTT client for asyncio on boards: bytes of .mpy, and of heap as the mean of several starts.
MARK = ("mqtt_as 0.8.3", 11_058, 15_458)
# Loaded instead of the other where the chip allows it; both stand in the import order.
_FALLBACK = "mpy_pulsar.wire.kernels_plain"


def table(costs: dict[str, Cost]) -> str:
    """The text of the table: a row for each module, totals below, the mark at the end."""
    rows: dict[str, dict[str, tuple[int, float]]] = {}
    for name, cost in costs.items():
        for module in cost.modules:
            rows.setdefault(module.name, {})[name] = (module.mpy, module.heap)
    width = max(len(name) for name in [*rows, MARK[0]]) + 2
    lines = [" " * width + "".join(f"{name:>24}" for name in costs),
             " " * width + "".join(f"{'.mpy':>14}{'heap':>10}" for _ in costs)]
    for row, cells in rows.items():
        lines.append(f"{row:{width}}" + "".join(_cell(*cells.get(name, (None, None))) for name in costs))
    lines.append(f"{'together':{width}}" + "".join(_cell(cost.mpy, cost.heap) for cost in costs.values()))
    lines.append(f"{'  heap from .. to':{width}}" + "".join(
        f"{f'{min(cost.heaps):,} .. {max(cost.heaps):,}':>24}" for cost in costs.values()))
    lines.append(f"{MARK[0]:{width}}" + "".join(_cell(*MARK[1:]) for _ in costs))
    return "\n".join(lines) + "\n"


def _cell(mpy: int | None, heap: float | None) -> str:
    return " " * 24 if mpy is None or heap is None else f"{mpy:>14,}{heap:>10,.0f}"


def record(costs: dict[str, Cost], interpreter: str) -> dict[str, Any]:
    """What goes to build/size.json."""
    return {
        "interpreter": interpreter, "starts": list(STARTS), "mark": dict(zip(("name", "mpy", "heap"), MARK)),
        "sets": {name: {
            "mpy": cost.mpy, "heap": round(cost.heap), "heaps": list(cost.heaps), "asyncio": round(cost.asyncio),
            "modules": {module.name: {"mpy": module.mpy, "heap": round(module.heap)} for module in cost.modules},
        } for name, cost in costs.items()},
    }  # fmt: skip


def interpreter_32() -> interpreters.Interpreter:
    """A 32-bit MicroPython, whose heap blocks are a board's; Failed where there is none."""
    for entry in interpreters.found():
        if entry.bits == 32:
            return entry
    raise Failed("heap is measured on a 32-bit MicroPython, and none was found: `make setup` says what can be had")


def main() -> int:
    """Measure, print, write; the exit code."""
    try:
        interpreter = interpreter_32()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            compile_package(ROOT, folder)
            costs = {}
            for name, roots in SETS.items():
                order = [module for module in import_order(ROOT, roots) if module != _FALLBACK]
                costs[name] = measure(interpreter, folder, order)
    except Failed as problem:
        print(problem, file=sys.stderr)
        return 1
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record(costs, interpreter.name), indent=1) + "\n")
    print(f"Import from .mpy on {interpreter.name}, in bytes; heap: the mean of {len(STARTS)} starts, on top of"
          f" asyncio's own {next(iter(costs.values())).asyncio:,.0f}\n")
    print(table(costs), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
