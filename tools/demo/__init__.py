"""`make demo`: a MicroPython process publishes readings of this machine to an embedded broker, another reads them."""
