"""Makes one small module for boards from the readable package: `make bundle`; docs/size.md describes it.

Steps, a module each: reading (source files, seams chosen, docstrings dropped), merging (many modules, one namespace),
folding (constants into the code), shaking (what nothing reaches goes), flattening and inlining (a class with one
subclass, a function with one call), renaming (private names become names that firmware has in ROM), emitting (files,
mpy-cross, the map that reads tracebacks back).
"""
