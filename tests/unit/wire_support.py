"""What the wire tests share: repeatable random numbers, and readers of protobuf and frames that use none of our code.

The readers are slow and simple on purpose: they are the second opinion.
"""


class Random:
    """A linear congruential generator: the same numbers on every interpreter."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        """An int from 0 to limit - 1; limit at most 2^15."""
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 15) % limit

    def data(self, size):
        """`size` bytes, as a bytearray."""
        result = bytearray(size)
        for index in range(size):
            result[index] = self.below(256)
        return result


def _crc_of_byte(value):
    """What eight steps of the CRC32C's definition make of a byte."""
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_OF_BYTES = [_crc_of_byte(byte) for byte in range(256)]


def crc32c(data):
    """The CRC32C of `data` as four bytes."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_OF_BYTES[(value ^ byte) & 255]
    return (value ^ 0xFFFFFFFF).to_bytes(4, "big")


def varint(number):
    """The bytes of an unsigned number."""
    result = bytearray()
    while number > 127:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)


def read_varint(data, at):
    """The number at `at`, and where it ends."""
    value = 0
    shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def read_message(data):
    """The fields of a message of numbers and bytes: a dict of the last value by field number."""
    fields = {}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        assert tag & 7 in (0, 2), "wire type %d" % (tag & 7)
        if tag & 7 == 2:
            assert at + value <= len(data), "a field runs past the end"
            value, at = bytes(data[at:at + value]), at + value
        fields[tag >> 3] = value
    return fields


def read_send(frame):
    """A SEND frame, its sizes and magic checked: CommandSend and MessageMetadata as dicts, checksum, what it covers
    and the payload as bytes."""
    def sized(at):
        end = at + 4 + int.from_bytes(frame[at:at + 4], "big")
        assert end <= len(frame)
        return frame[at + 4:end], end

    body, end = sized(0)
    assert end == len(frame)
    command, at = sized(4)
    command = read_message(command)
    assert sorted(command) == [1, 6] and command[1] == 6
    assert frame[at:at + 2] == b"\x0e\x01"
    metadata, end = sized(at + 6)
    return read_message(command[6]), read_message(metadata), frame[at + 2:at + 6], frame[at + 6:], frame[end:]


def read_batch(payload):
    """The entries of a batch's payload: a list of (SingleMessageMetadata as a dict, payload)."""
    entries = []
    at = 0
    while at < len(payload):
        end = at + 4 + int.from_bytes(payload[at:at + 4], "big")
        metadata = read_message(payload[at + 4:end])
        at = end + metadata[3]
        assert at <= len(payload)
        entries.append((metadata, payload[end:at]))
    return entries
