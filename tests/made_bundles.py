"""The bundles that tests share, each made once and written to a folder of its own."""
from __future__ import annotations

import functools
from pathlib import Path

from tools.bundle.__main__ import write
from tools.bundle.building import Bundle, build
from tools.bundle.reading import PLAIN, VIPER
from tools.bundle.sets import SETS
from tools.interpreters import ROOT

ARCHITECTURES = {32: "x86", 64: "x64"}  # of native kernels, by the bits of a host's MicroPython


@functools.cache
def bundle_of(name: str, kernels: str = PLAIN) -> Bundle:
    """The bundle of a set, with all steps."""
    return build(ROOT, SETS[name], kernels)


def written(folder: Path, name: str, kernels: str, bits: int) -> Path:
    """A bundle as a MicroPython of so many bits gets it, in a folder below `folder`; made there once."""
    place = folder / f"{name}-{kernels}-{bits if kernels == VIPER else 'any'}"
    if not place.is_dir():
        write(bundle_of(name, kernels), place, ARCHITECTURES[bits] if kernels == VIPER else None)
    return place
