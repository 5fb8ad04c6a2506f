"""Numbered messages of 20 to 100 bytes: how they are made and read; programs and tests import this."""

_FILLING = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789" * 2


def message(number):
    """The content of message `number`."""
    size = 20 + number * 37 % 81
    start = b"%d " % number
    return start + _FILLING[:size - len(start)]


def number_of(content):
    """The number of a message; ValueError where its content is not what was sent."""
    number = int(content[:content.find(b" ")])
    if content != message(number):
        raise ValueError("message %d arrived as %r" % (number, content))
    return number


def add_to_runs(runs, number):
    """Extend `runs`, a list of [first, last] of consecutive numbers in order of arrival."""
    if runs and number == runs[-1][1] + 1:
        runs[-1][1] = number
    else:
        runs.append([number, number])
