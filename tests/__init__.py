"""Tests of the whole project; tests/unit alone is no package, since MicroPython runs its files by name."""
