"""What a message may be made of; asked where that is neither bytes nor a bytearray."""


def check(content):
    """TypeError unless `content` is bytes-like and each of its items is one byte.

    A board does not say how wide they are: its first item does, made into bytes.
    """
    if content.__class__ is str:
        raise TypeError("a message is bytes: encode the str first")
    try:
        view = memoryview(content)
    except TypeError:
        view = None
    kind = content.__class__
    if view is None:
        raise TypeError("a message is bytes, or a bytearray, memoryview or array of bytes, and no %r" % kind)
    if getattr(view, "nbytes", len(content)) != len(content) or len(bytes(view[:1])) > 1:
        raise TypeError("a message is made of bytes, not of wider items as this %r: make bytes of it" % kind)
    if not getattr(view, "contiguous", True):
        raise TypeError("this %r leaves out some of its bytes: make bytes of it" % kind)
