"""What importing the package costs a board: bytes of .mpy files and bytes of heap; see docs/size.md."""
