"""Topic names as applications write them, checked before a byte goes to a broker; loaded for that alone."""


def full_topic(name):
    """A topic's full name, str; ValueError with what is wrong and what is accepted.

    "name" is persistent://public/default/name; "tenant/namespace/name" is persistent; full names pass.
    """
    if not isinstance(name, str) or not name:
        raise ValueError("a topic is a str that is not empty, not %r; lists and patterns are not supported" % (name,))
    domain, mark, path = name.partition("://")
    if not mark:
        domain = "persistent"
        path = name if "/" in name else "public/default/" + name
    parts = path.split("/")
    if domain not in ("persistent", "non-persistent") or len(parts) != 3 or "" in parts:
        raise ValueError(
            "topic %r: use NAME, TENANT/NAMESPACE/NAME or persistent://TENANT/NAMESPACE/NAME" % name
        )
    return domain + "://" + path
