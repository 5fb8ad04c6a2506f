"""What a story needs of the broker it is told at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tools.chaos.proxy import ProxyThread


@dataclass(frozen=True)
class Deed:
    """Something that is done to a broker. weight: how often, compared with the others."""

    weight: int
    do: Callable[[], None]


class Place(Protocol):
    """A broker, or several, with fault proxies before them."""

    proxies: ProxyThread

    @property
    def sending_url(self) -> str:
        """The service URL for what sends, by way of the proxies."""
        ...

    @property
    def receiving_url(self) -> str:
        """The same for what receives."""
        ...

    @property
    def direct_url(self) -> str:
        """That of the broker itself."""
        ...

    @property
    def sending_listener(self) -> str:
        """The listener whose addresses are the proxies of what sends, "" where there is but one."""
        ...

    @property
    def receiving_listener(self) -> str:
        """The same for what receives."""
        ...

    @property
    def namespace(self) -> str:
        """With deduplication: tenant/namespace."""
        ...

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """What can be done to the broker, by name."""
        ...

    def backlog(self, topic: str, subscription: str) -> int:
        """How many entries of the topic are not acknowledged."""
        ...

    def mend(self) -> None:
        """Have the broker work again, whatever was done to it."""
