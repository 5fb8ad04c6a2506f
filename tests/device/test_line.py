"""The board's line and what it carries, without a board."""
from __future__ import annotations

import socket

import pytest

from tools.device import ipv4, ppp
from tools.device.gateway import Gateway

GUEST, HOST = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1))


def frames_of(line: bytes, cut: int | None = None) -> list[tuple[int, bytes]]:
    """What a Decoder gives for a line, fed in two parts."""
    found: list[tuple[int, bytes]] = []
    decoder = ppp.Decoder(lambda protocol, body: found.append((protocol, body)))
    decoder.feed(line[:cut])
    if cut is not None:
        decoder.feed(line[cut:])
    return found


def test_sums_are_those_of_the_standards() -> None:
    # CRC-16/X-25's check value; the example of RFC 1071.
    assert ppp.frame_sum(b"123456789") == 0x906E
    assert ipv4.checksum(bytes.fromhex("0001f203f4f5f6f7")) == bytes.fromhex("220d")


def test_every_byte_passes_a_frame_cut_anywhere() -> None:
    body = bytes(range(256)) + bytes((0x7D, 0x7E)) * 3
    for protocol in (ppp.IPV4, 0xC021):
        line = ppp.encode(protocol, body)
        assert line.count(0x7E) == 2
        for cut in range(len(line)):
            assert frames_of(line, cut) == [(protocol, body)]


def test_a_damaged_frame_is_dropped_and_the_next_one_is_not() -> None:
    good = ppp.encode(ppp.IPV4, b"good")
    for at in range(1, len(good) - 1):
        damaged = bytearray(good)
        damaged[at] ^= 0x01
        assert frames_of(bytes(damaged) + ppp.encode(ppp.IPV4, b"next"))[-1:] == [(ppp.IPV4, b"next")]
        assert (ppp.IPV4, b"good") not in frames_of(bytes(damaged))


def test_the_link_comes_up_and_foreign_protocols_are_rejected() -> None:
    sent: list[tuple[int, bytes]] = []
    decoder = ppp.Decoder(lambda protocol, body: sent.append((protocol, body)))
    packets: list[bytes] = []
    peer = ppp.Peer(HOST, GUEST, decoder.feed, packets.append)

    def said(protocol: int, code: int, number: int, data: bytes) -> list[tuple[int, int, bytes]]:
        """What it answers to one control message: (protocol, code, data) each."""
        sent.clear()
        peer.feed(ppp.encode(protocol, bytes((code, number)) + (4 + len(data)).to_bytes(2, "big") + data))
        return [(protocol, body[0], body[4:]) for protocol, body in sent]

    authentication = b"\3\4\xc0\x23"
    assert said(0xC021, 1, 1, b"\1\4\5\xdc" + authentication) == [(0xC021, 4, authentication)]
    assert said(0xC021, 1, 2, b"\1\4\5\xdc")[0] == (0xC021, 2, b"\1\4\5\xdc")
    no_address = b"\3\6\0\0\0\0"
    assert said(0x8021, 1, 3, no_address) == [(0x8021, 3, b"\3\6" + GUEST)]
    assert said(0x8021, 1, 4, b"\3\6" + GUEST) == [(0x8021, 2, b"\3\6" + GUEST), (0x8021, 1, b"\3\6" + HOST)]
    assert said(0xC021, 9, 5, b"\0\0\0\0hello") == [(0xC021, 10, b"\0\0\0\0hello")]
    assert said(0x8057, 1, 6, b"")[0][:2] == (0xC021, 8)
    assert said(0xC021, 5, 7, b"") == [(0xC021, 6, b"")]
    peer.feed(ppp.encode(ppp.IPV4, b"packet"))
    assert packets == [b"packet"]


def test_segments_and_packets_are_read_as_they_were_written() -> None:
    segment = ipv4.Segment(1000, 6650, 0xFFFFFFFF, 7, ipv4.ACK | ipv4.PSH, 6400, b"odd", 800)
    content = ipv4.make_segment(segment, GUEST, HOST)
    packet = ipv4.make_packet(ipv4.TCP, GUEST, HOST, content, 9)
    assert ipv4.parse_packet(packet + b"padding") == (ipv4.TCP, HOST, content)
    assert ipv4.parse_segment(content, GUEST, HOST) == segment
    for at in range(len(packet)):
        damaged = bytearray(packet)
        damaged[at] ^= 0x10
        parsed = ipv4.parse_packet(bytes(damaged))
        assert parsed is None or ipv4.parse_segment(parsed[2], GUEST, parsed[1]) is None
    for size in range(len(packet)):
        assert ipv4.parse_packet(packet[:size]) is None


class Guest:
    """A TCP of a few lines on the other end of a gateway's line."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        line.settimeout(10)
        self._frames: list[bytes] = []
        self._decoder = ppp.Decoder(lambda protocol, body: self._frames.append(body))

    def send(self, segment: ipv4.Segment) -> None:
        content = ipv4.make_segment(segment, GUEST, HOST)
        self._line.sendall(ppp.encode(ppp.IPV4, ipv4.make_packet(ipv4.TCP, GUEST, HOST, content, 1)))

    def receive(self) -> ipv4.Segment:
        while not self._frames:
            self._decoder.feed(self._line.recv(65536))
        parsed = ipv4.parse_packet(self._frames.pop(0))
        assert parsed
        segment = ipv4.parse_segment(parsed[2], HOST, parsed[1])
        assert segment
        return segment


@pytest.fixture
def lines() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def test_a_connection_is_carried_on_and_what_was_lost_is_sent_again(
    lines: tuple[socket.socket, socket.socket],
) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)
    with server, lines[0], lines[1], Gateway(lines[0], {80: server.getsockname()[1]}):
        guest = Guest(lines[1])
        guest.send(ipv4.Segment(5, 80, 100, 0, ipv4.SYN, 1000, b"", 800))
        opened = guest.receive()
        assert opened.flags == ipv4.SYN | ipv4.ACK and opened.acknowledged == 101
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(10)
            after = opened.sequence + 1 & 0xFFFFFFFF
            guest.send(ipv4.Segment(5, 80, 101, after, ipv4.ACK, 1000, b"hello"))
            assert guest.receive().acknowledged == 106
            # The same again, and one ahead of its turn: neither reaches the socket twice.
            guest.send(ipv4.Segment(5, 80, 101, after, ipv4.ACK, 1000, b"hello"))
            guest.send(ipv4.Segment(5, 80, 109, after, ipv4.ACK, 1000, b"later"))
            assert [guest.receive().acknowledged for _ in range(2)] == [106, 106]
            guest.send(ipv4.Segment(5, 80, 106, after, ipv4.ACK, 1000, b" you"))
            assert guest.receive().acknowledged == 110
            accepted.sendall(b"x" * 1500)
            first = [guest.receive(), guest.receive()]
            # No more than the board's window and its largest segment; nothing was acknowledged, so it comes again.
            assert [len(segment.data) for segment in first] == [800, 200]
            assert [guest.receive().sequence for _ in range(2)] == [segment.sequence for segment in first]
            guest.send(ipv4.Segment(5, 80, 110, after + 1000 & 0xFFFFFFFF, ipv4.ACK, 1000, b""))
            assert len(guest.receive().data) == 500
            guest.send(ipv4.Segment(5, 80, 110, after + 1500 & 0xFFFFFFFF, ipv4.FIN | ipv4.ACK, 1000, b""))
            assert accepted.recv(100) == b"hello you"
            assert accepted.recv(100) == b""
        last = [guest.receive(), guest.receive()]
        assert last[0].acknowledged == 111 and last[-1].flags & ipv4.FIN


def test_ports_that_were_not_given_are_refused(lines: tuple[socket.socket, socket.socket]) -> None:
    with lines[0], lines[1], Gateway(lines[0], {}):
        guest = Guest(lines[1])
        guest.send(ipv4.Segment(5, 81, 100, 0, ipv4.SYN, 1000, b""))
        answer = guest.receive()
        assert answer.flags == ipv4.RST | ipv4.ACK and answer.acknowledged == 101
