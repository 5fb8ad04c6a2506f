"""What a replay compares with, and how it says what differs."""


class Difference(Exception):
    """A vector is not met; the text says where."""


def differs(what, expected, actual):
    """Raise Difference with both values, bytes as hex."""
    if isinstance(expected, (bytes, bytearray)) and isinstance(actual, (bytes, bytearray)):
        expected = _shortened(bytes(expected).hex())
        actual = _shortened(bytes(actual).hex())
    raise Difference("%s: expected %s, got %s" % (what, expected, actual))


def _shortened(text):
    return text if len(text) <= 600 else "%s… (%d bytes)" % (text[:600], len(text) // 2)


def same(what, expected, actual):
    """Raise Difference unless the two are equal."""
    if expected != actual:
        differs(what, expected, actual)
