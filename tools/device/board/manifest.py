"""What is frozen into the emulated board's firmware: MicroPython's own modules, the package, and the way out."""
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
include("../project/manifest.py")
module("emulated_network.py")
