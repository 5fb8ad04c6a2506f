"""Runs on MicroPython: what each import adds to the heap in use. Started by tools.size.measure.

Arguments: how many names to intern first, then modules. Prints a line of numbers: the heap that asyncio takes, then
that of each module, all after a collection.
"""
import gc
import sys


class _Names:
    """Attributes set by a text that was made at run time put that text into the pool of names."""


def _used():
    gc.collect()
    return gc.mem_alloc()  # pyright: ignore[reportAttributeAccessIssue]


def _main(count, modules):
    names = _Names()
    for number in range(count):
        setattr(names, "name_of_others_%d" % number, None)
    steps = [0] * (len(modules) + 1)
    used = _used()
    import asyncio  # noqa: F401

    steps[0] = _used() - used
    index = 1
    for module in modules:
        used = _used()
        __import__(module, None, None, ("__name__",))
        steps[index] = _used() - used
        index += 1
    print(" ".join([str(step) for step in steps]))


_main(int(sys.argv[1]), sys.argv[2:])
