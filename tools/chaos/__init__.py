"""Chaos: numbered messages go through links that are cut and brokers that die, and every one is accounted for.

`faults` draws what happens to links from a seed, `proxy` does it to TCP connections, `programs/` are what sends and
receives (CPython and MicroPython sources), `running` starts them, `fates` compares what they were told with what a
topic holds, which `official` reads with pulsar-client. `dev` and `real` are the brokers with what can be done to
them, `story` is one whole run against any of them, `recovery` times the way back, `fleet` is many clients in
one process, `report` writes the figures. `python -m tools.chaos --help` runs them.
"""
