"""What an administrator does to a real broker over REST: partitioned topics, settings, termination, unloading."""

import argparse
from typing import TYPE_CHECKING, Any

from tools.devbroker.names import InvalidTopicName, TopicName

if TYPE_CHECKING:
    from tools.devbroker.placement import Placement
    from tools.devbroker.store import Store


class Administration:
    """The administrator's side of DevBroker. Topics are named as clients name them, `topic` or in full."""

    store: "Store"
    placement: "Placement"

    def create_partitioned_topic(self, name: str, partitions: int) -> None:
        """Make a partitioned topic, or give one more partitions. Raises ValueError, InvalidTopicName."""
        self.store.create_partitioned(TopicName.parse(name), partitions)

    def set_policy(self, name: str | None, **settings: Any) -> None:
        """Change settings (`policies.Policy`) of a namespace "tenant/namespace" or a topic; None: of the broker."""
        self.store.policies.set(name, **settings)

    def terminate_topic(self, name: str) -> tuple[int, int]:
        """Have the topic take no more messages, for ever; ledger and entry id of its last one. Raises KeyError."""
        position = self.store.topics[TopicName.parse(name).full].terminate()
        self.store.changed()
        return position

    def unload_topic(self, name: str, lookup_needed: bool = True) -> None:
        """Close all producers and consumers of a topic; it goes on in a new ledger. Raises KeyError.

        `lookup_needed`: refuse it until somebody looks it up, as when its whole namespace was unloaded.
        """
        topic_name = TopicName.parse(name)
        topic = self.store.topics[topic_name.full]
        topic.close_all()
        self.store.reload(topic)
        if lookup_needed:
            self.placement.drop(topic_name.full)
        self.store.changed()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of topics on the command line."""
    group = parser.add_argument_group("topics")
    group.add_argument("--deduplication", action="store_true", help="drop messages a producer has sent before")
    group.add_argument(
        "--partitioned",
        action="append",
        default=[],
        type=_partitioned,
        metavar="TOPIC=N",
        help="a partitioned topic and its number of partitions; may be given several times",
    )
    group.add_argument("--no-auto-topic-creation", action="store_true", help="topics are not made on first use")
    group.add_argument("--auto-partitions", type=_count, default=0, metavar="N", help="topics made so get N partitions")
    group.add_argument("--max-topic-message-size", type=_count, default=0, metavar="BYTES", help="of one SEND")
    group.add_argument("--max-delivery-delay-ms", type=_count, default=0, metavar="MS", help="default: no limit")
    group.add_argument("--schema-validation", action="store_true", help="refuse producers that bring no schema")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of DevBroker that these options stand for."""
    return {
        "partitioned": dict(options.partitioned),
        "deduplication": options.deduplication,
        "policy": {
            "auto_topic_creation": not options.no_auto_topic_creation,
            "auto_partitions": options.auto_partitions,
            "max_message_size": options.max_topic_message_size,
            "max_delivery_delay_ms": options.max_delivery_delay_ms,
            "schema_validation": options.schema_validation,
        },
    }


def _partitioned(text: str) -> tuple[str, int]:
    name, _, count = text.rpartition("=")
    if not name or not count.isdecimal() or int(count) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not TOPIC=N with N from 1 on")
    try:
        topic_name = TopicName.parse(name)
    except InvalidTopicName as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if topic_name.partition >= 0:
        raise argparse.ArgumentTypeError(f"{name!r} is the name of a partition")
    return topic_name.full, int(count)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)
