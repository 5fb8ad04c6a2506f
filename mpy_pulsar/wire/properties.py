"""Properties on the wire; loaded where there are some."""


def key_values(pairs):
    """A dict of strings as the values of a repeated KeyValue field; None for None and for an empty one.

    TypeError: a key or its value is no str.
    """
    if not pairs:
        return None
    for key in pairs:
        if not isinstance(key, str) or not isinstance(pairs[key], str):
            raise TypeError("properties: %r: %r, and both are to be str" % (key, pairs[key]))
    return [(1, key, 2, pairs[key]) for key in pairs]
