"""Vectors that need more memory than a small heap has beside what replays them."""
from tests.unit.test_vectors import replayed


def test_large_messages_are_encoded():
    replayed(["large.txt"], 7, "encode")


def test_large_messages_are_decoded():
    replayed(["large.txt"], 7, "payloads", "messages")
