"""For a board's manifest.py: `include("path/to/this/manifest.py")` freezes the package into the firmware."""
metadata(
    description="Apache Pulsar client in plain Python",
    version="0.1.0",
    license="MIT",
    author="mpy_pulsar developers",
)

# 3: line numbers and asserts are left out.
package("mpy_pulsar", opt=3)
