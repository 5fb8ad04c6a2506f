"""An emulated board: firmware of the RP2040 with this package in it, the chip that runs it, and its way out."""
