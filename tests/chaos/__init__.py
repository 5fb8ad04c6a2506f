"""Chaos in a short form: seeded faults of links and brokers, and every message accounted for."""
