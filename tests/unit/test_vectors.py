"""The project's stored vectors, part by part: a heap of 64 KB holds the modules of one part at a time."""
from tests.unit.vector_file import stored
from tests.unit.vector_replay import Replay

# `make vectors` may add to them; that none is lost unseen is what these are for.
_COMMANDS = ("sent.txt", "received.txt", "ids.txt")


def replayed(names, least, *parts):
    """Replay some files' vectors. Raises unless there are at least so many, and all passed.

    Not by `assert`, which a board's bytecode may be compiled without.
    """
    replay = Replay(parts)
    for name in names:
        replay.file(stored(name))
    if replay.failures or replay.unneeded or replay.passed < least:
        raise AssertionError("%s, at least %d expected; %s" % (replay.summary(), least, replay.failures[:3]))


def test_commands_are_encoded():
    replayed(_COMMANDS, 120, "encode")


def test_commands_are_decoded():
    replayed(_COMMANDS, 120, "commands")


def test_frames_are_encoded():
    replayed(["frames.txt"], 35, "encode")


def test_frames_of_commands_are_decoded():
    replayed(["frames.txt"], 4, "commands")


def test_frames_of_messages_are_decoded():
    replayed(["frames.txt"], 35, "payloads")


def test_frames_of_messages_are_received():
    replayed(["frames.txt"], 35, "messages")


def test_numbers():
    replayed(["numbers.txt"], 60, "encode")
