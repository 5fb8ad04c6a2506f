"""What becomes of a handle when the broker says no; loaded when it does."""

# By ServerError number, 0 to 25: "f" final, "r" try again with a back-off of up to 30 s, "s" the same up to 10 minutes.
# Creating: create_producer or subscribe has not returned yet. Established: it has, and somebody relies on it, so only
# a terminated topic and a fenced producer end it.
_CREATING = "rrrffrrrrrfffrrfrfffffffff"
_ESTABLISHED = "rsrssrrssrsssrrfrssssssssf"


def verdict(code, established):
    """"f", "r" or "s" for a ServerError; codes that no table knows are tried again."""
    table = _ESTABLISHED if established else _CREATING
    return table[code] if 0 <= code < len(table) else "r"
