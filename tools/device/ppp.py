"""The far end of a PPP link (RFC 1661, 1662, 1332): frames on a byte stream, link and address negotiation. No sockets.

It asks for nothing but its own address, grants the peer what it knows, and keeps no state of a link that is down: a
peer that was reset begins anew.
"""
from __future__ import annotations

from collections.abc import Callable

IPV4 = 0x0021
_IPCP = 0x8021
_LCP = 0xC021

_REQUEST, _ACK, _NAK, _REJECT, _TERMINATE, _TERMINATE_ACK = 1, 2, 3, 4, 5, 6
_PROTOCOL_REJECT, _ECHO_REQUEST, _ECHO_REPLY = 8, 9, 10
_ADDRESS, _DNS, _DNS_SECOND = 3, 129, 131
# Options of LCP that cost us nothing to grant: MRU, control characters, magic number, both compressions of the head.
_GRANTED = (1, 2, 5, 7, 8)
_ALL_CHARACTERS_PLAIN = b"\2\6\0\0\0\0"

_FLAG, _ESCAPE, _FLIP = 0x7E, 0x7D, 0x20
_ADDRESS_CONTROL = b"\xff\x03"
_LONGEST_FRAME = 4096


def _sums() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
        table.append(value)
    return table


_SUMS = _sums()


def frame_sum(data: bytes) -> int:
    """The 16-bit frame check sequence."""
    check = 0xFFFF
    for byte in data:
        check = check >> 8 ^ _SUMS[(check ^ byte) & 0xFF]
    return check ^ 0xFFFF


def encode(protocol: int, body: bytes) -> bytes:
    """A frame as it stands on the line."""
    content = _ADDRESS_CONTROL + protocol.to_bytes(2, "big") + body
    content += frame_sum(content).to_bytes(2, "little")
    # Until control characters are agreed to be plain, that is in LCP, they are escaped.
    lowest = _FLIP if protocol == _LCP else 0
    line = bytearray((_FLAG,))
    for byte in content:
        if byte < lowest or byte in (_FLAG, _ESCAPE):
            line += bytes((_ESCAPE, byte ^ _FLIP))
        else:
            line.append(byte)
    line.append(_FLAG)
    return bytes(line)


class Decoder:
    """Cuts the frames out of what comes over the line."""

    def __init__(self, on_frame: Callable[[int, bytes], None]) -> None:
        """on_frame(protocol, body) is called for each frame whose check sequence is right; others are dropped."""
        self._on_frame = on_frame
        self._content = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> None:
        """Bytes as they came, cut anywhere."""
        for byte in data:
            if byte == _FLAG:
                content, self._content = bytes(self._content), bytearray()
                self._escaped = False
                self._frame(content)
            elif byte == _ESCAPE:
                self._escaped = True
            elif len(self._content) < _LONGEST_FRAME:
                self._content.append(byte ^ _FLIP if self._escaped else byte)
                self._escaped = False

    def _frame(self, content: bytes) -> None:
        if len(content) < 4 or frame_sum(content[:-2]) != int.from_bytes(content[-2:], "little"):
            return
        content = content[:-2].removeprefix(_ADDRESS_CONTROL)
        # An odd first byte is the whole number of a protocol whose high byte, 0, was left out.
        size = 1 if content[:1] and content[0] & 1 else 2
        self._on_frame(int.from_bytes(content[:size], "big"), content[size:])


class Peer:
    """One end of a link: brings it up when the other end asks, then carries IPv4 packets."""

    def __init__(self, own: bytes, other: bytes, send: Callable[[bytes], None], on_packet: Callable[[bytes], None]):
        """own, other: the IPv4 addresses of the two ends; ours is the name server too. send(bytes): onto the line."""
        self._addresses = {_ADDRESS: other, _DNS: own, _DNS_SECOND: own}
        self._own = own
        self._send = send
        self._on_packet = on_packet
        self._requested: set[int] = set()
        self._number = 0
        self.feed = Decoder(self._on_frame).feed

    def send_packet(self, packet: bytes) -> None:
        """Send an IPv4 packet."""
        self._send(encode(IPV4, packet))

    def _on_frame(self, protocol: int, body: bytes) -> None:
        if protocol == IPV4:
            self._on_packet(body)
        elif protocol in (_LCP, _IPCP):
            if len(body) >= 4 and int.from_bytes(body[2:4], "big") <= len(body):
                self._on_control(protocol, body[0], body[1], body[4 : int.from_bytes(body[2:4], "big")])
        else:
            self._control(_LCP, _PROTOCOL_REJECT, self._next_number(), protocol.to_bytes(2, "big") + body)

    def _on_control(self, protocol: int, code: int, number: int, data: bytes) -> None:
        if code == _REQUEST:
            self._answer_request(protocol, number, data)
        elif code == _TERMINATE:
            self._requested.clear()
            self._control(protocol, _TERMINATE_ACK, number, b"")
        elif code == _ECHO_REQUEST and protocol == _LCP:
            self._control(_LCP, _ECHO_REPLY, number, bytes(4) + data[4:])

    def _answer_request(self, protocol: int, number: int, data: bytes) -> None:
        options = _options(data)
        known = _GRANTED if protocol == _LCP else tuple(self._addresses)
        refused = [option for option in options if option[0] not in known]
        wrong = [option for option in options if protocol == _IPCP and option[0] in self._addresses
                 and option[2:] != self._addresses[option[0]]]
        if refused:
            self._control(protocol, _REJECT, number, b"".join(refused))
        elif wrong:
            right = b"".join(bytes((option[0], 6)) + self._addresses[option[0]] for option in wrong)
            self._control(protocol, _NAK, number, right)
        else:
            self._control(protocol, _ACK, number, data)
            if protocol == _LCP or _IPCP not in self._requested:
                # LCP each time: the peer begins anew, and has forgotten ours.
                if protocol == _LCP:
                    self._requested.clear()
                self._requested.add(protocol)
                own = _ALL_CHARACTERS_PLAIN if protocol == _LCP else bytes((_ADDRESS, 6)) + self._own
                self._control(protocol, _REQUEST, self._next_number(), own)

    def _next_number(self) -> int:
        self._number = self._number + 1 & 0xFF
        return self._number

    def _control(self, protocol: int, code: int, number: int, data: bytes) -> None:
        self._send(encode(protocol, bytes((code, number)) + (4 + len(data)).to_bytes(2, "big") + data))


def _options(data: bytes) -> list[bytes]:
    """The options of a request, each with its type and length."""
    options, at = [], 0
    while at + 2 <= len(data) and data[at + 1] >= 2:
        options.append(data[at : at + data[at + 1]])
        at += data[at + 1]
    return options
