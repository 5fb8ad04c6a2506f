"""The wall clock in two halves, what becomes of a handle by error code, and the bounds of the back-off."""
from mpy_pulsar.core.clock import Clock
from mpy_pulsar.core.retry import back_off
from mpy_pulsar.core.verdicts import verdict
from mpy_pulsar.port import ticks_add

FINAL, RETRY, SLOW = "frs"

# Protocol notes, section 11: by ServerError, while creating and once established. Code 1 while creating is final only
# for one text (test_handle), code 9 comes with SEND alone.
VERDICTS = {
    0: (RETRY, RETRY), 1: (RETRY, SLOW), 2: (RETRY, RETRY), 3: (FINAL, SLOW), 4: (FINAL, SLOW), 5: (RETRY, RETRY),
    6: (RETRY, RETRY), 7: (RETRY, SLOW), 8: (RETRY, SLOW), 9: (RETRY, RETRY), 10: (FINAL, SLOW), 11: (FINAL, SLOW),
    12: (FINAL, SLOW), 13: (RETRY, RETRY), 14: (RETRY, RETRY), 15: (FINAL, FINAL), 16: (RETRY, RETRY),
    17: (FINAL, SLOW), 18: (FINAL, SLOW), 19: (FINAL, SLOW), 20: (FINAL, SLOW), 21: (FINAL, SLOW), 22: (FINAL, SLOW),
    23: (FINAL, SLOW), 24: (FINAL, SLOW), 25: (FINAL, FINAL),
}


def _milliseconds(clock):
    return clock.high << 28 | clock.low


def test_the_clock_starts_with_the_seconds_it_is_given():
    clock = Clock(1700000000, 5)
    assert _milliseconds(clock) == 1700000000000
    assert 0 <= clock.low < 1 << 28


def test_the_clock_moves_on_with_the_ticks():
    clock = Clock(1700000000, 5)
    for now, expected in ((5, 0), (6, 1), (1006, 1001), (1006, 1001), (400000000, 399999995)):
        clock.update(now)
        assert _milliseconds(clock) == 1700000000000 + expected


def test_the_clock_carries_into_its_high_half():
    clock = Clock(0, 0)
    clock.update((1 << 28) - 1)
    assert (clock.low, clock.high) == ((1 << 28) - 1, 0)
    clock.update(1 << 28)
    assert (clock.low, clock.high) == (0, 1)


def test_the_clock_survives_the_wrap_around_of_ticks():
    start = ticks_add(0, -700)
    clock = Clock(1700000000, start)
    clock.update(ticks_add(start, 500))
    clock.update(ticks_add(start, 1500))
    assert _milliseconds(clock) == 1700000001500


def test_the_clock_can_be_set_forwards_and_back():
    clock = Clock(0, 10)
    clock.update(20)
    clock.set(1700000000, 30)
    clock.update(31)
    assert _milliseconds(clock) == 1700000000001
    clock.set(5, 40)
    assert _milliseconds(clock) == 5000


def test_the_verdict_on_every_code():
    for code in VERDICTS:
        assert (verdict(code, False), verdict(code, True)) == VERDICTS[code], code
    assert sorted(VERDICTS) == list(range(26))


def test_codes_that_no_table_knows_are_tried_again():
    for code in (-1, 26, 1000, 0xFFFFFFF):
        assert verdict(code, False) == verdict(code, True) == RETRY


def _bounds(failures, slow, tries=200):
    waits = [back_off(failures, slow) for _ in range(tries)]
    return min(waits), max(waits), len(set(waits))


def test_the_back_off_grows_from_100_ms_to_30_s():
    steps = [100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12800, 19200, 25600, 30000]
    failures = 0
    for full in steps + [30000, 30000]:
        failures += 1
        low, high, _ = _bounds(failures, False)
        assert full // 2 <= low <= high <= full


def test_the_slow_back_off_grows_to_ten_minutes():
    full = 100
    for failures in range(1, 20):
        low, high, _ = _bounds(failures, True)
        assert full // 2 <= low <= high <= full
        full = min(full * 2, 600000)
    assert full == 600000


def test_any_number_of_failures_stays_within_bounds():
    for failures in (30, 64, 1000, 1 << 29):
        low, high, _ = _bounds(failures, False, 20)
        assert 15000 <= low <= high <= 30000
        low, high, _ = _bounds(failures, True, 20)
        assert 300000 <= low <= high <= 600000


def test_fleets_spread_out():
    _, _, different = _bounds(9, False)
    assert different > 100
