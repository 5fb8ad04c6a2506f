"""What unit tests share; runs on both interpreters and needs neither pytest nor a standard library beyond sys."""


def is_like(error, other):
    """Is it another instance of the same error, perhaps with more text behind? One raised twice gathers tracebacks."""
    return (
        error is not other and error.__class__ is other.__class__ and error.code == other.code
        and str(error).startswith(str(other))
    )


def raises(error_class, function, *args, **kwargs):
    """Call function(*args, **kwargs), which must raise `error_class` (a class or a tuple of them); return the error.

    Raises AssertionError when it returns instead; an error of any other class passes through.
    """
    try:
        outcome = function(*args, **kwargs)
    except error_class as error:
        return error
    raise AssertionError("%r was expected and %r came back" % (error_class, outcome))


def in_a_loop(test):
    """A test that makes producers or consumers: CPython 3.9 makes an asyncio.Event inside of a loop only."""
    import asyncio

    def run():
        async def inside():
            test()

        asyncio.run(inside())

    return run
