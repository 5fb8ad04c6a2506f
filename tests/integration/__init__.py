"""Tests against a running broker: the development broker and Apache Pulsar itself."""
