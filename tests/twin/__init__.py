"""Tests on CPython alone: pytest, protobuf as oracle, hypothesis."""
