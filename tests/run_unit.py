"""Runs tests/unit without pytest: one source for MicroPython 1.23 and later and CPython 3.9 and later.

    micropython tests/run_unit.py                          all files
    micropython tests/run_unit.py test_ring.py             some, by name or path
    micropython tests/run_unit.py --list                   only count: prints `N tests`

A unit test is a plain function whose name begins with `test_` and takes nothing; it fails by raising. It may use what
both interpreters have, and `support`. The last line is `N passed, N failed`, and the exit code is 1 unless all passed.
"""
import gc
import os
import sys


def _parent(path):
    """The folder above `path`."""
    cut = path.rfind("/")
    return path[:cut] or "/" if cut >= 0 else "."


HERE = _parent(__file__)
ROOT = HERE + "/.." if HERE in (".", "..") or HERE.endswith("/..") else _parent(HERE)
UNIT = HERE + "/unit"
# A small heap does not hold every file's modules at once; and each file starts with fresh ones.
# What lies deepest is loaded first, as a client does it: a small C stack does not take all those imports nested.
DEEPEST = "mpy_pulsar.wire.kernels"
DROPPED = ("mpy_pulsar", "cpython_shim", "support", "test_", "tests.unit")


def _print_exception(error):
    """Show an error with its traceback on standard output."""
    show = getattr(sys, "print_exception", None)
    if show:
        show(error, sys.stdout)
    else:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stdout)


def _module_names(words):
    """Names of the modules to run: those of `words`, or all of tests/unit, sorted."""
    files = [word[word.rfind("/") + 1:] for word in words] or os.listdir(UNIT)
    names = [name[:-3] if name.endswith(".py") else name for name in files]
    return sorted(name for name in names if name.startswith("test_"))


def _test_names(module):
    """Names of a module's test functions, sorted: MicroPython does not keep the order of definition."""
    return sorted(name for name in dir(module) if name.startswith("test_") and callable(getattr(module, name)))


def _run_test(module, name):
    """Run one test; show its error; return whether it passed."""
    try:
        outcome = getattr(module, name)()
        if outcome is not None:
            raise TypeError("a unit test returns nothing, and is no coroutine: this one gave %r" % (outcome,))
        return True
    except Exception as error:
        print("FAILED %s.%s" % (module.__name__, name))
        _print_exception(error)
        return False


def _run_module(name, only_count):
    """Import a module and run its tests; return (passed, failed). A module that cannot be imported fails once."""
    try:
        __import__(DEEPEST)
    except ImportError:
        pass  # a bundle has it elsewhere
    try:
        module = __import__(name)
    except Exception as error:
        print("FAILED %s: cannot be imported" % name)
        _print_exception(error)
        return 0, 1
    tests = _test_names(module)
    if only_count:
        return len(tests), 0
    passed = 0
    for test in tests:
        passed += _run_test(module, test)
        gc.collect()
    print("%s: %d of %d passed" % (name, passed, len(tests)))
    return passed, len(tests) - passed


def main(words):
    """Run the files named in `words`, or all; return the exit code."""
    only_count = words[:1] == ["--list"]
    names = _module_names(words[1:] if only_count else words)
    passed = failed = 0
    for name in names:
        one_passed, one_failed = _run_module(name, only_count)
        passed += one_passed
        failed += one_failed
        for module in [module for module in sys.modules if module.startswith(DROPPED)]:
            del sys.modules[module]
        gc.collect()
    if only_count:
        print("%d tests" % passed)
        return failed and 1
    if not passed and not failed:
        print("no unit test found in %s" % UNIT)
    print("%d passed, %d failed" % (passed, failed))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    # MicroPython's list begins with this script's folder and ends with its frozen modules: both stay.
    sys.path[0:0] = [ROOT, UNIT]
    sys.exit(main(sys.argv[1:]))
