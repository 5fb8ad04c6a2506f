"""The board's way out: the far end of its PPP line, in a thread of its own, without root and without a network device.

The board is 10.0.0.2; at 10.0.0.1 it finds ports of this machine's loopback interface, those it was given and no
others, and a name server that knows the names it was given.
"""
from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Collection, Mapping

from tools.device import ipv4
from tools.device.ipv4 import ACK, RST, SYN, Segment
from tools.device.ppp import Peer
from tools.device.relay import Relay

HOST = "10.0.0.1"
_HOST = bytes((10, 0, 0, 1))
_BOARD = bytes((10, 0, 0, 2))
_DNS_PORT = 53
_READ = 65536
_JOIN_SECONDS = 10


class Gateway:
    """`with Gateway(line, {6650: port}):` serves a board on the stream socket `line` until the end of the block."""

    def __init__(self, line: socket.socket, ports: Mapping[int, int], names: Collection[str] = ()) -> None:
        """line: bytes of the board's UART. ports: of 10.0.0.1 to this machine's. names: that lead to 10.0.0.1."""
        self.asked: list[str] = []
        """The names that the board has asked the name server for."""
        self._line = line
        self._ports = dict(ports)
        self._names = frozenset(names)
        self._relays: dict[tuple[int, int], Relay] = {}
        self._number = 0
        self._peer: Peer | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="gateway", daemon=True)

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the board has closed it
        self._thread.join(_JOIN_SECONDS)

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._line)
        self._peer = Peer(_HOST, _BOARD, writer.write, self._on_packet)
        try:
            while data := await reader.read(_READ):
                self._peer.feed(data)
        except ConnectionError:
            pass  # the board is gone
        finally:
            for relay in list(self._relays.values()):
                await relay.stop()
            writer.close()

    def _on_packet(self, packet: bytes) -> None:
        parsed = ipv4.parse_packet(packet)
        if not parsed or parsed[1] != _HOST:
            return
        protocol, _, content = parsed
        if protocol == ipv4.TCP:
            segment = ipv4.parse_segment(content, _BOARD, _HOST)
            if segment:
                self._on_segment(segment)
        elif protocol == ipv4.UDP:
            datagram = ipv4.parse_datagram(content)
            if datagram and datagram[1] == _DNS_PORT:
                answer = self._answer_name(datagram[2])
                if answer:
                    self._send(ipv4.UDP, ipv4.make_datagram(_DNS_PORT, datagram[0], answer))

    def _on_segment(self, segment: Segment) -> None:
        key = (segment.source, segment.target)
        relay = self._relays.get(key)
        opening = segment.flags & SYN and not segment.flags & ACK
        if relay and not (opening and segment.sequence != relay.opening.sequence):
            relay.on_segment(segment)
        elif opening and segment.target in self._ports:
            # A new one with an old one's ports takes its place.
            self._relays[key] = Relay(segment, self._ports[segment.target], self._send_segment, self._forget)
        elif not segment.flags & RST:
            sequence = segment.acknowledged if segment.flags & ACK else 0
            after = segment.sequence + len(segment.data) + bool(segment.flags & SYN)
            self._send_segment(Segment(segment.target, segment.source, sequence, after, RST | ACK, 0, b""))

    def _forget(self, relay: Relay) -> None:
        key = (relay.opening.source, relay.opening.target)
        if self._relays.get(key) is relay:
            del self._relays[key]

    def _send_segment(self, segment: Segment) -> None:
        self._send(ipv4.TCP, ipv4.make_segment(segment, _HOST, _BOARD))

    def _send(self, protocol: int, content: bytes) -> None:
        self._number += 1
        if self._peer:
            self._peer.send_packet(ipv4.make_packet(protocol, _HOST, _BOARD, content, self._number))

    def _answer_name(self, query: bytes) -> bytes | None:
        """The name server's answer: our address for a name it knows, else that there is none."""
        labels, at = [], 12
        while at < len(query) and query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        question = query[12 : at + 5]
        if len(query) < at + 5:
            return None
        name = ".".join(labels).lower()
        self.asked.append(name)
        known, wants_ipv4 = name in self._names, question[-4:-2] == b"\0\1"
        records = known and wants_ipv4
        flags = b"\x81\x80" if known else b"\x81\x83"
        head = query[:2] + flags + b"\0\1" + (b"\0\1" if records else b"\0\0") + bytes(4)
        # The name by reference, type A, class IN, not to be kept, four bytes of address.
        record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + _HOST if records else b""
        return head + question + record
