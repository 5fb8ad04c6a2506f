"""The bound on bytes on their way that lwIP needs, on handles whose rings are scripted."""
from mpy_pulsar.core.handle import READY
from mpy_pulsar.net.lwip import Window
from tests.unit import fake_broker as fake


class FakeRing:
    def __init__(self, sizes):
        self.sizes = sizes
        self.oldest = 0
        self.unsent = 0

    def frame_start(self, slot):
        return 100

    def frame_end(self, slot):
        return 100 + self.sizes[slot]


class FakeHandle:
    def __init__(self, connection, *sizes):
        self.connection = connection
        self.state = READY
        self.ring = FakeRing(sizes)
        self.asked = 0

    def next_frame(self, clock, now):
        self.asked += 1
        ring = self.ring
        if ring.unsent == len(ring.sizes):
            return -1
        ring.unsent += 1
        return ring.unsent - 1

    def receipt(self):
        self.ring.oldest += 1

    def rewind(self):
        self.ring.unsent = self.ring.oldest


LINK = "link"


def taken(window, handle):
    return window.next_frame(handle, None, 0)


def test_frames_go_out_up_to_the_bound_and_then_wait_for_a_receipt():
    window = Window()
    handle = FakeHandle(LINK, 1000, 1000, 1000, 1)
    assert [taken(window, handle) for _ in range(5)] == [0, 1, 2, -1, -1]
    assert window.held is handle
    handle.receipt()
    assert taken(window, handle) == 3
    assert window.held is None
    assert taken(window, handle) == -1


def test_a_frame_larger_than_the_bound_goes_alone():
    window = Window()
    handle = FakeHandle(LINK, 10, 9000, 10)
    assert [taken(window, handle), taken(window, handle)] == [0, -1]
    handle.receipt()
    assert taken(window, handle) == 1
    assert taken(window, handle) == -1
    handle.receipt()
    assert taken(window, handle) == 2


def test_who_waits_is_not_overtaken_and_starves_nobody():
    window = Window()
    one, two = FakeHandle(LINK, 2000, 2000, 2000), FakeHandle(LINK, 2000, 2000)
    assert [taken(window, one), taken(window, two)] == [0, -1]
    one.receipt()
    # The first has its turn before, and more to send; the second was held back and goes first.
    assert [taken(window, one), taken(window, two)] == [-1, 0]
    assert one.asked == 1
    two.receipt()
    assert [taken(window, one), taken(window, two)] == [1, -1]


def test_who_has_nothing_to_send_holds_nobody_back():
    window = Window()
    one, two = FakeHandle(LINK), FakeHandle(LINK, 2900, 100)
    for turn in range(2):
        assert taken(window, one) == -1
        assert taken(window, two) == turn


def test_a_topic_that_moves_while_its_frame_waits():
    window = Window()
    handle, other = FakeHandle(LINK, 2000, 2000), FakeHandle(LINK, 50)
    assert [taken(window, handle), taken(window, handle)] == [0, -1]
    handle.rewind()
    handle.connection = "another"
    # Neither its frames in flight nor the one that waited count on the link that it left.
    assert taken(window, other) == 0
    handle.connection = LINK
    # Back again, all is transmitted anew, in order, and no receipt of before is waited for.
    assert [taken(window, handle), taken(window, handle)] == [0, -1]
    handle.receipt()
    assert taken(window, handle) == 1


def test_back_on_the_same_link_at_once():
    window = Window()
    handle = FakeHandle(LINK, 2000, 2000)
    assert [taken(window, handle), taken(window, handle)] == [0, -1]
    handle.rewind()
    assert taken(window, handle) == 0


def test_a_receipt_for_a_frame_that_waits_is_not_followed_by_its_transmission():
    window = Window()
    handle = FakeHandle(LINK, 2000, 2000, 700)
    assert [taken(window, handle), taken(window, handle)] == [0, -1]
    # As of a transmission on another link: by now other bytes may stand where the frame stood.
    handle.receipt()
    handle.receipt()
    assert taken(window, handle) == 2


def test_a_frame_that_waits_is_not_transmitted_behind_the_close():
    window = Window()
    broker, core = fake.opened_producer()
    for _ in range(4):
        core.ring.add_unbatched(bytes(900))
    slots = [window.next_frame(core, broker.clock, broker.now) for _ in range(4)]
    assert slots[3] == -1 and window.held is core
    core.start_close(broker.now)
    assert broker.hear(fake.CLOSE_PRODUCER)[1] == core.id
    broker.receipt(0)
    assert window.next_frame(core, broker.clock, broker.now) == -1 and window.held is None
