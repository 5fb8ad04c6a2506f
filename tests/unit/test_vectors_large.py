"""Vectors with sizes of three bytes, which need more memory than a small heap has."""
from tests.unit.test_vectors import replayed


def test_large_messages_are_encoded():
    assert replayed(["large.txt"], "encode") == 5


def test_large_messages_are_decoded():
    assert replayed(["large.txt"], "commands", "messages") == 5
