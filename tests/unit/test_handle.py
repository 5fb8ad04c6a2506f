"""A handle's way to READY and back: look-ups, redirects, refusals by code, deadlines, moves."""
from mpy_pulsar.core.handle import CLOSED, IDLE, LOOKING, NEVER, OPENING, READY, WAITING
from mpy_pulsar.core.verdicts import verdict
from mpy_pulsar.errors import AuthenticationError, ConnectError, ProtocolError, PulsarError, Timeout
from mpy_pulsar.port import ticks_add
from tests.unit import fake_broker as fake
from tests.unit.fake_broker import HERE, THERE, TIMEOUT, Broker, reopen
from tests.unit.handle_support import opened, opening
from tests.unit.support import is_like, raises


def _reopening(make=fake.producer):
    """The same as `opening` for a handle that was READY before."""
    broker, core = opened(make)
    broker.say(core.close_kind, 1, core.id, 2, fake.NO_REQUEST)
    core.not_before = None
    core.watch.errors.clear()
    asked = broker.attach(core)
    return broker, core, asked[3] if asked.kind == fake.PRODUCER else asked[5]


def test_a_look_up_that_names_this_place_opens_the_handle():
    broker, core = Broker(), fake.producer()
    core.attach(broker.connection, broker.now)
    assert core.state == LOOKING
    asked = broker.answer_lookup()
    assert (asked[1], asked[3], asked.get(7)) == (fake.TOPIC.encode(), 0, None)
    assert core.state == OPENING
    asked = broker.hear(fake.PRODUCER)
    assert (asked[1], asked[2], asked.get(4), asked[8], asked[9]) == (fake.TOPIC.encode(), 1, None, 0, 0)
    broker.say(fake.PRODUCER_SUCCESS, 1, asked[3], 2, "made")
    assert core.state == READY and core.established and core.watch.states == [READY]
    assert broker.heard() == []


def test_a_listener_name_is_asked_for():
    broker, core = Broker(), fake.consumer()
    core.attach(broker.connection, broker.now, "outside")
    assert broker.hear(fake.LOOKUP)[7] == b"outside"


def test_a_handle_waits_for_a_connection_that_is_not_ready():
    broker, core = Broker(connected=False), fake.consumer()
    broker.connection.start("token", b"secret")
    broker.heard()
    core.attach(broker.connection, broker.now)
    assert core.state == WAITING and broker.heard() == []
    broker.say(fake.CONNECTED, 1, "fake", 2, 21)
    broker.hear(fake.LOOKUP)


def test_a_look_up_that_names_another_place_moves_the_handle_there_to_open_at_once():
    broker, core = Broker(), fake.producer()
    core.attach(broker.connection, broker.now)
    broker.answer_lookup(THERE, tls_url="pulsar+ssl://there:6651", proxied=True)
    assert core.state == IDLE and core.watch.attended == 1 and core.watch.errors == []
    assert core.move_to == (THERE, "pulsar+ssl://there:6651", True, False, True)
    assert core.wait_before(broker.now) == 0 and broker.connection.handles == {}
    there = Broker()
    core.attach(there.connection, there.now)
    assert core.move_to is None and core.state == OPENING
    there.hear(fake.PRODUCER)


def test_a_redirect_is_followed_with_its_authoritative_flag():
    for authoritative in (True, False, None):
        broker, core = Broker(), fake.producer()
        core.attach(broker.connection, broker.now)
        broker.answer_lookup(THERE, 0, authoritative)
        assert core.move_to == (THERE, "", False, bool(authoritative), False)
        core.attach(broker.connection, broker.now)
        assert broker.hear(fake.LOOKUP)[3] == bool(authoritative)


def test_a_redirect_to_this_very_place_is_looked_up_again():
    broker, core = Broker(), fake.producer()
    core.attach(broker.connection, broker.now)
    broker.answer_lookup(HERE, 0, True)
    assert core.state == IDLE and core.move_to[0] == HERE and not core.move_to[4]


def test_twenty_redirects_are_followed_and_no_more():
    broker, core = Broker(), fake.producer()
    for _ in range(2):
        for _ in range(20):
            core.attach(broker.connection, broker.now)
            broker.answer_lookup(THERE, 0)
            assert core.move_to and core.watch.errors == []
        core.attach(broker.connection, broker.now)
        broker.answer_lookup(THERE, 0)
        assert core.move_to is None and core.state == IDLE and core.wait_before(broker.now) > 0
        assert "20 redirects" in str(core.watch.errors.pop())
    assert core.failure is None


def test_redirects_are_counted_for_each_attempt_anew():
    broker, core = Broker(), fake.producer()
    for _ in range(30):
        core.attach(broker.connection, broker.now)
        broker.answer_lookup(THERE, 1)
        core.attach(broker.connection, broker.now)
        asked = broker.hear(fake.PRODUCER)
        broker.say(fake.ERROR, 1, asked[3], 2, 6, 3, "not ready")
        assert "not ready" in str(core.watch.errors.pop()) and core.watch.errors == []


def test_a_place_that_cannot_be_used_is_reported_and_tried_again():
    broker, core = Broker(), fake.producer()
    core.attach(broker.connection, broker.now)
    broker.answer_lookup("nonsense", 1)
    error = ConnectError("nonsense")
    core.refuse_place(error, broker.now)
    assert core.watch.errors == [error] and core.error is error and core.move_to is None
    assert 50 <= core.wait_before(broker.now) <= 100 and core.state == IDLE and core.failure is None


def test_a_place_that_is_no_address_does_not_cost_the_link():
    broker, core = Broker(), fake.producer()

    def serves(url, tls_url, proxied):
        raise ConnectError("%s is no address" % url)

    broker.serves = serves
    core.attach(broker.connection, broker.now)
    broker.answer_lookup("nonsense", 1)
    # The supervisor, which knows addresses, is to find out and to refuse it.
    assert core.state == IDLE and core.move_to[0] == "nonsense" and core.watch.attended == 1


def _check_verdict(broker, core, code, established):
    if verdict(code, established) == "f":
        assert core.state == CLOSED and core.connection is None
        assert core.failure.code == code and "why not" in str(core.failure) and fake.TOPIC in str(core.failure)
        assert is_like(raises(PulsarError, core.check), core.failure)
        assert isinstance(core.failure, AuthenticationError) == (code == 3)
    else:
        assert core.state == IDLE and core.failure is None
        assert [error.code for error in core.watch.errors] == [code] and core.error is core.watch.errors[0]
        assert 50 <= core.wait_before(broker.now) <= 100 and core.watch.attended > 0
        assert core.watch.states[-1] == IDLE
    assert broker.connection.handles == {} and broker.heard() == []


def test_every_refusal_while_creating_is_treated_by_its_code():
    for make in (fake.producer, fake.consumer):
        for code in range(26):
            broker, core, number = opening(make)
            broker.say(fake.ERROR, 1, number, 2, code, 3, "why not")
            _check_verdict(broker, core, code, False)


def test_every_refusal_once_established_is_treated_by_its_code():
    for make in (fake.producer, fake.consumer):
        for code in range(26):
            broker, core, number = _reopening(make)
            core.watch.attended = 0
            core._failures = 0
            broker.say(fake.ERROR, 1, number, 2, code, 3, "why not")
            _check_verdict(broker, core, code, True)


def test_every_failed_look_up_is_treated_by_its_code():
    for code in range(26):
        broker, core = Broker(), fake.consumer()
        core.attach(broker.connection, broker.now)
        number = broker.hear(fake.LOOKUP)[2]
        broker.say(fake.LOOKUP_RESPONSE, 3, 2, 4, number, 6, code, 7, "why not")
        _check_verdict(broker, core, code, False)
        broker, core = Broker(), fake.consumer()
        core.attach(broker.connection, broker.now)
        number = broker.hear(fake.LOOKUP)[2]
        broker.say(fake.ERROR, 1, number, 2, code, 3, "why not")
        _check_verdict(broker, core, code, False)


def test_a_look_up_without_a_response_is_tried_again():
    broker, core = Broker(), fake.consumer()
    core.attach(broker.connection, broker.now)
    broker.say(fake.LOOKUP_RESPONSE, 4, broker.hear(fake.LOOKUP)[2])
    assert core.state == IDLE and core.failure is None and core.wait_before(broker.now) > 0


def test_a_namespace_that_requires_encryption_is_final_while_creating():
    text = "Encryption is required in persistent://public/default/t"
    broker, core, number = opening()
    broker.say(fake.ERROR, 1, number, 2, 1, 3, text)
    assert core.state == CLOSED and text in str(core.failure)
    broker, core, number = _reopening()
    broker.say(fake.ERROR, 1, number, 2, 1, 3, text)
    assert core.state == IDLE and core.failure is None


def test_an_answer_of_the_wrong_kind_opens_nothing():
    for make, wrong in ((fake.producer, fake.SUCCESS), (fake.consumer, fake.PRODUCER_SUCCESS), (fake.producer, 24)):
        broker, core, number = opening(make)
        raises(ProtocolError, broker.say, wrong, 1, number, 2, "made", 4, number)
        assert core.state != READY


def test_the_back_off_grows_with_every_failure_and_starts_anew_once_the_place_has_proved_good():
    broker, core = Broker(), fake.producer()
    steps = (100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12800, 19200, 25600, 30000)
    for full in steps:
        asked = broker.attach(core)
        broker.say(fake.ERROR, 1, asked[3], 2, 2, 3, "storage")
        assert full // 2 <= core.wait_before(broker.now) <= full
    for age, least in ((4999, 15000), (5000, 50), (0, 75)):
        reopen(broker, core)
        broker.now = ticks_add(broker.now, age)
        broker.say(fake.CLOSE_PRODUCER, 1, 1, 2, fake.NO_REQUEST)
        assert least <= core.wait_before(broker.now) <= 2 * least


def test_a_place_that_has_proved_good_stays_so_for_longer_than_ticks_can_tell():
    for make in (fake.producer, fake.consumer):
        broker, core = Broker(), make()
        for _ in range(4):
            core.lost(ConnectError("gone"), broker.now)
        reopen(broker, core)
        broker.heard()
        for _ in range(20):  # ten days
            broker.now = ticks_add(broker.now, 43200000)
            core.sweep(broker.now)
        core.lost(ConnectError("gone"), broker.now)
        assert 50 <= core.wait_before(broker.now) <= 100


def test_what_is_not_before_a_tick_is_let_go_at_that_tick():
    for start in (fake.START, ticks_add(0, -20)):
        core = fake.producer()
        core.lost(ConnectError("gone"), start)
        wait = core.wait_before(start)
        assert core.wait_before(ticks_add(start, wait - 1)) == 1
        assert core.wait_before(ticks_add(start, wait)) == 0
        assert core.not_before is None


def test_creating_ends_with_a_timeout_that_says_the_last_error():
    for start in (fake.START, ticks_add(0, -7000)):
        broker, core = Broker(now=start), fake.consumer()
        assert core.sweep(start) == TIMEOUT
        asked = broker.attach(core)
        broker.say(fake.ERROR, 1, asked[5], 2, 6, 3, "still starting")
        assert core.sweep(ticks_add(start, TIMEOUT - 1)) == 1 and core.failure is None
        assert core.sweep(ticks_add(start, TIMEOUT)) == NEVER
        assert core.state == CLOSED and isinstance(core.failure, Timeout) and "still starting" in str(core.failure)


def test_a_subscription_that_others_hold_ends_the_creating_with_the_brokers_word():
    broker, core = Broker(), fake.consumer()
    core.sweep(broker.now)
    asked = broker.attach(core)
    broker.say(fake.ERROR, 1, asked[5], 2, 5, 3, "exclusive consumer")
    assert core.sweep(ticks_add(broker.now, TIMEOUT - 1)) == 1 and core.failure is None
    assert core.sweep(ticks_add(broker.now, TIMEOUT)) == NEVER
    assert core.failure.error() == 5 and "exclusive consumer" in str(core.failure)


def test_a_producer_name_that_others_hold_is_waited_for_longer_than_a_dead_link_can_hold_it():
    broker, core = Broker(), fake.producer(name="press-17")
    core.sweep(broker.now)
    asked = broker.attach(core)
    broker.say(fake.ERROR, 1, asked[3], 2, 16, 3, "already connected")
    assert core.sweep(ticks_add(broker.now, 69999)) == 1 and core.failure is None
    assert core.sweep(ticks_add(broker.now, 70000)) == NEVER
    assert core.failure.error() == 16 and "already connected" in str(core.failure)


def test_an_established_handle_tries_again_after_a_step_that_took_too_long():
    broker, core, _ = _reopening()
    broker.connection.now = ticks_add(fake.START, TIMEOUT)  # the link is swept first
    assert core.sweep(ticks_add(fake.START, TIMEOUT - 1)) == 1
    core.sweep(ticks_add(fake.START, TIMEOUT))
    assert core.state == IDLE and core.failure is None and isinstance(core.watch.errors[-1], Timeout)
    assert core.wait_before(ticks_add(fake.START, TIMEOUT)) > 0
    broker.hear(core.close_kind)
    for start in (fake.START, ticks_add(0, -100)):
        broker, core = opened()
        core.lost(ConnectError("gone"), start)
        core.attach(Broker(now=start).connection, start)
        assert core.sweep(start) == TIMEOUT and core.sweep(ticks_add(start, TIMEOUT - 1)) == 1
        core.sweep(ticks_add(start, TIMEOUT))
        assert core.state == IDLE


def test_a_ready_handle_has_no_deadline():
    _, core = opened()
    assert core.sweep(ticks_add(fake.START, 5 * TIMEOUT)) == NEVER and core.state == READY


def test_a_lost_link_leaves_the_handle_to_be_looked_up_again():
    for make in (fake.producer, fake.consumer):
        broker, core = opened(make)
        error = ConnectError("gone")
        core.lost(error, broker.now)
        assert core.state == IDLE and core.error is error and core.connection is None and core.failure is None
        assert core.watch.states == [IDLE] and broker.connection.handles == {}
        other = Broker()
        assert other.open(core).kind in (fake.PRODUCER, fake.SUBSCRIBE) and core.state == READY
