"""Frames with a payload in a replay, decoded by the scanner alone."""
from tests.unit.vector_file import value_of
from tests.unit.vector_generic import batch_payload, compare, frame_parts
from tests.unit.vector_same import same
from tests.unit.vector_sums import inflate

_NONE = 0
_ZLIB = 2


def decode_payload(vector):
    """Decode the frame and compare."""
    data = vector.data
    strict = not vector.decode_only
    command_end, broker, broker_end, checksum, metadata, metadata_end = frame_parts(data)
    compare("decode, command", vector.command, data, 8, command_end, strict)
    if vector.broker is not None or broker:
        compare("decode, broker entry metadata", vector.broker or [], data, broker, broker_end, strict)
    same("checksum", vector.checksum, bytes(data[checksum:checksum + 4]) if checksum >= 0 else None)
    compare("decode, metadata", vector.metadata, data, metadata, metadata_end, strict)
    payload = bytes(memoryview(data)[metadata_end:])
    if vector.stored is not None:
        same("stored payload", vector.stored, payload)
    compression = value_of(vector.metadata, 8, 0)
    if compression not in (_NONE, _ZLIB):
        return  # what no interpreter can inflate, and the client does not read
    if compression:
        payload = inflate(payload, value_of(vector.metadata, 9))
    if vector.plain is not None:
        same("payload", vector.plain, payload)
    if vector.singles:
        same("batch", batch_payload(vector.singles), payload)
