"""Bytes for a connection in a replay, cut in every way that a network may cut them."""

_EVERY_PAIR = 400  # bytes up to which a frame is also cut in two at every place; beyond that byte by byte


def feed_everywhere(receiver, data):
    """Give it the bytes at once, byte by byte, and cut in two at every place; receiver.check() after each round."""
    size = len(data)
    rounds = [range(size + 1), (0, size)]
    if size <= _EVERY_PAIR:
        rounds.extend([(0, cut, size) for cut in range(1, size)])
    for cuts in rounds:
        receiver.expect()
        start = 0
        for cut in cuts:
            if cut > start:
                receiver.feed(data, start, cut)
            start = cut
        receiver.check()


def feed(connection, data, start, end):
    """What a link's reader does with data[start:end]."""
    view = memoryview(connection.buffer)
    filled = connection.filled
    view[filled:filled + end - start] = data[start:end]
    connection.feed(end - start, 0)
