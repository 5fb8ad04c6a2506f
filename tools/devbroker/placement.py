"""Which instance serves which topic, and what a LOOKUP is answered with. No asyncio, no sockets.

A real cluster places bundles of topics; here every topic is placed for itself. A single broker has a placement of its
own, in which it serves all that was looked up.
"""

import enum
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.devbroker.frames import Refused, ServerError

if TYPE_CHECKING:
    from tools.devbroker.server import DevBroker


class LookupMode(enum.Enum):
    """How a cluster answers LOOKUP."""

    CONNECT = "connect"
    """With the owner's URL, wherever the client asks; a topic nobody serves gets its owner at once."""
    REDIRECT = "redirect"
    """As Pulsar's default load manager. While nobody serves the topic: a Redirect to the leader (the first instance
    that is up), which serves it, or redirects to the instance it chose with `authoritative` set. Once somebody serves
    it every instance answers with its URL."""
    ALWAYS_REDIRECT = "always_redirect"
    """As REDIRECT, and instances redirect to the owner of a topic that is served, `authoritative` set."""


@dataclass(frozen=True)
class LookupAnswer:
    """What LOOKUP is answered with: to connect to that broker, or to ask it."""

    broker: "DevBroker"
    redirect: bool = False
    authoritative: bool = True


class Placement:
    """The topics of one or more instances, by full name."""

    def __init__(self, mode: LookupMode = LookupMode.CONNECT) -> None:
        self.mode = mode
        self.instances: Sequence[DevBroker] = ()
        self.preferred: dict[str, DevBroker] = {}
        """Where a topic is to be served, if that instance is up; else the choice follows from its name."""
        self.transferring: set[str] = set()
        """Topics that are moving just now: their SENDs and ACKs are dropped."""
        self._owners: dict[str, DevBroker] = {}

    def owner(self, topic: str) -> "DevBroker | None":
        """The instance that serves the topic, None if nobody does."""
        return self._owners.get(topic)

    def look_up(self, asked: "DevBroker", topic: str, authoritative: bool) -> LookupAnswer:
        """What `asked` answers, and the owner's entry if this makes one. Raises Refused when no instance is up."""
        owner = self._owners.get(topic)
        if owner is not None:
            if self.mode is LookupMode.ALWAYS_REDIRECT and owner is not asked:
                return LookupAnswer(owner, redirect=True)
            return LookupAnswer(owner)
        up = [instance for instance in self.instances if instance.is_up]
        if not up:
            raise Refused(ServerError.ServiceNotReady, "no broker is up")
        chosen = self._choose(topic, up)
        if self.mode is not LookupMode.CONNECT:
            if authoritative:
                chosen = asked
            elif asked is not up[0]:
                return LookupAnswer(up[0], redirect=True, authoritative=False)
            elif chosen is not asked:
                return LookupAnswer(chosen, redirect=True)
        self._owners[topic] = chosen
        return LookupAnswer(chosen)

    def _choose(self, topic: str, up: "list[DevBroker]") -> "DevBroker":
        preferred = self.preferred.get(topic)
        return preferred if preferred in up else up[zlib.crc32(topic.encode()) % len(up)]

    def assign(self, topic: str, owner: "DevBroker") -> None:
        """From now on that instance serves the topic."""
        self._owners[topic] = self.preferred[topic] = owner

    def drop(self, topic: str) -> None:
        """Nobody serves the topic any more, until it is looked up again."""
        self._owners.pop(topic, None)

    def forget(self, broker: "DevBroker") -> None:
        """That instance serves nothing any more."""
        self._owners = {topic: owner for topic, owner in self._owners.items() if owner is not broker}
