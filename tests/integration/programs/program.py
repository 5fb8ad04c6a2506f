"""What the programs of this folder share: a line of options as JSON in, lines of JSON out, `passed` as the last.

One source for CPython and MicroPython. Whatever goes wrong ends a program with a traceback and without `passed`.
"""
import asyncio
import gc
import json
import sys

# What only the twin has. MicroPython keeps no list of tasks.
_all_tasks = getattr(asyncio, "all_tasks", None)
_running_loop = getattr(asyncio, "get_running_loop", None)
_SLOW_SECONDS = 10


def say(kind, **fields):
    """One line for whoever started the program: a JSON object with its `kind`."""
    fields["kind"] = kind
    print(json.dumps(fields))


def same(found, expected, what):
    """Raise AssertionError unless both are equal."""
    if found != expected:
        raise AssertionError("%s: found %.300r, expected %.300r" % (what, found, expected))


def true(condition, what):
    """Raise AssertionError unless the condition holds."""
    if not condition:
        raise AssertionError(what)


async def raises(kind, awaitable):
    """The error of that class which the awaitable must end in."""
    try:
        outcome = await awaitable
    except kind as error:
        return error
    raise AssertionError("no %s, but %.300r" % (kind.__name__, outcome))


def options():
    """The dict that stands as JSON in the first line of standard input.

    Not an argument: MicroPython ends at once where one is longer than 255 bytes.
    """
    return json.loads(sys.stdin.readline())


async def nothing_left():
    """Tasks and sockets of the client are all gone, which `Client.close` promises."""
    # MicroPython's wait_for leaves its helper task to end in the loop's next turn.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    if _all_tasks:
        tasks = [task for task in _all_tasks() if task is not asyncio.current_task()]
        same(tasks, [], "tasks left behind")
    else:
        true(asyncio.core._task_queue.peek() is None, "a task was left behind")
        same(len(asyncio.core._io_queue.map), 0, "sockets that somebody still waits for")


def run(main):
    """Run `main(options)`; say `passed` with what it returned, once nothing of it is left."""

    async def whole():
        if _running_loop:
            # In its debug mode asyncio prints a line where a task held the loop for long; a busy machine is no fault.
            _running_loop().slow_callback_duration = _SLOW_SECONDS
        outcome = await main(options())
        await nothing_left()
        return outcome

    outcome = asyncio.run(whole())
    gc.collect()
    say("passed", outcome=outcome)
