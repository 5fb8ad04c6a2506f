"""Reads the files of tests/vectors line by line, one vector at a time (the format stands in README.md there)."""
from binascii import unhexlify


class Double:
    """A field of eight bytes: their bytes as they stand on the wire."""

    def __init__(self, data):
        self.data = data


class Vector:
    """One vector. Messages are lists: field, value, field, value …; value: int, str, bytes, Double or such a list.

    kind: "command" (a BaseCommand), "sub" (the message of command type `about`), "message" (any other, `about` is its
    name), "simple" and "payload" (whole frames); or the word that its line began with, `words` being the rest.
    """

    def __init__(self, name, kind, about, words):
        self.name = name
        self.kind = kind
        self.about = about
        self.words = words
        self.decode_only = False
        self.command = []  # for "message": the message
        self.broker = None  # BrokerEntryMetadata
        self.metadata = None  # MessageMetadata
        self.singles = []  # messages of a batch: SingleMessageMetadata (None: nothing but payload_size), payload
        self.plain = None  # what the payload is before it is compressed
        self.stored = None  # what it is in the frame, where it is compressed
        self.checksum = None
        self.data = bytearray()
        self.filled = 0  # bytes of `data` that have been read, and messages
        self.messages = 0
        self.nesting = [self.command]  # the messages that the lines being read belong to, the innermost last


def stored(name):
    """The path of a file of tests/vectors."""
    folder = __file__.replace("\\", "/").rsplit("/", 2)[0] if "/" in __file__ else ".."
    return folder + "/vectors/" + name


def from_hex(word):
    """The bytes that `word` stands for: hex, "-" for none, N*HEX for the same N times, several with commas."""
    if "," in word:
        return b"".join([from_hex(piece) for piece in word.split(",")])
    if "*" in word:
        count, _, word = word.partition("*")
        return unhexlify(word) * int(count)
    return b"" if word == "-" else unhexlify(word)


def unescape(text):
    """The text that a line's rest stands for."""
    if "\\" not in text:
        return text
    parts = text.split("\\\\")
    return "\\".join([part.replace("\\n", "\n").replace("\\r", "\r") for part in parts])


def read(path):
    """Iterate over the vectors of a file. ValueError for a line that is none of the format's."""
    counts = {}
    vector = None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\r\n")
            word, _, rest = line.partition(" ")
            if not word or word[0] == "#":
                continue
            if vector:
                if word == "end":
                    if vector.filled != len(vector.data) or 2 * vector.messages != len(vector.singles):
                        raise ValueError("vector %r has not the size it says" % vector.name)
                    yield vector
                    vector = None
                else:
                    _add(vector, word, rest)
            elif word == "vector":
                words = rest.split(" ")
                vector = Vector(words[0], words[1], words[2] if len(words) > 2 else None, words)
            elif word in ("crc32c", "varint", "zlib", "hash", "unneeded"):
                count = counts[word] = counts.get(word, 0) + 1
                name = rest if word == "unneeded" else "%s-%d" % (word, count)
                yield Vector(name, word, None, rest.split(" "))
            else:
                raise ValueError("line %r belongs to no vector" % line)
    if vector:
        raise ValueError("vector %r has no end" % vector.name)


def _add(vector, word, rest):
    """One line inside of a vector."""
    nesting = vector.nesting
    if word == ")":
        nesting.pop()
    elif word[0].isdigit():
        message = nesting[-1]
        message.append(int(word))
        kind, _, value = rest.partition(" ")
        if kind == "(":
            nesting.append([])
            message.append(nesting[-1])
        else:
            message.append(_value(kind, value))
    elif word == "decode-only":
        vector.decode_only = True
    elif word == "metadata" or word == "broker":
        section = []
        vector.nesting = [section]
        setattr(vector, word, section)
    elif word == "single":
        section = []
        vector.nesting = [section]
        _add_single(vector, section, from_hex(rest))
    elif word == "bare":
        _add_single(vector, None, from_hex(rest))
    elif word == "size":
        # First of all: later a fragmented heap may not have them in one piece.
        size, _, messages = rest.partition(" ")
        vector.data = bytearray(int(size))
        vector.singles = [None] * (2 * int(messages or 0))
    elif word == "+":
        piece = from_hex(rest)
        end = vector.filled + len(piece)
        if end > len(vector.data):
            raise ValueError("vector %r is larger than it says" % vector.name)
        vector.data[vector.filled:end] = piece
        vector.filled = end
    elif word in ("plain", "stored", "checksum"):
        setattr(vector, word, (getattr(vector, word) or b"") + from_hex(rest))
    else:
        raise ValueError("vector %r: unknown line %r" % (vector.name, word))


def _add_single(vector, metadata, payload):
    at = 2 * vector.messages
    if at == len(vector.singles):
        raise ValueError("vector %r has more messages than it says" % vector.name)
    vector.singles[at] = metadata
    vector.singles[at + 1] = payload
    vector.messages += 1


def _value(kind, text):
    if kind == "i":
        return int(text)
    if kind == "t":
        return unescape(text)
    if kind == "x":
        return from_hex(text)
    if kind == "d":
        return Double(from_hex(text))
    raise ValueError("unknown kind of value %r" % kind)


def value_of(pairs, field, absent=None):
    """The last value of a field."""
    for index in range(len(pairs) - 2, -1, -2):
        if pairs[index] == field:
            return pairs[index + 1]
    return absent


def fields_of(pairs):
    """The set of fields that are there."""
    return set(pairs[::2])
