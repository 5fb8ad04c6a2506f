"""All steps in their order: from the sources to the texts of a bundle's files."""
from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bundle import sets
from tools.bundle.emitting import unit_sources
from tools.bundle.flattening import flatten
from tools.bundle.folding import fold
from tools.bundle.inlining import inline
from tools.bundle.merging import merge, units_of
from tools.bundle.program import Program
from tools.bundle.reading import PACKAGE, PLAIN, VIPER, Reader
from tools.bundle.renaming import rename
from tools.bundle.sets import BuildSet
from tools.bundle.shaking import shake

STEPS = ("merge", "fold", "shake", "flatten", "inline", "rename")


@dataclass
class Bundle:
    """The files of a bundle as source text, by unit ("" is the package's __init__), and what reads tracebacks back."""

    files: dict[str, str]
    program: Program
    native: set[str] = field(default_factory=set)  # units with native code: one .mpy for each architecture


def build(root: Path, build_set: BuildSet, kernels: str = PLAIN, steps: Sequence[str] = STEPS,
          together: bool = False, extra: Mapping[str, Sequence[str]] | None = None,
          folders: Mapping[str, Path] | None = None, kept: Iterable[str] = ()) -> Bundle:
    """Bundle the package in the folder `root`. Raises BundleError where the source does what cannot be followed.

    kernels: PLAIN, or VIPER for a file of native code beside the bundle. steps: those of STEPS to be taken. together:
    what the source loads on demand is in the one file as well. extra: modules to take in besides, each with the names
    of it that must survive; `folders` says where their top packages are. kept: attributes that keep their names.
    """
    reader = Reader({PACKAGE: root, **(folders or {})}, kernels)
    homes = sets.homes_of(reader)
    reader.homes = {**dict.fromkeys(sets.error_names(reader), sets.ERRORS), **homes}
    apart = (sets.KERNELS_VIPER,) if kernels == VIPER else ()
    extra = extra or {}
    order, units = units_of(reader, [*build_set.roots, *extra], homes.values(), apart, together)
    public = sets.public_of(reader, order, homes)
    public.roots |= {name for names in extra.values() for name in names}
    public.attributes |= {*kept}
    program = merge(reader, order, units, public, build_set.without)
    if "fold" in steps:
        fold(program)
    if "shake" in steps:
        shake(program)
    if "flatten" in steps:
        flatten(program)
    if "inline" in steps:
        inline(program)
        shake(program)
    if "rename" in steps:
        rename(program)
    files = unit_sources(program, sets.version_of(reader))
    native = {units[name] for name in apart}
    return Bundle(files, program, native)


def describe(program: Program) -> str:
    """The whole program as text, for a look at what a step did."""
    return ast.unparse(program.tree) + "\n"
