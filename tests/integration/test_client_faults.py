"""The client at a development broker that misbehaves: nothing acknowledged is lost, nothing is told that is not so."""

from collections.abc import Callable

import pytest

from tests.integration.fault_rounds import Outcome, Round, check, run_all

# What the client does not answer within this time is begun anew.
_SHORT = {"operation_timeout_seconds": 1}
_LOST = "link to 127.0.0.1"
_GOES_ON_THERE = "pulsar://127.0.0.1:1"

ROUNDS = [
    Round("nothing", silent=True),
    # The link ends
    Round("cut_before_a_message_is_handled", ["cut on=SEND after=5 times=3"], reported=_LOST),
    Round("cut_before_a_receipt_leaves", ["cut on=SEND_RECEIPT after=5 times=3"], reported=_LOST),
    Round("cut_in_a_message", ["cut received=700 times=4"], reported=_LOST),
    Round("cut_in_a_receipt", ["cut sent=150 times=4"], reported=_LOST),
    Round("reset_in_the_middle", ["cut on=SEND after=3 times=3 rst=yes"], reported=_LOST),
    Round("cut_while_it_comes_back", ["cut on=LOOKUP times=1", "cut on=PRODUCER times=2", "cut"], reported=_LOST),
    Round("cut_when_it_connects", before=["cut on=CONNECT times=2"], reported=_LOST),
    Round("refused_for_a_while", ["refuse lasting=0.4", "cut"], reported=_LOST),
    Round("connections_are_reset", ["reset times=3", "cut"], reported=_LOST),
    Round("connections_are_reset_from_the_start", before=["reset times=3"], reported=_LOST),
    # Time
    Round("everything_is_late", ["delay seconds=0.1 times=15"], silent=True),
    Round("receipts_are_late", ["late_receipt seconds=0.2 times=8"], silent=True),
    Round("one_byte_at_a_time", ["dribble size=1 ms=0 times=1"], silent=True),
    Round("cut_while_dribbling", ["dribble size=3 ms=1 times=1", "cut sent=200 times=1"], reported=_LOST),
    Round("silence_and_then_a_cut", ["silence after=8"], then=["cut"], reported=_LOST),
    Round("answers_are_lost_and_then_a_cut", ["silence handled=yes after=8"], then=["cut"], reported=_LOST),
    # Bytes that are not Pulsar's
    Round("garbage", ["garbage on=SEND_RECEIPT after=3 times=2"], reported=_LOST),
    Round("text", ["garbage hex=485454502f312e3120343030204261640d0a on=SEND_RECEIPT after=3 times=2"], reported=_LOST),
    Round("zeroes", ["garbage hex=00000000 on=SEND_RECEIPT after=3 times=2"], reported=_LOST),
    Round("a_huge_frame", ["oversize on=SEND_RECEIPT after=3 times=2"], reported="length above 2^28"),
    Round("a_large_frame_that_comes", ["oversize size=3000 fill=yes on=SEND_RECEIPT after=3 times=2"]),
    # Numbers that do not fit
    Round("receipts_for_the_next", ["wrong_id on=SEND_RECEIPT after=3 times=2"]),
    Round("receipts_for_the_one_before", ["wrong_id on=SEND_RECEIPT shift=-1 after=3 times=2"]),
    Round("receipts_for_what_is_far_away", ["wrong_id on=SEND_RECEIPT shift=1000 after=3 times=2"]),
    Round("receipts_beside_the_right_one", ["wrong_id on=SEND_RECEIPT shift=500 extra=yes after=3 times=2"]),
    Round("receipts_for_another_producer", ["wrong_id on=SEND_RECEIPT field=producer_id after=3 times=2"]),
    Round(
        "a_look_up_answered_under_a_wrong_number", ["wrong_id on=LOOKUP_RESPONSE times=1", "cut"], client=_SHORT,
        reported="no answer from the broker in time",
    ),
    Round(
        "an_opening_answered_under_a_wrong_number", ["wrong_id on=PRODUCER_SUCCESS shift=7 times=1", "cut"],
        client=_SHORT, reported="no answer from the broker in time",
    ),
    # What is swallowed
    Round("messages_are_swallowed", ["swallow on=SEND after=3 times=2"], reorders=True, reported=_LOST),
    Round("receipts_are_swallowed", ["swallow on=SEND_RECEIPT after=3 times=2"], reported=_LOST),
    Round("look_ups_are_swallowed", ["swallow on=LOOKUP times=1", "cut"], client=_SHORT, reported="no answer"),
    Round("openings_are_swallowed", ["swallow on=PRODUCER times=1", "cut"], client=_SHORT, reported="no answer"),
    # Refusals
    Round("the_broker_is_not_ready", before=["error on=PRODUCER code=ServiceNotReady times=3"]),
    Round("nor_to_look_up", before=["error on=LOOKUP code=ServiceNotReady times=2"], reported="look-up"),
    Round("nor_to_count", before=["error on=PARTITIONED_METADATA code=MetadataError times=2"], reported="partition"),
    Round("nor_to_connect", before=["error on=CONNECT code=ServiceNotReady times=2"], reported="a fault of the"),
    Round("the_opening_is_refused_once_established", ["error on=PRODUCER code=AuthorizationError times=3", "cut"]),
    Round(
        "messages_cannot_be_stored", ["error on=SEND code=PersistenceError after=3 times=3"], reorders=True,
        reported="the broker answered 2",
    ),
    Round("messages_are_not_allowed", ["error on=SEND code=NotAllowedError after=3 times=3"], refuses=True),
    Round(
        "messages_were_damaged", ["error on=SEND code=ChecksumError after=3 times=2"], refuses=True, reorders=True,
        reported="sent again with new ids",
    ),
    Round("the_topic_ends", ["error on=SEND code=TopicTerminatedError after=5"], ends="sending to"),
    Round("another_producer_takes_over", ["error on=SEND code=ProducerFenced after=5"], ends="sending to"),
    Round("writes_fail", ["failed_write seconds=0.05 after=3 times=3"], reorders=True),
    # The topic moves
    Round("the_topic_moves", ["close_producer on=SEND after=3 times=3"], reported="the topic moves"),
    Round("the_topic_moves_before_a_receipt", ["close_producer on=SEND_RECEIPT after=3 times=3"]),
    Round(
        "the_topic_is_said_to_move_to_nowhere", [f"close_producer on=SEND after=3 times=2 url={_GOES_ON_THERE}"],
        reported="the topic moves",
    ),
    Round("redirects_to_itself", before=["redirect times=5"], silent=True),
    Round("a_place_where_nobody_listens", before=["misplace times=2"], reported=_LOST),
    Round("and_once_established", ["misplace times=2", "cut"], reported=_LOST),
    # The same with a broker that weeds out what comes twice
    Round("cut_deduplicating", ["cut on=SEND_RECEIPT after=5 times=4"], deduplication=True, reported=_LOST),
    Round("cut_in_bytes_deduplicating", ["cut received=900 times=4"], deduplication=True, reported=_LOST),
    Round("moves_deduplicating", ["close_producer on=SEND after=3 times=3"], deduplication=True),
    Round("writes_fail_deduplicating", ["failed_write seconds=0.05 after=3 times=3"], deduplication=True, refuses=True,
          reorders=True),
    Round("answers_lost_deduplicating", ["silence handled=yes after=8"], then=["cut"], deduplication=True),
    Round("receipts_swallowed_deduplicating", ["swallow on=SEND_RECEIPT after=3 times=2"], deduplication=True),
]  # fmt: skip

_BY_NAME = {one.name: one for one in ROUNDS}


@pytest.fixture(scope="module")
def rounds() -> dict[str, dict[str, Callable[[], Outcome]]]:
    """All rounds of all interpreters."""
    return run_all(ROUNDS)


@pytest.mark.parametrize("name", _BY_NAME)
def test_what_is_told_is_true(runtime: str, name: str, rounds: dict[str, dict[str, Callable[[], Outcome]]]) -> None:
    check(_BY_NAME[name], rounds[runtime][name]())
