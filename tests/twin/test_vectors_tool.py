"""The vectors' tool: the stored files are what it makes, and whatever is wrong with a vector or a client comes out."""
from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpy_pulsar.core.connection import Connection
from mpy_pulsar.core.message import Message
from mpy_pulsar.core.message_id import MessageId
from mpy_pulsar.wire import commands, consumer_commands, consumer_requests
from mpy_pulsar.wire.batch import BatchRing
from mpy_pulsar.wire.scanner import Fields
from tests.unit import vector_encode, vector_feed
from tests.unit.vector_replay import Replay
from tools import interpreters, pulsar_api, vectors, vectors_oracle, vectors_text
from tools.vectors_sent import Entry, command

ENTRIES = [entry for entries in vectors.own_entries().values() for entry in entries]
# Neither of the two directions is told by these; they are the vector's own.
_NOT_BYTES = {"name", "message", "frame", "decode_only", "hex"}
_FLIPS = 16  # hex digits of one vector that are changed, one at a time


def replayed(path: Path, lines: Iterator[str] | list[str]) -> Replay:
    """Replay lines on this Python."""
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    replay = Replay()
    replay.file(path)
    return replay


def test_stored_files_are_what_is_made() -> None:
    made = vectors.own_files()
    assert sorted(made) == sorted(path.name for path in vectors.FOLDER.glob("*.txt"))
    for name, text in made.items():
        assert (vectors.FOLDER / name).read_text(encoding="utf-8") == text, f"{name} is stale: run `make vectors`"


def test_every_command_is_covered() -> None:
    kinds = {(entry["command"] if "frame" in entry else entry["fields"])["type"]
             for entry in ENTRIES if "frame" in entry or entry["message"] == "BaseCommand"}
    numbers = pulsar_api.enum_values("BaseCommand.Type")
    # Statistics are asked for by nobody but administrators; their answer is read past.
    assert {numbers[kind] for kind in kinds} == {*vectors_text.SENT, *vectors_text.RECEIVED} - {25}


def test_names_are_unique() -> None:
    names = [entry["name"] for entry in ENTRIES]
    assert len(set(names)) == len(names)


def changed(value: Any, field: dict[str, Any] | None) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value + 1 if abs(value) < 1e9 else value / 2
    if isinstance(value, int):
        return value - 1 if value > 0 else value + 1
    if field and field["type"] == "enum":
        values = list(pulsar_api.enum_values(field["ref"]))
        return values[values.index(value) - 1]
    if field is None or field["type"] == "bytes":
        return flipped(value, len(value) // 2) if value else "00"
    return value + "x"


def flipped(digits: str, at: int) -> str:
    """Hex with one digit changed."""
    return digits[:at] + f"{int(digits[at], 16) ^ 1:x}" + (digits[at + 1:] if at >= 0 else "")


def mutants_of_message(message: str, fields: dict[str, Any], strict: bool) -> Iterator[dict[str, Any]]:
    """The fields with one thing changed: a value, or, where nothing else may be there, one left out."""
    for field in pulsar_api.table()["messages"][message]["fields"]:
        name = field["name"]
        if name not in fields or (message == "BaseCommand" and name == "type"):
            continue
        value = fields[name]
        rest = {key: other for key, other in fields.items() if key != name}
        if strict:
            yield rest
        items = value if field["label"] == "repeated" else [value]
        for index, item in enumerate(items):
            if field["type"] == "message":
                others: Iterator[Any] = mutants_of_message(field["ref"], item, strict)
            else:
                others = iter([changed(item, field)])
            for other in others:
                new = [*items[:index], other, *items[index + 1:]] if field["label"] == "repeated" else other
                yield {**fields, name: new}


def mutants(entry: Entry) -> Iterator[Entry]:
    """An entry with one thing wrong."""
    strict = not entry.get("decode_only")
    parts = {"fields": entry.get("message", ""), "command": "BaseCommand", "metadata": "MessageMetadata",
             "broker_entry_metadata": "BrokerEntryMetadata"}
    for key in sorted(set(entry) - _NOT_BYTES):
        if key in parts:
            for fields in mutants_of_message(parts[key], entry[key], strict):
                yield {**entry, key: fields}
        elif key == "singles":
            for index, single in enumerate(entry[key][:8]):
                others = [{**single, "metadata": fields}
                          for fields in mutants_of_message("SingleMessageMetadata", single["metadata"], strict)]
                for other in [*others, {**single, "payload": changed(single["payload"], None)}]:
                    yield {**entry, key: [*entry[key][:index], other, *entry[key][index + 1:]]}
            yield {**entry, key: entry[key][:-1]}
        else:
            yield {**entry, key: changed(entry[key], None)}
    if strict:
        digits = entry["hex"]
        for at in range(0, len(digits), max(1, len(digits) // _FLIPS)):
            yield {**entry, "hex": flipped(digits, at)}


@pytest.mark.parametrize("file", [name for name in vectors.own_entries() if name != "large.txt"])
def test_whatever_is_wrong_is_found(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field and payload changed or left out, and hex digits flipped, one at a time: not one passes."""
    monkeypatch.setattr(vector_feed, "_EVERY_PAIR", 0)  # how the bytes are cut finds no wrong vector
    lines: list[str] = []
    described: dict[str, Entry] = {}
    for entry in vectors.own_entries()[file]:
        for number, mutant in enumerate(mutants(entry)):
            mutant = {**copy.deepcopy(mutant), "name": f"{entry['name']}/{number}"}
            described[mutant["name"]] = mutant
            lines += vectors_text.lines_of_vector(mutant)
    replay = replayed(tmp_path / "mutants.txt", lines)
    passed = sorted(set(described) - {name for name, _ in replay.failures})
    assert not passed, [described[name] for name in passed[:3]]
    assert len(described) > 100


def test_wrong_numbers_are_found(tmp_path: Path) -> None:
    numbers = vectors.own_numbers()
    lines = []
    for section, entries in numbers.items():
        for entry in entries:
            for key in entry:
                wrong: Any = copy.deepcopy(entry)
                if isinstance(wrong[key], dict):
                    wrong[key]["3"] = (wrong[key]["3"] + 1) % 3
                elif section == "hashes" and key == "key":
                    wrong[key] += "x"
                elif section == "zlib" and key != "raw":
                    wrong[key] = flipped(wrong[key], 7)  # in the first literal: the rest may not matter
                else:
                    wrong[key] = changed(wrong[key], None)
                lines += vectors_text.lines_of_file({section: [wrong]})
    replay = replayed(tmp_path / "numbers.txt", lines)
    # Two lines come of one zlib entry; with `full` or `unfinished` wrong the other one is right.
    right = 2 * len(numbers["zlib"])
    assert (replay.passed, len(replay.failures)) == (right, len(lines) - right)


def _wrong(result: Any) -> Any:
    """Almost what a function of the client's gave."""
    if result is None:
        return None
    if isinstance(result, dict):
        return {**result, "more": "x"}
    if isinstance(result, str):
        return result + "x"
    if isinstance(result, bytes):
        return result + b"x"
    return not result if isinstance(result, bool) else result + 1


_ACCESSORS = ("data", "properties", "partition_key", "ordering_key", "event_timestamp", "publish_timestamp",
              "has_null_value", "producer_name", "sequence_id", "schema_version", "redelivery_count", "batch_place")
_COMMANDS = ("connect", "auth_response", "partitioned_metadata", "lookup", "producer", "close")
_CONSUMER_COMMANDS = ("subscribe", "flow", "ack")
_REQUESTS = ("redeliver", "seek", "get_last_message_id", "unsubscribe", "get_topics_of_namespace", "get_schema",
             "get_or_create_schema")
_OF_IDS = ("ledger_id", "entry_id", "partition", "batch_index", "batch_size", "serialize")


@pytest.mark.parametrize(("owner", "function"), [
    *[(Message, name) for name in _ACCESSORS], *[(commands, name) for name in _COMMANDS],
    *[(consumer_commands, name) for name in _CONSUMER_COMMANDS],
    *[(consumer_requests, name) for name in _REQUESTS], *[(MessageId, name) for name in _OF_IDS],
    (vector_encode, "command"), (BatchRing, "frame_end"), (Fields, "text"), (Fields, "bytes"),
])
def test_a_wrong_client_is_found(owner: Any, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function of the client's that a replay goes through, giving almost what it should."""
    right = getattr(owner, function)
    monkeypatch.setattr(owner, function, lambda *args, **named: _wrong(right(*args, **named)))
    monkeypatch.setattr(vector_feed, "_EVERY_PAIR", 0)
    replay = Replay()
    for path in vectors.own_paths():
        if path.name != "large.txt":
            replay.file(path)
    assert replay.failures


def test_a_client_that_hears_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the commands that a client gets, each one that its connection passes over fails."""
    kinds = {entry["name"] for entry in vectors.own_entries()["received.txt"]}
    monkeypatch.setattr(Connection, "feed", lambda connection, count, now: None)
    replay = Replay()
    replay.file(vectors.FOLDER / "received.txt")
    assert {name for name, _ in replay.failures} == kinds


def as_json(path: Path, entries: list[Entry], **more: Any) -> Path:
    """A JSON file of vectors."""
    path.write_text(json.dumps({"about": {}, "vectors": entries, **more}))
    return path


def test_check_replays_json_everywhere(tmp_path: Path, micropython: interpreters.Interpreter,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    path = as_json(tmp_path / "own.json", vectors.own_entries()["ids.txt"], **vectors.own_numbers())
    assert vectors.check([str(path)]) == 0
    said = capsys.readouterr().out
    assert f"\n{micropython.name}: " in said and ", 0 failed" in said and said.startswith("cpython-")
    assert "what no producer, consumer or reader needs: none" in said


def test_check_fails_everywhere_for_one_digit(tmp_path: Path, interpreters: list[Any],
                                              capsys: pytest.CaptureFixture[str]) -> None:
    entries = copy.deepcopy(vectors.own_entries()["frames.txt"])
    victim = next(entry for entry in entries if entry["name"] == "batch-of-2")
    victim["hex"] = flipped(victim["hex"], -1)
    assert vectors.check([str(as_json(tmp_path / "wrong.json", entries))]) == 1
    said = capsys.readouterr().out
    assert said.count("FAILED batch-of-2: encode: expected ") == len(interpreters) + 1
    assert said.count(f": {len(entries) - 1} passed, 1 failed") == len(interpreters) + 1


def test_what_nobody_needs_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {entry["name"]: entry for entry in vectors.own_entries()["frames.txt"]}
    foreign = copy.deepcopy(chosen["send-zlib"])
    foreign["metadata"]["compression"] = "LZ4"
    del foreign["hex"]
    foreign = vectors_oracle.completed(foreign)
    transaction = {**command("transaction", "NEW_TXN", request_id=1), "hex": "0832920302" "0801"}
    path = as_json(tmp_path / "foreign.json", [foreign, transaction, chosen["frame-ping"]])
    assert vectors.check([str(path)]) == 0
    said = capsys.readouterr().out
    assert "needs: send-zlib, transaction\n" in said and ": 3 passed, 0 failed" in said


@pytest.mark.parametrize("content", [
    {"vectors": [], "extras": []},
    {"vectors": [{**ENTRIES[0], "comment": "?"}]},
    {"vectors": [{**ENTRIES[0], "hex": "0g"}]},
    {"vectors": [{"name": "x", "message": "BaseCommand", "fields": {"type": "NO_SUCH"}, "hex": ""}]},
    {"vectors": [{"name": "x", "message": "CommandSuccess", "fields": {"reqest_id": 1}, "hex": ""}]},
    {"vectors": [{"name": "x", "message": "CommandSuccess", "fields": {"request_id": "1"}, "hex": ""}]},
])
def test_a_file_that_is_not_understood_is_refused(content: dict[str, Any], tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "strange.json"
    path.write_text(json.dumps(content))
    assert vectors.check([str(path)]) == 1
    assert "cannot be read as vectors" in capsys.readouterr().err


def test_a_file_without_vectors_does_not_pass(tmp_path: Path) -> None:
    assert vectors.check([str(as_json(tmp_path / "empty.json", []))]) == 1


def test_missing_interpreters_fail_where_all_are_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    path = as_json(tmp_path / "ids.json", vectors.own_entries()["ids.txt"])
    monkeypatch.setattr(interpreters, "found", list)
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    assert vectors.check([str(path)]) == 0
    monkeypatch.setenv("REQUIRE_ALL", "1")
    assert vectors.check([str(path)]) == 1
    assert "MicroPython not had: debian 32-bit, debian 64-bit, wheel 64-bit" in capsys.readouterr().out
