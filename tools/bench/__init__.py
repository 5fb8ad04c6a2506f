"""How many messages a second clients get acknowledged by Apache Pulsar itself: `python -m tools.bench`."""
