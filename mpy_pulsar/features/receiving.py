"""Receiving with a time limit, and several messages at once."""
from ..core.handle import NEVER
from ..errors import Timeout
from ..port import const, ticks_add, ticks_diff, ticks_ms
from .extra import Extra, extra_of

_LONGEST = const(400000000)  # ms, about what ticks can tell apart


class Alarms(Extra):
    """Until when somebody waits for a message; the supervisor's sweep wakes them."""

    def __init__(self, core):
        super().__init__(core)
        self.deadlines = []

    def sweep(self, now):
        left = NEVER
        for deadline in self.deadlines:
            wait = ticks_diff(deadline, now)
            if wait > 0:
                left = min(left, wait)
            else:
                self.core.arrived()  # whoever waits looks at the clock
        return left


async def receive(consumer, timeout_millis):
    """The next Message; Timeout where none came in that time."""
    if not 0 <= timeout_millis <= _LONGEST:
        raise ValueError("timeout_millis must be 0 to %d" % _LONGEST)
    core = consumer.core
    alarms = extra_of(core, Alarms)
    deadline = ticks_add(ticks_ms(), timeout_millis)
    alarms.deadlines.append(deadline)
    core.attend()
    try:
        while True:
            message = core.take()
            if message is not None:
                return message
            core.check()
            if ticks_diff(deadline, ticks_ms()) <= 0:
                raise Timeout("%s: no message within %d ms" % (core.topic, timeout_millis))
            consumer._arrived.clear()
            await consumer._arrived.wait()
    finally:
        alarms.deadlines.remove(deadline)


async def receive_batch(consumer, max_messages, timeout_millis):
    """What is there, at most max_messages, once there is one; no await lies behind the first that is taken."""
    if max_messages < 1:
        raise ValueError("max_messages must be at least 1")
    messages = [await consumer.receive(timeout_millis)]
    take = consumer.core.take
    while len(messages) < max_messages:
        message = take()
        if message is None:
            break
        messages.append(message)
    return messages
