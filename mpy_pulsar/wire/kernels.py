"""The byte work that must be fast: put_entry, put_checksum, check, copy. The second of the three seams.

Each kernel takes (buffer, offset, end) and writes its result in place, so that no checksum becomes a big integer.
Viper where the interpreter compiles it, plain Python where not, the shim's on CPython; all agree byte for byte.
"""
import sys

if sys.implementation.name == "micropython":
    try:
        from .kernels_viper import check, copy, put_checksum, put_entry
    except (ImportError, SyntaxError, ValueError, MemoryError):
        # No emitter, a .mpy of another chip, or no memory for native code.
        from .kernels_plain import check, copy, put_checksum, put_entry
else:
    from cpython_shim.kernels import check, copy, put_checksum, put_entry  # noqa: F401
