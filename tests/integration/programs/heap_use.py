"""Measures a small heap; for the programs that test_heap compiles. Allocates next to nothing itself."""
import gc
import sys

from micropython import mem_info


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
