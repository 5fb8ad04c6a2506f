"""Settings that a broker has for all its topics, a namespace for its own, and a topic for itself: the nearest wins."""

from dataclasses import dataclass, fields, replace
from typing import Any

from tools.devbroker.names import TopicName


@dataclass(frozen=True)
class Policy:
    """One level of settings, named after the broker's; None leaves a setting to the wider level."""

    deduplication: bool | None = None
    """Drop messages whose sequence id a producer of that name has sent before."""
    auto_topic_creation: bool | None = None
    """Make topics when somebody first asks for them; else TopicNotFound."""
    auto_partitions: int | None = None
    """Of topics made so, how many partitions those get that are asked for by PARTITIONED_METADATA; 0: none."""
    max_message_size: int | None = None
    """The largest SEND a topic takes, in bytes of all that follows the command; 0: no limit of its own."""
    max_delivery_delay_ms: int | None = None
    """The longest time from publish_time to deliver_at_time; 0: no limit."""
    schema_validation: bool | None = None
    """Refuse producers without a schema on topics that have one."""


DEFAULTS = Policy(
    deduplication=False,
    auto_topic_creation=True,
    auto_partitions=0,
    max_message_size=0,
    max_delivery_delay_ms=0,
    schema_validation=False,
)


class Policies:
    """The settings of a broker, by namespace ("tenant/namespace") and by topic (full name)."""

    def __init__(self, **of_the_broker: Any) -> None:
        self._broker = replace(DEFAULTS, **of_the_broker)
        self._levels: dict[str, Policy] = {}
        self._known: dict[str, Policy] = {}

    def set(self, name: str | None, **settings: Any) -> None:
        """Change settings of a namespace or a topic, or with None of the broker. Raises TypeError for unknown ones."""
        self._known.clear()
        if name is None:
            self._broker = replace(self._broker, **settings)
        else:
            key = TopicName.parse(name).full if "://" in name or name.count("/") != 1 else name
            self._levels[key] = replace(self._levels.get(key, Policy()), **settings)

    def of(self, topic_name: TopicName) -> Policy:
        """The settings of a topic; a partition has those of its topic."""
        known = self._known.get(topic_name.full)
        if known is not None:
            return known
        names = (topic_name.full, topic_name.parent.full, topic_name.full_namespace)
        levels = [self._levels[name] for name in names if name in self._levels] + [self._broker]
        policy = Policy(**{field.name: _first(levels, field.name) for field in fields(Policy)})
        self._known[topic_name.full] = policy
        return policy


def _first(levels: list[Policy], setting: str) -> Any:
    return next(value for level in levels if (value := getattr(level, setting)) is not None)
