"""Protobuf message classes of the Pulsar binary protocol, built at run time from the table of facts.

The table `tests/vectors/pulsar_api.json` names every message, field and enum; no generated code is kept. The classes
come from Google's protobuf runtime, so they share nothing with the hand-written codec of the package and can judge it:

    from tools.pulsar_api import classes, message_class

    api = classes()
    command = api.BaseCommand(type=api.BaseCommand.PING, ping=api.CommandPing())
    metadata = message_class("MessageMetadata").FromString(encoded)

Nested enums hang on their message (`BaseCommand.PING`, `BaseCommand.Type.Name(18)`), top-level enums are attributes of
`classes()` (`api.ServerError.ProducerBusy`, `api.ServerError.Name(16)`). Fields have proto2's explicit presence.
"""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

TABLE_PATH = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "pulsar_api.json"

_Field = descriptor_pb2.FieldDescriptorProto
_LABELS = {
    "optional": _Field.LABEL_OPTIONAL,
    "required": _Field.LABEL_REQUIRED,
    "repeated": _Field.LABEL_REPEATED,
}


@cache
def table() -> dict[str, Any]:
    """The table of facts: `package`, `syntax`, `messages` (name to fields) and `enums` (dotted name to values)."""
    with open(TABLE_PATH, encoding="utf-8") as file:
        return json.load(file)


@cache
def classes() -> SimpleNamespace:
    """All message classes, and the top-level enums, as attributes under their names in the protocol."""
    facts = table()
    pool = descriptor_pool.DescriptorPool()
    description = pool.AddSerializedFile(_file_description(facts).SerializeToString())
    names = SimpleNamespace()
    for name, descriptor in description.message_types_by_name.items():
        setattr(names, name, message_factory.GetMessageClass(descriptor))
    for name, descriptor in description.enum_types_by_name.items():
        setattr(names, name, EnumTypeWrapper(descriptor))
    return names


def message_class(name: str) -> Any:
    """The class of the message `name`, such as "BaseCommand". Raises KeyError for a name not in the table."""
    if name not in table()["messages"]:
        raise KeyError(f"no message {name!r} in {TABLE_PATH.name}")
    return getattr(classes(), name)


def enum_values(name: str) -> dict[str, int]:
    """Names and numbers of an enum, nested ones dotted ("CommandAck.AckType"). Raises KeyError for an unknown name."""
    return dict(table()["enums"][name])


def _file_description(facts: dict[str, Any]) -> descriptor_pb2.FileDescriptorProto:
    """The whole table as one proto2 file."""
    file = descriptor_pb2.FileDescriptorProto(
        name="pulsar_api.proto", package=facts["package"], syntax=facts["syntax"]
    )
    messages = {}
    for name, entry in facts["messages"].items():
        message = file.message_type.add(name=name)
        messages[name] = message
        for field in entry["fields"]:
            _add_field(message, field, facts["package"])
    for name, values in facts["enums"].items():
        owner, _, own_name = name.rpartition(".")
        enum = messages[owner].enum_type.add() if owner else file.enum_type.add()
        enum.name = own_name
        for value_name, number in values.items():
            enum.value.add(name=value_name, number=number)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, field: dict[str, Any], package: str) -> None:
    description = message.field.add(
        name=field["name"],
        number=field["number"],
        label=_LABELS[field["label"]],
        type=_Field.Type.Value("TYPE_" + field["type"].upper()),
    )
    if "ref" in field:
        description.type_name = f".{package}.{field['ref']}"
    if "default" in field:
        default = field["default"]
        description.default_value = str(default).lower() if isinstance(default, bool) else str(default)
    if "oneof" in field:
        groups = [group.name for group in message.oneof_decl]
        if field["oneof"] not in groups:
            message.oneof_decl.add(name=field["oneof"])
            groups.append(field["oneof"])
        description.oneof_index = groups.index(field["oneof"])
