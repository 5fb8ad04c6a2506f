"""Names are looked up once, again where a link did not come up, and only while there is a network."""
import sys

from mpy_pulsar.net import resolve


class FakeSocket:
    SOCK_STREAM = 1

    def __init__(self):
        self.asked = []

    def getaddrinfo(self, host, port, family, kind):
        self.asked.append((host, port))
        return [(2, kind, 0, "", (len(self.asked), host, port))]


class FakeInterface:
    def __init__(self, up):
        self.up = up

    def isconnected(self):
        return self.up

    active = isconnected


class FakeNetwork:
    def __init__(self, station, access_point=False):
        self.up = (station, access_point)

    def WLAN(self, number):
        return FakeInterface(self.up[number])


class FakeNetworkWithMore(FakeNetwork):
    PPP = LAN = None


def with_fakes(network, body):
    """Run `body(socket)` with a fake socket module, and `network` as the module of that name; None: there is none."""
    real, before = resolve.socket, sys.modules.get("network")
    fake = resolve.socket = FakeSocket()
    resolve._known.clear()
    if network:
        sys.modules["network"] = network
    try:
        body(fake)
    finally:
        resolve.socket = real
        resolve._known.clear()
        if before:
            sys.modules["network"] = before
        elif network:
            del sys.modules["network"]


def test_an_address_is_kept_until_it_proves_of_no_use():
    def body(socket):
        first = resolve.address_of("broker.test", 6650)
        assert resolve.address_of("broker.test", 6650) == first
        assert resolve.address_of("broker.test", 6651) != first
        resolve.forget(("broker.test", 6650))
        resolve.forget(("broker.test", 6650))
        assert resolve.address_of("broker.test", 6650) != first
        assert socket.asked == [("broker.test", 6650), ("broker.test", 6651), ("broker.test", 6650)]

    with_fakes(None, body)


def test_no_name_is_looked_up_without_wifi():
    def body(socket):
        try:
            resolve.address_of("broker.test", 6650)
        except OSError as error:
            assert "no Wi-Fi, so broker.test cannot be looked up" in str(error)
        else:
            raise AssertionError("looked up")
        assert not socket.asked
        # An address needs no look-up.
        resolve.address_of("10.0.0.1", 6650)
        assert socket.asked == [("10.0.0.1", 6650)]

    with_fakes(FakeNetwork(False), body)


def test_a_kept_address_needs_no_wifi():
    def body(socket):
        first = resolve.address_of("broker.test", 6650)
        network.up = (False, False)
        assert resolve.address_of("broker.test", 6650) == first

    network = FakeNetwork(True)
    with_fakes(network, body)


def test_names_are_looked_up_over_an_access_point_and_where_other_interfaces_may_be_up():
    def body(socket):
        resolve.address_of("broker.test", 6650)
        assert len(socket.asked) == 1

    with_fakes(FakeNetwork(False, True), body)
    with_fakes(FakeNetworkWithMore(False), body)
