"""The judges: each kind of fault is found, and what is in order passes."""

from __future__ import annotations

from tools.chaos.fates import Received, Stored, Told, judge, judge_delivery


def told(*lines: str) -> Told:
    """What a program said."""
    found = Told()
    for line in lines:
        found.hear(line)
    return found


def stored(*numbers: int) -> list[Stored]:
    """A topic of one ledger with these messages."""
    return [Stored(number, 7, entry, 0) for entry, number in enumerate(numbers)]


def received(*numbers: int) -> Received:
    """What a consumer said."""
    found = Received()
    for number in numbers:
        found.hear(f"m {number}")
    return found


def test_messages_that_are_all_where_they_should_be_are_sound() -> None:
    lines = "o", "a 0 7 0 -1", "a 1 -1 -1 -1", "f 2 t: not sent", "f 3 its fate is unknown", "c 4"
    verdict = judge(told(*lines), stored(0, 1))
    assert verdict.sound, verdict
    assert (verdict.acknowledged, verdict.not_sent, verdict.unknown) == (2, 1, 1)


def test_an_acknowledged_message_that_is_absent_is_lost() -> None:
    assert judge(told("k 2", "c 3"), stored(0, 2)).faults == {"lost": [1]}


def test_a_message_that_is_there_twice_is_doubled() -> None:
    assert judge(told("k 2", "c 3"), stored(0, 1, 2, 1)).faults == {"duplicated": [1]}


def test_a_message_behind_a_later_one_is_out_of_order() -> None:
    assert judge(told("k 2", "c 3"), stored(0, 2, 1)).faults == {"reordered": [1]}


def test_a_message_that_was_not_sent_and_is_there_was_told_wrongly() -> None:
    assert judge(told("k 0", "f 1 t: was not stored", "c 2"), stored(0, 1)).faults == {"resurrected": [1]}


def test_a_message_of_which_nothing_was_told_is_found() -> None:
    assert judge(told("k 0", "c 2"), stored(0, 1)).faults == {"untold": [1]}


def test_a_message_that_nobody_sent_is_found() -> None:
    assert judge(told("k 0", "c 1"), stored(0, 1)).faults == {"foreign": [1]}


def test_a_message_at_another_place_than_told_is_found() -> None:
    assert judge(told("a 0 7 1 0", "c 1"), stored(0)).faults == {"misplaced": [0]}


def test_an_error_that_says_nothing_of_the_message_is_found() -> None:
    assert judge(told("f 0 something broke", "c 1"), stored(0)).faults == {
        "untold": [0], "strange": ["0: something broke"]
    }  # fmt: skip


def test_a_delivery_in_runs_is_sound() -> None:
    delivery = judge_delivery(received(0, 1, 1, 2, 0, 1, 2, 3), stored(0, 1, 2, 3))
    assert delivery.sound and (delivery.again, delivery.runs) == (4, 1)


def test_a_message_that_was_never_delivered_is_missing() -> None:
    assert judge_delivery(received(0, 1), stored(0, 1, 2)).missing == [2]


def test_a_message_that_was_skipped_is_found() -> None:
    delivery = judge_delivery(received(0, 2, 1), stored(0, 1, 2))
    assert (delivery.skipped, delivery.missing) == ([2], [])
