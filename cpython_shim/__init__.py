"""The twin's half of what differs between MicroPython and CPython: one module for each seam of mpy_pulsar.

`port` (const, ticks, defaults), `kernels` (byte work, with google-crc32c where it is installed) and `stream` (sockets).
Importing it changes nothing in the interpreter: no module is replaced, no path touched.
"""
