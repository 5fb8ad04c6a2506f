"""Measures a small heap; for the programs that test_heap compiles. Allocates next to nothing itself."""
import asyncio
import gc
import sys

from micropython import mem_info


def used():
    """Bytes in use after a collection."""
    gc.collect()
    return gc.mem_alloc()


async def settled(bound=0):
    """Bytes in use once they are at most `bound`, or, after some time, the least there was meanwhile.

    What is on its way out, such as acknowledgements that wait for others, is no leak.
    """
    least = used()
    for _ in range(50 if bound else 6):
        if least <= bound:
            break
        await asyncio.sleep(0.1)
        least = min(least, used())
    return least


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
