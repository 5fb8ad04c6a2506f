"""The content of numbered messages, 20 to 100 bytes; programs and tools import this."""

_FILLING = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789" * 2


def content(number):
    """The content of message `number`."""
    start = b"%d " % number
    return start + _FILLING[:20 + number * 37 % 81 - len(start)]


def number_of(data):
    """The number of a message; ValueError where its content is not what was sent."""
    number = int(data[:data.find(b" ")])
    if data != content(number):
        raise ValueError("message %d arrived as %r" % (number, data))
    return number
