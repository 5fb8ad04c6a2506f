"""The way of a handle to the broker that owns its topic: partitions, look-up, redirects, the early opening; sans-io."""
from ..errors import ConnectError, ProtocolError
from ..port import const, ticks_add
from ..wire.commands import lookup, partitioned_metadata
from .handle import CLOSED, CLOSING, LOOKING, OPENING, WAITING, Handle

_ERROR = const(14)
_PARTITIONED_METADATA_RESPONSE = const(22)
_LOOKUP_RESPONSE = const(24)

_REDIRECT = const(0)
_FAILED = const(2)
_METADATA_FAILED = const(1)
_MOST_REDIRECTS = const(20)
_MOST_PARTITIONS = const(16384)

_EARLY_SUCCESS = const(-1)  # in place of a request's number: PRODUCER was accepted before the look-up's answer


class Finding(Handle):
    """A handle that finds its broker by itself, which is what producers and consumers are.

    Partitions and look-up are asked for at once. Where the topic is known to have no partitions, a producer's opening
    leaves with the look-up, which saves a round trip; it counts only once the look-up has named this very broker.
    """

    def on_ready(self):
        """The connection takes commands."""
        if self.state != WAITING:
            return
        if self._place_known:
            if self._place_known > 1:
                self._deadline = ticks_add(self._deadline, self.timeout)  # it was only that of the link
            self._open()
            return
        self.state = LOOKING
        connection = self.connection
        if not self.plain:
            self._metadata = connection.request(self)
            connection.send(partitioned_metadata(self.topic, self._metadata))
        self._look_up()
        if self.plain and self.speculates and connection.speculation:
            connection.speculation += 1
            self._early = connection.request(self)
            connection.send(self.open_command(self._early))

    def _look_up(self):
        self._request = self.connection.request(self)
        self.connection.send(lookup(self.topic, self._request, self._authoritative, self._listener_name))

    def _on_early(self, kind, number, buffer, fields):
        """The answer to the opening that did not wait for the look-up's; only together the two make it READY."""
        self._early = 0
        self.connection.speculation -= 1
        if kind == self.opened_kind and self.on_opened(number, buffer, fields):
            if self.state == OPENING:
                self._ready()
            else:
                self._early = _EARLY_SUCCESS
        elif self.state == OPENING:
            # It came before the look-up had loaded the topic; what it is refused for now counts.
            self._open()

    def _on_metadata(self, kind, buffer, fields):
        value = fields.value
        self._metadata = 0
        if kind != _PARTITIONED_METADATA_RESPONSE:
            self._refused_by(kind, buffer, fields, "partition look-up")
        elif value[3] == _METADATA_FAILED:
            from ..features.refused import refused

            refused(self, value[4], fields.text(buffer, 5), "partition look-up")
        elif value[1] > _MOST_PARTITIONS:
            raise ProtocolError("%s: %d partitions" % (self.topic, value[1]))
        elif value[1] > 0:
            self._on_partitions(value[1])
        else:
            self.plain = True
            if self._found is not None:
                self._go(*self._found)

    def _on_partitions(self, count):
        from ..features.choose_partition import choose

        choose(self, count)

    def _on_lookup(self, buffer, fields):
        value = fields.value
        response = value[3]
        self._request = 0
        if response == _FAILED or response < 0:
            url = fields.text(buffer, 7)
            self._found = response, url, "", False, value[6]
        else:
            self._found = response, fields.text(buffer, 1), fields.text(buffer, 2), value[8] > 0, value[5]
        if self.plain:
            self._go(*self._found)

    def _go(self, response, url, tls_url, proxied, number):
        """What the look-up said. number: its `authoritative`; where it failed the error code, its text as `url`."""
        if response == _FAILED or response < 0:
            from ..features.refused import refused

            refused(self, number, url, "look-up")
            return
        self._proxied = proxied = proxied and (self.service or True)
        redirect = response == _REDIRECT
        if not redirect and self._is_here(url, tls_url, proxied):
            if not self._early:
                self._open()
            elif self._early == _EARLY_SUCCESS:
                self._early = 0
                self._ready()
            else:
                self.state = OPENING
            return
        self._redirects += 1
        if self._redirects > _MOST_REDIRECTS:
            self.retry(ConnectError("%s: more than %d redirects, the brokers disagree" % (self.topic, _MOST_REDIRECTS)))
            return
        self.move_to = (url, tls_url, proxied, number > 0, not redirect)
        if proxied:
            # No topic is opened here. A broker behind a forwarded port does it all the same, and then holds the name.
            self.speculates = False
        self._leave_open()

    def _is_here(self, url, tls_url, proxied):
        try:
            return self.connection.owner.serves(url, tls_url, proxied)
        except ConnectError:
            return False  # no address at all: whoever dials it refuses the place; the link is in order

    def _open(self):
        self.state = OPENING
        self._request = self.connection.request(self)
        self.connection.send(self.open_command(self._request))

    def on_reply(self, kind, number, buffer, fields):
        """The answer to request `number`."""
        if number == self._early:
            self._on_early(kind, number, buffer, fields)
        elif number == self._metadata:
            self._on_metadata(kind, buffer, fields)
        elif number != self._request:
            self.on_answer(kind, number, buffer, fields)
        elif self.state == LOOKING:
            if kind == _LOOKUP_RESPONSE:
                self._on_lookup(buffer, fields)
            else:
                self._refused_by(kind, buffer, fields, "look-up")
        elif self.state == OPENING:
            if kind != self.opened_kind:
                self._refused_by(kind, buffer, fields, "opening")
            elif self.on_opened(number, buffer, fields):
                self._ready()
        elif self.state == CLOSING:
            if kind == _ERROR:
                from ..features.refused import broker_error

                self.report(broker_error(fields.value[2], fields.text(buffer, 3), "closing of %s" % self.topic))
            self._leave()
            self._set(CLOSED)
