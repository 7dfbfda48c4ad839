"""How long a chip waits for what it reads from flash: the one place that says so (estimates).

A cache line costs 24 clocks of command, address and dummy and two for each byte, which is quad SPI
(QIO) at 80 MHz, without prefetch. In DIO mode, with two data lines, the data take twice as long.
"""

from typing import Final

HZ: Final = 80_000_000
MODE: Final = "quad SPI at 80 MHz"
LINE: Final = 32  # bytes of a cache line of the ESP32-C3
_OVERHEAD: Final = 24  # clocks
_CLOCKS_A_BYTE: Final = 2


def line_seconds(line: int = LINE) -> float:
    """The wait for one cache line of `line` bytes, in seconds."""
    return (_OVERHEAD + _CLOCKS_A_BYTE * line) / HZ


def byte_seconds() -> float:
    """The wait for each byte of whole lines that are read once, in seconds."""
    return line_seconds() / LINE
