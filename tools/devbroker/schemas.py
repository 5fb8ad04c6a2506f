"""Schemas of topics, simple but real: versions from 0, the same schema is the same version, the type never changes.

A real broker compares definitions of one type as well; here any two of them go together.
"""

from typing import TYPE_CHECKING, Any

from tools.devbroker.frames import Refused, ServerError, api

if TYPE_CHECKING:
    from tools.devbroker.names import TopicName

_TYPE = api.Schema.Type
AUTO_CONSUME = _TYPE.Value("AutoConsume")
"""The type of a consumer that takes whatever schema there is."""
NO_VERSION = b""
_VERSION_BYTES = 8


class SchemaRegistry:
    """The schemas of all topics; the partitions of a topic have theirs in common."""

    def __init__(self) -> None:
        self._schemas: dict[str, list[Any]] = {}

    def put(self, topic_name: "TopicName", schema: Any) -> bytes:
        """The version of a schema, new if the topic did not have it. Raises Refused (IncompatibleSchema)."""
        versions = self._schemas.setdefault(_schema_name(topic_name), [])
        for number, known in enumerate(versions):
            if (known.type, known.schema_data) == (schema.type, schema.schema_data):
                return _version(number)
        if versions:
            _check_type(versions[-1], schema)
        kept = api.Schema()
        kept.CopyFrom(schema)
        kept.name = _schema_name(topic_name)
        versions.append(kept)
        return _version(len(versions) - 1)

    def check(self, topic_name: "TopicName", schema: Any) -> None:
        """Whether a consumer's schema goes with the topic's. Raises Refused (IncompatibleSchema)."""
        versions = self._schemas.get(_schema_name(topic_name))
        if not versions:
            text = f"Failed to add schema to an active topic with empty(BYTES) schema: new schema type {_name(schema)}"
            raise Refused(ServerError.IncompatibleSchema, text)
        _check_type(versions[-1], schema)

    def has_any(self, topic_name: "TopicName") -> bool:
        """Whether the topic has a schema."""
        return bool(self._schemas.get(_schema_name(topic_name)))

    def get(self, topic_name: "TopicName", version: bytes = NO_VERSION) -> tuple[Any, bytes] | None:
        """The schema of that version, or the newest, and its version; None if there is none."""
        versions = self._schemas.get(_schema_name(topic_name), [])
        number = int.from_bytes(version, "big") if version else len(versions) - 1
        return (versions[number], _version(number)) if 0 <= number < len(versions) else None


def _schema_name(topic_name: "TopicName") -> str:
    return f"{topic_name.full_namespace}/{topic_name.parent.local_name}"


def _version(number: int) -> bytes:
    return number.to_bytes(_VERSION_BYTES, "big")


def _name(schema: Any) -> str:
    return _TYPE.Name(schema.type).upper()


def _check_type(existing: Any, schema: Any) -> None:
    if existing.type != schema.type:
        text = f"Incompatible schema: exists schema type {_name(existing)}, new schema type {_name(schema)}"
        raise Refused(ServerError.IncompatibleSchema, text)
