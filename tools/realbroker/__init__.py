"""Runs a real Apache Pulsar broker on this machine, for tests, benches and `make broker-real`.

`jars` fetches the broker, `processes` keeps a Java process in hand, `rest` speaks to the admin interface, and
`standalone` makes them into a whole Pulsar in one process, `cluster` into two brokers. Needs Java 17 or later and,
to fetch the jars the first time, Maven; it needs no Pulsar distribution.
"""
