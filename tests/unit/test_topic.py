"""Topic names and service URLs: what is accepted, what it becomes, and how what is wrong is named."""
from mpy_pulsar import AuthenticationToken, Client
from mpy_pulsar.core.topic import parse_service_url
from mpy_pulsar.features.plaintext import is_loopback
from mpy_pulsar.features.topic_name import full_topic
from tests.unit.support import raises


def test_a_short_name_is_persistent_in_the_default_namespace():
    assert full_topic("t") == "persistent://public/default/t"


def test_three_parts_are_persistent():
    assert full_topic("tenant/ns/t") == "persistent://tenant/ns/t"


def test_full_names_pass_unchanged():
    for name in ("persistent://a/b/c", "non-persistent://a/b/c", "persistent://a/b/c-partition-3"):
        assert full_topic(name) == name


def test_names_that_are_none_are_refused_by_name():
    for name in ("a/b", "a/b/c/d", "persistent://a/b", "persistent://a/b/c/d", "http://a/b/c", "://a/b/c", "a//c",
                 "/b/c", "a/b/", "persistent://"):
        error = raises(ValueError, full_topic, name)
        assert name in str(error) and "persistent://TENANT/NAMESPACE/NAME" in str(error)


def test_an_empty_name_or_no_str_is_refused():
    for name in ("", None, b"t", 3, ("a", "b"), ()):
        assert "str" in str(raises(ValueError, full_topic, name))


def test_characters_beyond_ascii_pass():
    assert full_topic("caf\xe9") == "persistent://public/default/caf\xe9"


def test_a_service_url_without_port_gets_the_scheme_s_own():
    assert parse_service_url("pulsar://h") == (False, [("h", 6650)])
    assert parse_service_url("pulsar+ssl://h") == (True, [("h", 6651)])


def test_several_hosts_by_comma_or_semicolon():
    expected = (False, [("a", 1), ("b", 6650), ("c", 3)])
    assert parse_service_url("pulsar://a:1,b,c:3") == expected
    assert parse_service_url("pulsar://a:1;b;c:3") == expected


def test_a_trailing_path_is_tolerated():
    assert parse_service_url("pulsar://h:6650/") == (False, [("h", 6650)])
    assert parse_service_url("pulsar://h/some/path") == (False, [("h", 6650)])


def test_ipv6_addresses_in_brackets():
    assert parse_service_url("pulsar://[::1]:7000,[fe80::2]") == (False, [("::1", 7000), ("fe80::2", 6650)])


def test_urls_that_are_none_are_refused_by_name():
    for url in ("h:6650", "", "http://h:8080", "pulsar:h", "pulsar+tls://h", "Pulsar://h"):
        error = raises(ValueError, parse_service_url, url)
        assert repr(url) in str(error) and "pulsar://HOST:6650" in str(error)


def test_addresses_that_are_none_are_refused():
    for rest in ("", ":6650", "a,,b", "a,", "h:0", "h:65536", "h:-1", "h:port", "h:6650x", "[]:1"):
        error = raises(ValueError, parse_service_url, "pulsar://" + rest)
        assert "pulsar://" + rest in str(error)


def test_the_highest_port_is_accepted():
    assert parse_service_url("pulsar://h:65535") == (False, [("h", 65535)])


def test_only_addresses_of_this_machine_are_loopback():
    for host in ("localhost", "::1", "127.0.0.1", "127.1.2.3"):
        assert is_loopback(host)
    for host in ("127.0.0.1.example.com", "127.0.0.x", "127.0.1", "10.127.0.1", "localhost.example.com", "", "::2"):
        assert not is_loopback(host)


def test_a_token_is_not_sent_in_the_clear_to_another_machine():
    token = AuthenticationToken("secret")
    for url in ("pulsar://broker:6650", "pulsar://localhost,broker", "pulsar://127.0.0.1.example.com"):
        error = str(raises(ValueError, Client, url, authentication=token))
        assert "pulsar+ssl://" in error and "allow_plaintext_token" in error and "secret" not in error
        Client(url, authentication=token, allow_plaintext_token=True)
        Client(url)
    Client("pulsar://localhost:6650", authentication=token)
