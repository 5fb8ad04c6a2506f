"""The project's stored vectors, part by part: a heap of 64 KB holds the modules of one part (twin/test_vectors_tool)."""
import gc

from tests.unit.vector_file import stored
from tests.unit.vector_replay import Replay

# `make vectors` may add to them; that none is lost unseen is what these are for.
_COMMANDS = ("sent.txt", "received.txt", "ids.txt")


def replayed(names, *parts):
    """Replay some files' vectors; how many there were. Fails unless all passed."""
    replay = Replay(parts)
    for name in names:
        replay.file(stored(name))
    gc.collect()
    assert not replay.failures, replay.failures[:3]
    assert not replay.unneeded, replay.unneeded
    assert replay.client, "nothing went through the client's own functions"
    return replay.passed


def test_commands_are_encoded():
    assert replayed(_COMMANDS, "encode") > 100


def test_commands_are_decoded():
    assert replayed(_COMMANDS, "commands") > 100


def test_frames_are_encoded():
    assert replayed(["frames.txt"], "encode") > 30


def test_frames_of_commands_are_decoded():
    assert replayed(["frames.txt"], "commands") == 4


def test_frames_of_messages_are_decoded():
    assert replayed(["frames.txt"], "messages") > 30


def test_numbers():
    assert replayed(["numbers.txt"], "encode") > 60
