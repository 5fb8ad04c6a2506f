"""The project's own vectors, part 3: whole frames, above all those that carry messages."""
from __future__ import annotations

from typing import Any

from tools import vectors_oracle
from tools.vectors_sent import MAX, Entry, base_command, key_values

TIME = 1767225600123  # 2026-01-01T00:00:00.123Z
NAME = "press-17"


def _metadata(sequence_id: int, name: str = NAME, time: int = TIME, **more: Any) -> dict[str, Any]:
    return {"producer_name": name, "sequence_id": sequence_id, "publish_time": time, **more}


def single(payload: bytes, **metadata: Any) -> dict[str, Any]:
    """One message of a batch."""
    return {"metadata": {"payload_size": len(payload), **metadata}, "payload": payload.hex()}


def send(name: str, payload: bytes, sequence_id: int, producer_id: int = 1, producer_name: str = NAME, time: int = TIME,
         **metadata: Any) -> Entry:
    """SEND of a message without a batch."""
    return {"name": name, "frame": "payload", "uncompressed_payload": payload.hex(),
            "command": base_command("SEND", {"producer_id": producer_id, "sequence_id": sequence_id}),
            "metadata": _metadata(sequence_id, producer_name, time, **metadata)}


def send_batch(name: str, singles: list[dict[str, Any]], sequence_id: int, producer_id: int = 1,
               producer_name: str = NAME) -> Entry:
    """SEND of a batch."""
    last = sequence_id + len(singles) - 1
    command = {"producer_id": producer_id, "sequence_id": sequence_id, "num_messages": len(singles),
               "highest_sequence_id": last}
    return {"name": name, "frame": "payload", "singles": singles, "command": base_command("SEND", command),
            "metadata": _metadata(sequence_id, producer_name, num_messages_in_batch=len(singles),
                                  highest_sequence_id=last)}


def _zlib(entry: Entry, finished: bool = True) -> Entry:
    """The same entry with its payload compressed."""
    payload = (vectors_oracle.batch(entry["singles"]) if "singles" in entry
               else bytes.fromhex(entry["uncompressed_payload"]))
    return {**entry, "stored_payload": vectors_oracle.compress(payload, finished).hex(),
            "metadata": {**entry["metadata"], "compression": "ZLIB", "uncompressed_size": len(payload)}}


def received(name: str, entry: Entry, ledger_id: int, entry_id: int, **more: Any) -> Entry:
    """What the SEND of an entry looks like when it comes to consumer 2."""
    fields = {"consumer_id": 2, "message_id": {"ledgerId": ledger_id, "entryId": entry_id, **more.pop("id", {})}}
    broker_entry = {"broker_entry_metadata": more.pop("broker_entry")} if "broker_entry" in more else {}
    return {**entry, **broker_entry, "name": name, "command": base_command("MESSAGE", {**fields, **more})}


def _of_all_kinds() -> list[dict[str, Any]]:
    return [
        single(b"with all", properties=key_values(unit="K", Ä="", long="y" * 130), partition_key="line-7",
               event_time=TIME - 5, partition_key_b64_encoded=False, ordering_key="00ff10", sequence_id=41),
        single(b""),
        single(b"", partition_key="gone", null_value=True),
        single(bytes(range(0, 256, 5)), event_time=0, ordering_key=""),
        single(b"x" * 127),
        single(b"x" * 128, partition_key="é中😀"),
    ]


def _readings(count: int) -> list[dict[str, Any]]:
    return [single(b"t=%d" % number) for number in range(count)]


def sent() -> list[Entry]:
    """SEND frames, and some of commands."""
    two = [single(b"21.5"), single(b"21.75", partition_key="k")]
    return [
        {"name": "frame-ping", "frame": "simple", "command": base_command("PING", {})},
        {"name": "frame-pong", "frame": "simple", "command": base_command("PONG", {})},
        {"name": "frame-flow", "frame": "simple",
         "command": base_command("FLOW", {"consumer_id": 2, "messagePermits": 500})},
        {"name": "frame-receipt", "frame": "simple", "command": base_command("SEND_RECEIPT", {
            "producer_id": 1, "sequence_id": 7, "message_id": {"ledgerId": 71, "entryId": 5},
            "highest_sequence_id": MAX})},
        send("send-first-of-producer-0", b"21.5", 0, producer_id=0),
        send("send-empty", b"", 1),
        send("send-null-value", b"", 2, partition_key="gone", null_value=True),
        send("send-all-fields", b"\x00\xff", 3, properties=key_values(unit="K", Ä="😀"), partition_key="AP8=",
             event_time=TIME - 60000, schema_version="0000000000000007", partition_key_b64_encoded=True,
             ordering_key="00ff", deliver_at_time=TIME + 5000),
        send("send-delayed-with-keys", b"later", 4, partition_key="line-7", ordering_key="ff00",
             deliver_at_time=TIME + 2**33),
        send("send-key-empty-in-base64", b"", 5, partition_key="", partition_key_b64_encoded=True),
        send("send-127-bytes", b"a" * 127, 127, producer_id=127),
        send("send-128-bytes", b"b" * 128, 128, producer_id=128),
        send("send-id-below-2-to-28", b"low", 2**28 - 1),
        send("send-id-at-2-to-28", b"high", 2**28, producer_id=16384),
        send("send-id-at-2-to-56", b"higher", 2**56),
        send("send-long-names", b"n", 5, producer_name="é中😀é-" * 5 + "1234", time=2**42 - 1),
        send("send-name-of-one-letter", b"n", 6, producer_name="p", time=31536000000),
        send_batch("batch-of-1", [single(b"21.5")], 10),
        send_batch("batch-of-2", two, 11, producer_id=300),
        send_batch("batch-of-empty", [single(b"")], 12),
        send_batch("batch-of-all-kinds", _of_all_kinds(), 13),
        send_batch("batch-of-30", _readings(30), 2**28 - 10),
        send_batch("batch-across-2-to-56", [single(b"a"), single(b"b"), single(b"c")], 2**56 - 1),
        _zlib(send("send-zlib", b"reading " * 12, 20)),
        _zlib(send_batch("batch-zlib", [single(b"reading " * 3, partition_key=f"k{n}") for n in range(4)], 21)),
    ]


def arrived() -> list[Entry]:
    """MESSAGE frames."""
    batch = send_batch("", _of_all_kinds(), 13)
    one = send("", b"21.5", 2**28)
    return [
        received("message-single", one, 71, 0),
        received("message-empty", send("", b"", 0), 2**28, 2**28 - 1, id={"partition": -1}),
        received("message-null-value", send("", b"", 1, null_value=True), 71, 1),
        received("message-of-partition-again", one, 2**56, 2**28, id={"partition": 12}, redelivery_count=3),
        received("message-with-all-fields", send(
            "", b"all", 2**56, properties=key_values(unit="K", Ä="😀"), partition_key="line-7", event_time=TIME,
            schema_version="0000000000000007", ordering_key="00ff", null_value=False), 71, 2),
        received("message-with-broker-entry", one, 71, 3, broker_entry={"broker_timestamp": TIME + 1, "index": 2**33}),
        received("message-with-empty-broker-entry", one, 71, 3, broker_entry={}),
        {**received("message-without-checksum", one, 71, 4), "with_checksum": False, "decode_only": True},
        {**received("message-batch-without-checksum", batch, 71, 5, broker_entry={"index": 6}), "with_checksum": False,
         "decode_only": True},
        received("message-batch-of-1", send_batch("", [single(b"21.5")], 10), 71, 6),
        received("message-batch-of-all-kinds", batch, 71, 7, id={"partition": 0}, consumer_epoch=1),
        received("message-batch-with-broker-entry", batch, 71, 8,
                 broker_entry={"broker_timestamp": TIME, "index": 205}),
        received("message-batch-of-30", send_batch("", _readings(30), 0), 71, 9),
        _zlib(received("message-zlib", send("", b"reading " * 12, 20), 71, 10)),
        {**_zlib(received("message-zlib-unfinished", send("", b"reading " * 12, 20), 71, 11), finished=False),
         "decode_only": True},
        {**_zlib(received("message-batch-zlib-unfinished", send_batch("", [single(b"m" * 30)] * 3, 21), 71, 12),
                 finished=False), "decode_only": True},
        received("message-uncompressed-size-alone", send("", b"plain", 7, uncompressed_size=5), 71, 13),
        received("message-chunk", send("", b"part", 7, uuid="p-7", num_chunks_from_msg=2, total_chunk_msg_size=8,
                                       chunk_id=0), 71, 14),
    ]


def large() -> list[Entry]:
    """What does not fit a heap of 64 KB beside all that replays it: batches of 200, sizes of three bytes."""
    text = (b"The same over and over keeps this file readable. "[:48] * 342)[:16384]
    return [
        send_batch("batch-of-200", _readings(200), 2**28 - 100),
        received("message-batch-of-200", send_batch("", _readings(200), 0), 71, 9),
        send("send-16383-bytes", text[:16383], 1),
        send("send-16384-bytes", text, 2, properties=key_values(large="v" * 16384)),
        send_batch("batch-of-large", [single(text[:16383]), single(text), single(b"s", partition_key="k" * 300)], 3),
        received("message-16384-bytes", send("", text, 4), 71, 0),
        received("message-batch-of-large", send_batch("", [single(text), single(b"")], 5), 71, 1),
    ]
