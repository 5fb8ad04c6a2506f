"""CPython's half of `mpy_pulsar.wire.kernels`: slices instead of loops, google-crc32c where it is installed."""

_HEADS_KEPT = 4096
_WIDE = "a message is made of bytes: give bytes, a bytearray, or a memoryview cast to \"B\""
_heads = {}


def _head(size):
    """Everything of a bare batch entry that stands before its payload."""
    number = bytearray()
    rest = size
    while rest > 127:
        number.append(rest & 127 | 128)
        rest >>= 7
    number.append(rest)
    head = bytes((0, 0, 0, len(number) + 1, 0x18)) + bytes(number)
    if len(_heads) < _HEADS_KEPT:
        _heads[size] = head
    return head


def put_entry(buffer, at, payload, size):
    """Write a batch entry that is nothing but its payload; return its end. See kernels_plain."""
    head = _heads.get(size) or _head(size)
    entry = head + payload
    end = at + len(entry)
    if end - at - len(head) != size:
        raise TypeError(_WIDE)
    buffer[at:end] = entry
    return end


def copy(target, at, source, start, size):
    """target[at:at + size] = source[start:start + size]."""
    view = memoryview(source)[start:start + size]
    if view.nbytes != size:
        raise TypeError(_WIDE)
    target[at:at + size] = view


try:
    from google_crc32c import value as _crc32c

    def put_checksum(buffer, at, end):
        """Write the CRC32C of buffer[at + 4:end] into the four bytes at `at`, big-endian."""
        buffer[at:at + 4] = _crc32c(bytes(memoryview(buffer)[at + 4:end])).to_bytes(4, "big")

    def check(buffer, at, end):
        """Is the checksum at `at` that of buffer[at + 4:end]? bool."""
        return _crc32c(bytes(memoryview(buffer)[at + 4:end])).to_bytes(4, "big") == buffer[at:at + 4]

except ImportError:
    from mpy_pulsar.wire.kernels_plain import check, put_checksum  # noqa: F401
