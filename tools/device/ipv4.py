"""IPv4 packets with TCP segments and UDP datagrams in them: read and written."""
from __future__ import annotations

from dataclasses import dataclass

TCP = 6
UDP = 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_DO_NOT_FRAGMENT = b"\x40\0"
_HOPS = 64
_SEGMENT_SIZE_OPTION = 2


@dataclass(frozen=True)
class Segment:
    """A TCP segment; ports and addresses are told apart by who sent it."""

    source: int
    target: int
    sequence: int
    acknowledged: int
    flags: int
    window: int
    data: bytes
    largest: int | None = None
    """The largest segment that the sender takes, where a SYN says so."""


def checksum(data: bytes) -> bytes:
    """The Internet checksum, as two bytes."""
    if len(data) & 1:
        data += b"\0"
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


def parse_packet(packet: bytes) -> tuple[int, bytes, bytes] | None:
    """(protocol, target address, content) of a whole IPv4 packet; None where it is none, or a fragment."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    head, size = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    if not 20 <= head <= size <= len(packet) or fragment or checksum(packet[:head]) != b"\0\0":
        return None
    return packet[9], packet[16:20], packet[head:size]


def make_packet(protocol: int, source: bytes, target: bytes, content: bytes, number: int) -> bytes:
    """An IPv4 packet; number: its identification."""
    head = b"\x45\0" + (20 + len(content)).to_bytes(2, "big") + (number & 0xFFFF).to_bytes(2, "big")
    head += _DO_NOT_FRAGMENT + bytes((_HOPS, protocol))
    return head + checksum(head + source + target) + source + target + content


def _pseudo_head(protocol: int, source: bytes, target: bytes, size: int) -> bytes:
    return source + target + bytes((0, protocol)) + size.to_bytes(2, "big")


def parse_segment(content: bytes, source: bytes, target: bytes) -> Segment | None:
    """The TCP segment in a packet; None where it is none or its checksum is wrong."""
    if len(content) < 20 or checksum(_pseudo_head(TCP, source, target, len(content)) + content) != b"\0\0":
        return None
    head = (content[12] >> 4) * 4
    if not 20 <= head <= len(content):
        return None
    return Segment(
        int.from_bytes(content[0:2], "big"), int.from_bytes(content[2:4], "big"),
        int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big"),
        content[13], int.from_bytes(content[14:16], "big"), content[head:], _largest(content[20:head]),
    )


def _largest(options: bytes) -> int | None:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
        elif at + 1 >= len(options) or options[at + 1] < 2:
            return None
        elif options[at] == _SEGMENT_SIZE_OPTION:
            return int.from_bytes(options[at + 2 : at + 4], "big")
        else:
            at += options[at + 1]
    return None


def make_segment(segment: Segment, source: bytes, target: bytes) -> bytes:
    """The bytes of a TCP segment."""
    options = b"" if segment.largest is None else bytes((_SEGMENT_SIZE_OPTION, 4)) + segment.largest.to_bytes(2, "big")
    ports = segment.source.to_bytes(2, "big") + segment.target.to_bytes(2, "big")
    numbers = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in (segment.sequence, segment.acknowledged))
    start = ports + numbers + bytes(((20 + len(options)) << 2, segment.flags)) + segment.window.to_bytes(2, "big")
    end = b"\0\0" + options + segment.data
    size = len(start) + 2 + len(end)
    return start + checksum(_pseudo_head(TCP, source, target, size) + start + b"\0\0" + end) + end


def parse_datagram(content: bytes) -> tuple[int, int, bytes] | None:
    """(source port, target port, data) of a UDP datagram; None where it is none."""
    if len(content) < 8 or not 8 <= int.from_bytes(content[4:6], "big") <= len(content):
        return None
    size = int.from_bytes(content[4:6], "big")
    return int.from_bytes(content[0:2], "big"), int.from_bytes(content[2:4], "big"), content[8:size]


def make_datagram(source_port: int, target_port: int, data: bytes) -> bytes:
    """The bytes of a UDP datagram, without a checksum, which IPv4 allows."""
    ports = source_port.to_bytes(2, "big") + target_port.to_bytes(2, "big")
    return ports + (8 + len(data)).to_bytes(2, "big") + b"\0\0" + data
