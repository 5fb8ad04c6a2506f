"""Lines of standard output and input, without a board's memory for more."""
import sys
from select import poll

_POLLIN = 1
_poll = poll()
_poll.register(sys.stdin, _POLLIN)


def say(line):
    """One line for whoever started the program."""
    sys.stdout.write(line)
    sys.stdout.write("\n")


def told():
    """Is there a further line, or was the input closed?"""
    return bool(_poll.poll(0))
