"""Topic names as a broker reads them: short and full forms, partitions, and which are invalid."""

import re
from dataclasses import dataclass

PERSISTENT = "persistent"
NON_PERSISTENT = "non-persistent"
_NAMED_ENTITY = re.compile(r"[-=:.\w]+", re.ASCII)
_PARTITION = re.compile(r"-partition-(0|[1-9][0-9]*)\Z")


class InvalidTopicName(ValueError):
    """A topic name that no broker takes."""


@dataclass(frozen=True)
class TopicName:
    """A topic name in its four parts."""

    domain: str
    tenant: str
    namespace: str
    local_name: str

    @property
    def full(self) -> str:
        """The full form, `persistent://tenant/namespace/name`."""
        return f"{self.domain}://{self.tenant}/{self.namespace}/{self.local_name}"

    @property
    def full_namespace(self) -> str:
        """`tenant/namespace`."""
        return f"{self.tenant}/{self.namespace}"

    @property
    def partition(self) -> int:
        """The index in the name of a partition (`...-partition-3`), else -1."""
        match = _PARTITION.search(self.local_name)
        return int(match.group(1)) if match else -1

    @property
    def parent(self) -> "TopicName":
        """Of a partition the partitioned topic it belongs to, else the topic itself."""
        local_name = _PARTITION.sub("", self.local_name)
        return TopicName(self.domain, self.tenant, self.namespace, local_name)

    @property
    def is_persistent(self) -> bool:
        """Whether its messages are stored."""
        return self.domain == PERSISTENT

    @classmethod
    def parse(cls, name: str) -> "TopicName":
        """Read a full name, `tenant/namespace/name`, or a bare `name` (of public/default). Raises InvalidTopicName."""
        domain, separator, rest = name.partition("://")
        if not separator:
            domain, rest = PERSISTENT, name if "/" in name else f"public/default/{name}"
        parts = rest.split("/")
        if domain not in (PERSISTENT, NON_PERSISTENT) or len(parts) != 3:
            raise InvalidTopicName(f"Invalid topic name: '{name}'")
        tenant, namespace, local_name = parts
        if not (_NAMED_ENTITY.fullmatch(tenant) and _NAMED_ENTITY.fullmatch(namespace) and local_name.strip()):
            raise InvalidTopicName(f"Invalid topic name: '{name}'")
        return cls(domain, tenant, namespace, local_name)
