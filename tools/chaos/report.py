"""The figures of a long run: build/chaos.json, and the plot in docs/."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.chaos.recovery import OFFICIAL, OURS, medians
from tools.chaos.story import Outcome
from tools.interpreters import ROOT

FIGURES = ROOT / "build" / "chaos.json"
PLOT = ROOT / "docs" / "recovery.svg"
Times = Mapping[str, Mapping[str, Sequence[float]]]

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 56, 110, 24, 46, 44
_COLORS = {OURS: "#0b6e4f", OFFICIAL: "#b3541e"}
_LABELS = {OURS: "mpy_pulsar (CPython)", OFFICIAL: "pulsar-client"}
_DOT, _TICK_GAP = 3.5, 16


def figures(outcome: Outcome, times: Times, seed: int) -> dict[str, object]:
    """What chaos.json holds."""
    verdicts = [side.verdict for side in outcome.sides]
    plain = {fault: {kind: list(found) for kind, found in by_kind.items()} for fault, by_kind in times.items()}
    return {
        "messages": sum(one.messages for one in verdicts),
        "link_faults": outcome.link_faults.total(),
        "broker_faults": outcome.broker_faults.total(),
        "lost": sum(len(one.lost) for one in verdicts),
        "duplicated": sum(len(one.duplicated) for one in verdicts),
        "reordered": sum(len(one.reordered) for one in verdicts),
        "reported_unknown": sum(one.unknown for one in verdicts),
        "reported_not_sent": sum(one.not_sent for one in verdicts),
        "sound": outcome.sound,
        "recovery_ms": medians(plain),
        "recovery_samples": {
            fault: {kind: [round(one * 1000, 1) for one in found] for kind, found in by_kind.items()}
            for fault, by_kind in plain.items()
        },
        "link_faults_by_kind": dict(outcome.link_faults),
        "broker_faults_by_kind": dict(outcome.broker_faults),
        "interpreters": {side.name: str(side) for side in outcome.sides},
        "seconds": round(outcome.seconds),
        "seed": seed,
    }


def write_figures(found: Mapping[str, object], path: Path = FIGURES) -> None:
    """Write chaos.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")


def plot(samples: Times, path: Path = PLOT) -> None:
    """An SVG of pauses in milliseconds on a logarithmic axis, a dot for each fault and a bar for each median."""
    faults = list(samples)
    every = [one for by_kind in samples.values() for found in by_kind.values() for one in found]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    height = _TOP + _ROW * len(faults) + _BOTTOM
    bottom = height - _BOTTOM

    def x(milliseconds: float) -> float:
        return _LEFT + (math.log10(milliseconds) - low) / max(1, high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
             f' font-size="12"><rect width="{_WIDTH}" height="{height}" fill="white"/>']  # fmt: skip
    for at, kind in enumerate((OURS, OFFICIAL)):
        left = _LEFT + at * 200
        parts.append(f'<circle cx="{left}" cy="20" r="5" fill="{_COLORS[kind]}"/>'
                     f'<text x="{left + 10}" y="24">{_LABELS[kind]}</text>')  # fmt: skip
    for power in range(low, high + 1):
        at = x(10**power)
        label = f"{10**power / 1000:g} s" if power >= 3 else f"{10**power} ms"
        parts.append(f'<line x1="{at:.1f}" y1="{_TOP - 8}" x2="{at:.1f}" y2="{bottom}" stroke="#ddd"/>'
                     f'<text x="{at:.1f}" y="{bottom + _TICK_GAP}" text-anchor="middle">{label}</text>')  # fmt: skip
    for row, fault in enumerate(faults):
        middle = _TOP + _ROW * row + _ROW / 2
        parts.append(f'<text x="{_LEFT - 12}" y="{middle + 4}" text-anchor="end">{fault}</text>')
        for shift, kind in ((-10, OURS), (10, OFFICIAL)):
            found = samples[fault].get(kind, ())
            y = middle + shift
            parts += [f'<circle cx="{x(one):.1f}" cy="{y}" r="{_DOT}" fill="{_COLORS[kind]}" fill-opacity="0.45"/>'
                      for one in found]  # fmt: skip
            if found:
                at = x(statistics.median(found))
                parts.append(f'<line x1="{at:.1f}" y1="{y - 9}" x2="{at:.1f}" y2="{y + 9}" stroke="{_COLORS[kind]}"'
                             f' stroke-width="3"/>')  # fmt: skip
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{height - 8}" text-anchor="middle">time without a'
                 " receipt; a dot a fault, a bar the median</text></svg>")  # fmt: skip
    path.write_text("\n".join(parts) + "\n")
