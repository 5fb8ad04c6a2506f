"""The generic path of a replay: any message by the writer and the scanner alone, for what the client never builds or
reads itself."""
from mpy_pulsar.wire.kernels import check, put_checksum
from mpy_pulsar.wire.scanner import Fields, each, uint32, varint
from mpy_pulsar.wire.writer import Writer, message
from tests.unit.vector_file import Double
from tests.unit.vector_same import Difference, same

_MASK = 0xFFFFFFFFFFFFFFFF


def nested(pairs):
    """A message as the writer takes it: tuples, and what holds a double as bytes."""
    return tuple(encode(value) if holds_double(value) else nested(value) if isinstance(value, list) else value
                 for value in pairs)


def holds_double(value):
    """Is there a double in it?"""
    return isinstance(value, list) and any(isinstance(item, Double) or holds_double(item) for item in value)


def encode(pairs):
    """The bytes of a message."""
    parts = []
    start = 0
    for index in range(0, len(pairs), 2):
        value = pairs[index + 1]
        if isinstance(value, Double):
            # The client has no doubles: only the consumer's statistics do, which it does not read.
            parts.append(message(*nested(pairs[start:index])))
            tag = Writer(bytearray(10), 10)
            tag.varint(pairs[index] << 3 | 1)
            parts.append(bytes(tag.buffer[tag.start:]))
            parts.append(value.data)
            start = index + 2
    parts.append(message(*nested(pairs[start:])))
    return b"".join(parts)


def payload_frame(command, broker, metadata, payload, with_checksum):
    """The bytes of a frame that carries a payload."""
    parts = [encode(metadata), payload]
    parts.insert(0, len(parts[0]).to_bytes(4, "big"))
    if with_checksum:
        covered = bytearray(b"\0\0\0\0" + b"".join(parts))
        put_checksum(covered, 0, len(covered))
        parts = [b"\x0e\x01", bytes(covered)]
    if broker is not None:
        encoded = encode(broker)
        parts.insert(0, b"\x0e\x02" + len(encoded).to_bytes(4, "big") + encoded)
    encoded = encode(command)
    body = len(encoded).to_bytes(4, "big") + encoded + b"".join(parts)
    return len(body).to_bytes(4, "big") + body


def batch_payload(singles):
    """The payload of a batch."""
    parts = []
    for index in range(0, len(singles), 2):
        payload = singles[index + 1]
        metadata = message(3, len(payload)) if singles[index] is None else encode(singles[index])
        parts.append(len(metadata).to_bytes(4, "big") + metadata + payload)
    return b"".join(parts)


def compare(what, pairs, buffer, start, end, strict=True, fields=None):
    """Is buffer[start:end] the message `pairs`? Difference if not.

    fields: Fields that the client has scanned it into; strict: nothing else may be there.
    """
    if fields is None:
        fields = Fields(31)
        fields.scan(buffer, start, end)
    numbers = []
    for index in range(0, len(pairs), 2):
        if pairs[index] not in numbers:
            numbers.append(pairs[index])
    for number in numbers:
        values = [pairs[index + 1] for index in range(0, len(pairs), 2) if pairs[index] == number]
        place = "%s.%d" % (what, number)
        if isinstance(values[0], Double):
            same(place, values[-1].data, _double(buffer, start, end, number))
            continue
        if number < len(fields.value):
            _compare_last(place, values[-1], number, buffer, fields)
        if strict or len(values) > 1 or not isinstance(values[0], int) or _pieces(buffer, start, end, number) < 2:
            _compare_all(place, values, number, buffer, start, end, strict)
        # else: of a number that is there more than once the last one counts, which was compared
    if strict:
        for number in range(1, len(fields.value)):
            if fields.value[number] >= 0 and number not in numbers:
                raise Difference("%s: field %d is there and should not be" % (what, number))


def _compare_last(place, value, number, buffer, fields):
    """What the scanner has kept of a field."""
    if fields.value[number] < 0:
        raise Difference("%s: the field is absent" % place)
    if isinstance(value, str):
        same(place, value, fields.text(buffer, number))
    elif isinstance(value, bytes):
        same(place, value, fields.bytes(buffer, number))
    elif isinstance(value, list):
        fields.start(number)
    elif fields.at[number] < 0:  # not packed
        same(place, value & _MASK, fields.integer(buffer, number))
        same(place + " low half", value & 0xFFFFFFF, fields.value[number])


def _compare_all(place, values, number, buffer, start, end, strict):
    """Every value of a field, in order, packed or not."""
    found = 0
    for at, size in each(buffer, start, end, number):
        stop = at + size
        while True:
            if found == len(values):
                raise Difference("%s: more than %d values" % (place, found))
            value = values[found]
            if isinstance(value, int):
                same(place, value & _MASK, varint(buffer, at))
                while buffer[at] > 127:
                    at += 1
                at += 1
            else:
                if isinstance(value, list):
                    compare(place, value, buffer, at, stop, strict)
                else:
                    data = value.encode() if isinstance(value, str) else value
                    same(place, data, bytes(memoryview(buffer)[at:stop]))
                at = stop
            found += 1
            if at >= stop:
                break
    same(place + ", number of values", len(values), found)


def _pieces(buffer, start, end, number):
    """How many times a field is there."""
    return sum(1 for _ in each(buffer, start, end, number))


def _double(buffer, start, end, number):
    """The eight bytes of a field of fixed width, which the scanner passes over; b"" where there is none."""
    found = b""
    while start < end:
        tag = varint(buffer, start)
        while buffer[start] > 127:
            start += 1
        start += 1
        if tag & 7 == 1:
            if tag >> 3 == number:
                found = bytes(memoryview(buffer)[start:start + 8])
            start += 8
        else:
            size = varint(buffer, start) if tag & 7 == 2 else 0
            while buffer[start] > 127:
                start += 1
            start += 1 + size
    return found


def frame_parts(data):
    """A whole frame's offsets: end of the command, BrokerEntryMetadata (start, end; 0 where there is none), checksum
    (-1: none), MessageMetadata (start, end)."""
    same("size of the frame", len(data) - 4, uint32(data, 0))
    pos = command_end = 8 + uint32(data, 4)
    broker = broker_end = 0
    checksum = -1
    if data[pos:pos + 2] == b"\x0e\x02":
        broker = pos + 6
        pos = broker_end = broker + uint32(data, pos + 2)
    if data[pos:pos + 2] == b"\x0e\x01":
        checksum = pos + 2
        pos += 6
        if not check(data, checksum, len(data)):
            raise Difference("the frame's checksum does not match")
    return command_end, broker, broker_end, checksum, pos + 4, pos + 4 + uint32(data, pos)
