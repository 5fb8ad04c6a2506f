"""A broker that says where a topic goes: to another broker of the cluster, or to another cluster."""
from ..errors import ConnectError
from ..port import const, ticks_diff

_LINK_WAIT = const(3000)  # ms in which there must be a link to a broker that nobody has looked up
_SETTLED = const(5000)  # as in core/handle


def assigned(core, buffer, fields):
    """The broker that has closed the handle names the next one: it is gone to at once and without a look-up, once."""
    if core._listener_name:
        return  # the address is of the broker's own listener
    # Brokers that send it to and fro are not followed without a pause, whatever they take of it in between.
    again = core._place_known == _LINK_WAIT and 0 <= ticks_diff(core._lost_at, core._ready_at) < _SETTLED
    if core._failures == 1 and not again:
        core.not_before = None
        core.move_to = (fields.text(buffer, 3), fields.text(buffer, 4), core._proxied, False, _LINK_WAIT)


def migrated(core, buffer, fields):
    """The topic is another cluster's: look-ups go there, once connection or handle is closed here."""
    service = fields.text(buffer, 3), fields.text(buffer, 4)
    if service != core.service:
        core.service = service
        core.report(ConnectError("%s: migrates to the cluster at %s" % (core.topic, service[0] or service[1])))
