"""The end of an interruption, told; loaded for the first one."""
from ..errors import Restored


def restored(handle, milliseconds, tries):
    """A handle is open again."""
    handle.report(Restored("%s: open again at %s after %d ms, at try %d" % (
        handle.topic, handle.connection.owner.describe(), milliseconds, tries
    )))
