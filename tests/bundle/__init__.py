"""Tests of tools.bundle: each step, the artifact, and what the sources promise."""
