"""Messages with everything that a message can carry, for both sides of a comparison: programs and tests import this."""

_PROPERTIES = {
    "plain": "value", "größe": "0,5 µm", "温度": "二十一度", "🌡️": "😀👩‍🔬🚀", "\U00010348": "\U0010ffff", "empty": "",
    "long": "0123456789" * 40,
}
_EVENT_TIME = 1_700_000_000_123
_ALL = {
    "properties": _PROPERTIES, "partition_key": "schlüssel 🔑", "ordering_key": "ordnung 🗂",
    "event_timestamp": _EVENT_TIME,
}


def content(number, size):
    """`size` bytes that belong to `number`, of all values."""
    return bytes([(number * 31 + place * 7) & 255 for place in range(size)])


def messages():
    """A list of (content, dict): the dict's names are those of `send`; its ordering_key is a str."""
    return [
        (b"", {}),
        (b"bare", {}),
        (bytes(range(256)), {}),
        (b"with properties", {"properties": _PROPERTIES}),
        (b"", {"properties": {"only": "this"}}),
        (b"with a key", {"partition_key": "schlüssel 🔑"}),
        (b"with an ordering key", {"ordering_key": "ordnung 🗂"}),
        (b"with an event time", {"event_timestamp": _EVENT_TIME}),
        (b"with the first event time", {"event_timestamp": 1}),
        (b"with all", _ALL),
        (b"", _ALL),
        (content(1, 100_000), {}),
        (content(2, 100_000), _ALL),
        (content(3, 127), {"partition_key": "127"}),
        (content(4, 128), {"partition_key": "128"}),
        (content(5, 16_384), {"partition_key": "16384"}),
        (b"after the large ones", {}),
    ]


def bare_messages():
    """Contents of messages that carry nothing else."""
    return [content(number, number) for number in range(150)]


END = b"the end"
