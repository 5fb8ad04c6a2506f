"""Bytes for a connection in a replay, cut in every way that a network may cut them."""

_EVERY_PAIR = 400  # bytes up to which a frame is also cut in two at every place; beyond that byte by byte


def feed_everywhere(receiver, data):
    """Give it the bytes at once, byte by byte, and cut in two at every place; receiver.check() after each round."""
    size = len(data)
    _feed_round(receiver, data, size)
    _feed_round(receiver, data, 1)
    if size <= _EVERY_PAIR:
        for cut in range(1, size):
            receiver.expect()
            receiver.feed(data, 0, cut)
            receiver.feed(data, cut, size)
            receiver.check()


def _feed_round(receiver, data, step):
    receiver.expect()
    for start in range(0, len(data), step):
        receiver.feed(data, start, min(start + step, len(data)))
    receiver.check()


def feed(connection, data, start, end):
    """What a link's reader does with data[start:end]: no more at a time than the connection's buffer has room for."""
    while start < end:
        buffer = connection.buffer
        filled = connection.filled
        count = min(end - start, len(buffer) - filled)
        buffer[filled:filled + count] = data[start:start + count]
        connection.feed(count, 0)
        start += count
