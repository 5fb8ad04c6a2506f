"""Is there a network by which a name can be looked up? Loaded for the first name, on boards alone."""


def check(host):
    """Raise OSError where no name can be looked up now; on the RP2040 that would never return."""
    try:
        import network  # pyright: ignore[reportMissingImports]
    except ImportError:
        return
    if not hasattr(network, "WLAN"):
        return
    for other in ("LAN", "PPP", "WIZNET5K"):
        if hasattr(network, other):
            return  # that one may be up, and cannot be asked without its object
    if not network.WLAN(0).isconnected() and not network.WLAN(1).active():
        raise OSError("no Wi-Fi, so %s cannot be looked up" % host)
