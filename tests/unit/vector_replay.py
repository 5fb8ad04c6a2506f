"""Replays vector files on whatever interpreter runs it, as a test and as a program:

    MICROPYPATH=.:.frozen micropython tests/unit/vector_replay.py FILE …
    python -m tests.unit.vector_replay FILE …

prints every vector that fails and ends with `N passed, N failed (client path N, generic path N)`, the last two being
of those that passed. Client path: in the direction in which a client meets it, the vector went through the functions
that the client itself calls. (What only one of the two directions is of use for is tried in the other as well.)
"""
import sys

from tests.unit.vector_file import read

# Encoding, and sums; decoding all but frames with a payload; decoding those; receiving those.
PARTS = ("encode", "commands", "payloads", "messages")
_SUMS = ("crc32c", "varint", "zlib", "hash")


class Replay:
    """Counts of what was replayed, and what was wrong."""

    def __init__(self, parts=PARTS):
        """parts: what is to be done (a small heap holds the modules of one part at a time)."""
        self.passed = 0
        self.client = 0
        self.generic = 0
        self.failures = []  # (name, text)
        self.unneeded = []  # names of what no producer, consumer or reader has a use for
        # Loaded before there is a vector, so that a small heap has its room in few pieces.
        self._replay_sum = self._encode = self._decode = self._decode_payload = self._receive_payload = None
        if "encode" in parts:
            from tests.unit.vector_encode import encode_vector
            from tests.unit.vector_sums import replay_sum

            self._encode = encode_vector
            self._replay_sum = replay_sum
        if "commands" in parts:
            from tests.unit.vector_decode import decode_vector

            self._decode = decode_vector
        if "payloads" in parts:
            from tests.unit.vector_payload import decode_payload

            self._decode_payload = decode_payload
        if "messages" in parts:
            from tests.unit.vector_consumer import receive_payload

            self._receive_payload = receive_payload

    def file(self, path):
        """Replay all vectors of a file."""
        for vector in read(path):
            if vector.kind == "unneeded":
                self.unneeded.append(vector.name)
            else:
                self.vector(vector)

    def vector(self, vector):
        """Replay one, unless it belongs to none of the parts."""
        try:
            by_client = self._one(vector)
        except Exception as error:  # noqa: BLE001
            # Whatever a wrong vector, or a wrong client, brings about is the vector's failure.
            self.failures.append((vector.name, str(error) if type(error).__name__ == "Difference" else repr(error)))
            return
        if by_client is not None:
            self.passed += 1
            if by_client:
                self.client += 1
            else:
                self.generic += 1

    def _one(self, vector):
        """True: client path; False: generic path; None: it belongs to none of the parts."""
        if vector.kind in _SUMS:
            return self._replay_sum and self._replay_sum(vector)
        by_client = None
        if self._encode and not vector.decode_only:
            by_client = self._encode(vector)
        if vector.kind == "payload":
            steps = (self._decode_payload, self._receive_payload)
        else:
            steps = (self._decode,)
        for step in steps:
            if step:
                by_client = step(vector) or by_client or False
        return by_client

    def summary(self):
        """The counts in one line."""
        return "%d passed, %d failed (client path %d, generic path %d)" % (
            self.passed, len(self.failures), self.client, self.generic
        )


def main(paths):
    """Replay files and print what came of it; returns the exit code."""
    replay = Replay()
    for path in paths:
        replay.file(path)
    for name, text in replay.failures:
        print("FAILED %s: %s" % (name, text))
    for name in replay.unneeded:
        print("UNNEEDED %s" % name)
    print(replay.summary())
    return 1 if replay.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
