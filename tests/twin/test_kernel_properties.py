"""The kernels that CPython uses and the plain ones, against google-crc32c and at sizes no board can hold."""
from __future__ import annotations

import google_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from mpy_pulsar.wire import kernels, kernels_plain


@settings(derandomize=True, deadline=None, database=None, max_examples=150)
@given(data=st.binary(max_size=5000), at=st.integers(0, 20))
def test_plain_kernels_against_the_wheels(data: bytes, at: int) -> None:
    for module in (kernels, kernels_plain):
        buffer = bytearray(at + 4) + data
        module.put_checksum(buffer, at, len(buffer))
        assert buffer[at:] == google_crc32c.value(data).to_bytes(4, "big") + data
        assert module.check(buffer, at, len(buffer))


def test_an_entry_whose_size_takes_four_bytes() -> None:
    """Too large for the heap of the unit tests under MicroPython."""
    payload = bytes(range(256)) * 8192
    for module in (kernels, kernels_plain):
        buffer = bytearray(len(payload) + 9)
        assert module.put_entry(buffer, 0, payload, len(payload)) == len(buffer)
        assert buffer == b"\0\0\0\x05\x18\x80\x80\x80\x01" + payload
