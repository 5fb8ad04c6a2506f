"""A whole session: the core says the very bytes that are stored, however the broker's arrive."""
# First of all what stands lowest: MicroPython compiles each module on top of those that import it, and the stack of a
# 32-bit build does not hold this file's whole tower of imports.
import mpy_pulsar.wire.commands  # noqa: F401

from tests.unit.support import raises
from tests.unit.transcript_session import Session, Tape
from tests.unit.vector_file import stored
from tests.unit.vector_same import Difference

_PATH = "transcript.txt"


class _Spoiled(Tape):
    """A tape with one bit of one of the client's frames changed."""

    def __init__(self, path, name):
        super().__init__(path)
        self.name = name

    def say(self, name, frames):
        """What the client says."""
        if name == self.name:
            frames = [frame[:-1] + bytes([frame[-1] ^ 1]) for frame in frames]
        super().say(name, frames)


def _play(piece):
    Session(Tape(stored(_PATH)), piece).run()


def test_bytes_are_those_stored_when_frames_arrive_whole():
    _play(0)


def test_bytes_are_those_stored_when_every_byte_arrives_alone():
    _play(1)


def test_bytes_are_those_stored_when_pieces_cross_frames():
    for piece in (2, 3, 5, 7, 11, 13, 17, 29, 61, 128):
        _play(piece)


def test_a_single_bit_makes_a_difference():
    for name in ("connect", "send-200", "ack-batch", "send-again", "close-producer"):
        error = raises(Difference, Session(_Spoiled(stored(_PATH), name)).run)
        assert name in str(error)


def test_a_session_that_ends_early_is_noticed():
    session = Session(Tape(stored(_PATH)))
    session.close = lambda: None
    error = raises(Difference, session.run)
    assert "left on the tape" in str(error)
