"""Measures a small heap. Imported before anything of ours, so that the figures are of mpy_pulsar and not of this."""
import gc
import sys

import micropython
from micropython import mem_info


def free():
    """Free bytes after a collection."""
    gc.collect()
    return gc.mem_free()


def used():
    """Bytes in use after a collection."""
    gc.collect()
    return gc.mem_alloc()


def print_map():
    """MicroPython's own words about the heap, the largest free block among them."""
    gc.collect()
    mem_info()


def say(kind, **numbers):
    """A line of JSON, without the json module's memory."""
    sys.stdout.write('{"kind": "%s"' % kind)
    for name in numbers:
        sys.stdout.write(', "%s": %d' % (name, numbers[name]))
    sys.stdout.write("}\n")
