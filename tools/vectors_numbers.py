"""The project's own vectors, part 4: checksums, numbers, zlib streams and the hashes that spread keys."""
from __future__ import annotations

from typing import Any

from tools import vectors_oracle

_DIVISORS = (2, 3, 7, 64)
# Published values of MurmurHash3 (x86, 32 bits, seed 0), the last two printed by Java's client; without the sign bit.
_MURMUR = {
    "": 0x00000000,
    "test": 0xBA6BD213,
    "Hello, world!": 0xC0363E43,
    "The quick brown fox jumps over the lazy dog": 0x2E4FF723,
    "hello": 613153351,
    "é": 269551495,
}


def crc32c() -> list[dict[str, str]]:
    """Every length up to 17 bytes, then some, so that each loop of a kernel ends everywhere."""
    samples = [bytes(number * 37 % 256 for number in range(size)) for size in [*range(18), 63, 64, 65, 256, 300]]
    samples += [b"\x00" * 40, b"\xff" * 40, b"\x80"]
    return [{"hex": data.hex(), "crc32c": vectors_oracle.crc32c(data).hex()} for data in samples]


def varints() -> list[dict[str, Any]]:
    """Both sides of every length of a number, of the 28-bit halves and of the signs."""
    values = {0, 1, 2**64 - 1, 2**63, -1, -128, -(2**28), -(2**31), -(2**63), 1767225600123}
    for bits in (*range(7, 64, 7), 28, 30, 31, 32, 56):
        values |= {2**bits - 1, 2**bits, 2**bits + 1}
    # All of a message of one field but its tag.
    return [{"value": value, "hex": vectors_oracle.encode("CommandSuccess", {"request_id": value % 2**64})[1:].hex()}
            for value in sorted(values)]


def zlib() -> list[dict[str, str]]:
    """Streams, complete and ended by a sync flush."""
    samples = (b"a", b"21.5 21.5 21.5 21.5", bytes(range(256)))
    return [{"raw": data.hex(), "full": vectors_oracle.compress(data).hex(),
             "unfinished": vectors_oracle.compress(data, finished=False).hex()} for data in samples]


def hashes() -> list[dict[str, Any]]:
    """Keys with their hashes."""
    found = []
    for key, value in _MURMUR.items():
        murmur = value & 0x7FFFFFFF
        java = _java(key)
        found.append({
            "key": key, "utf8": key.encode().hex(), "murmur3_32": murmur, "java_string_hash": java,
            "key_shared_slot": murmur % 65536 or 1,
            "murmur_mod": {str(count): murmur % count for count in _DIVISORS},
            "java_mod": {str(count): java % count for count in _DIVISORS}})
    return found


def _java(key: str) -> int:
    """String.hashCode() as Java's documentation defines it, a sum over UTF-16 units; without the sign bit."""
    encoded = key.encode("utf-16-be")
    units = [int.from_bytes(encoded[at:at + 2], "big") for at in range(0, len(encoded), 2)]
    return sum(unit * 31 ** (len(units) - 1 - place) for place, unit in enumerate(units)) % 2**31
