"""Tests on an emulated RP2040: the port's own lwIP and asyncio, and the package frozen into the firmware."""
