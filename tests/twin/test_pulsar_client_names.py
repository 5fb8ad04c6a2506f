"""Our methods and parameters against those of pulsar.asyncio: each difference stands here with its reason."""
from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import mpy_pulsar
from mpy_pulsar.consumer import Consumer
from mpy_pulsar.features.new_consumer import make_consumer
from mpy_pulsar.core.message import Message
from mpy_pulsar.features import options as unbuilt
from mpy_pulsar.features.reader import Reader, make_reader
from mpy_pulsar.features.new_producer import make_producer
from mpy_pulsar.producer import Producer

pulsar = pytest.importorskip("pulsar")
peer = pytest.importorskip("pulsar.asyncio")

TABLES = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"

CLASSES = [
    (peer.Client, mpy_pulsar.Client),
    (peer.Producer, Producer),
    (peer.Consumer, Consumer),
    (peer.Reader, Reader),
    (pulsar.Message, Message),
    (pulsar.MessageId, mpy_pulsar.MessageId),
]

METHODS_LEFT_OUT = {
    "Message.encryption_context": "messages are never decrypted: an encrypted entry is reported, not delivered",
    "MessageId.wrap": "wraps an object of the C++ core, which is not there",
}

PARAMETERS_LEFT_OUT = {
    "MessageId.deserialize.message_id_bytes": "named data here: there is one way to give it",
    "MessageId.deserialize.topic": "a message id of ours does not carry its topic",
}


def public(kind: type) -> dict[str, object]:
    """Methods by name."""
    return {name: member for name, member in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def parameters(function: object) -> list[str]:
    """Names of parameters, without self."""
    return [name for name in inspect.signature(function).parameters if name != "self"]  # type: ignore[arg-type]


@pytest.mark.parametrize(("theirs", "ours"), CLASSES, ids=lambda kind: kind.__name__)
def test_every_method_is_there_and_takes_the_same(theirs: type, ours: type) -> None:
    missing = []
    for name, function in public(theirs).items():
        label = f"{theirs.__name__}.{name}"
        if not hasattr(ours, name):
            if not METHODS_LEFT_OUT.get(label):
                missing.append(label)
            continue
        mine = parameters(getattr(ours, name))
        if "options" in mine:
            continue  # its parameters are those of the maker, compared below
        missing += [
            f"{label}({parameter})" for parameter in parameters(function)
            if parameter not in mine and not PARAMETERS_LEFT_OUT.get(f"{label}.{parameter}")
            and not ("others" in mine and parameter in unbuilt._KNOWN.get(name, ()))
        ]
    assert not missing


@pytest.mark.parametrize(("theirs", "ours"), CLASSES[:4], ids=lambda kind: kind.__name__)
def test_what_is_awaited_there_is_awaited_here(theirs: type, ours: type) -> None:
    for name, function in public(theirs).items():
        if hasattr(ours, name) and not name.startswith("_"):
            assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(getattr(ours, name)), name


@pytest.mark.parametrize(("name", "maker"), [
    ("create_producer", make_producer), ("subscribe", make_consumer), ("create_reader", make_reader),
])
def test_every_option_is_taken_or_refused_by_its_name(name: str, maker: object) -> None:
    mine = parameters(maker)
    assert "others" in mine
    for option in parameters(getattr(peer.Client, name)):
        taken, refused = option in mine, option in unbuilt._KNOWN[name]
        assert taken != refused, f"{name}({option}): {'both taken and refused' if taken else 'nobody knows it'}"


def test_every_option_of_the_client_is_taken_or_refused_by_its_name() -> None:
    mine = parameters(mpy_pulsar.Client.__init__)
    for option in parameters(pulsar.Client.__init__):
        assert (option in mine) != (option in unbuilt._KNOWN["Client"]), option


def test_no_reason_is_given_for_what_is_there() -> None:
    ours = {theirs.__name__: kind for theirs, kind in CLASSES}
    for label in METHODS_LEFT_OUT:
        kind, method = label.split(".")
        assert not hasattr(ours[kind], method), label


def test_the_tables_for_newcomers_name_what_there_is() -> None:
    """Every call of the middle columns, such as `producer.send(…)`, exists."""
    kinds = {"client": mpy_pulsar.Client, "producer": Producer, "consumer": Consumer, "message": Message,
             "reader": Reader, "MessageId": mpy_pulsar.MessageId}
    seen = 0
    for line in TABLES.read_text().splitlines():
        cells = line.split("|")
        if len(cells) < 5:
            continue
        for owner, method in re.findall(r"\b(client|producer|consumer|message|reader|MessageId)\.([a-z_]+)", cells[2]):
            assert hasattr(kinds[owner], method), line
            seen += 1
    assert seen > 20
