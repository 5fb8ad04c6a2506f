"""Credentials on links that are not encrypted; loaded where there are such links."""


def is_loopback(host):
    """Does this name or address never leave the machine? bool."""
    if host == "localhost" or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def refuse_plaintext(host, error_class):
    """Raise `error_class` for a secret that would go to `host` in the clear, unless it stays on this machine."""
    if not is_loopback(host):
        raise error_class(
            "the token would go to %s in the clear: use pulsar+ssl://, or allow_plaintext_token=True in a network that"
            " you trust" % host
        )
