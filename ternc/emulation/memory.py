"""Where things are in the emulated machine's memory, the same in both emulators.

Flash begins where QEMU's `virt` machine begins to execute. Each piece of RAM ends at a page of its
own, with nothing behind it in unicorn, so that an access outside is found. The exchange is no
memory of the chip: through it come inputs, and go outputs and counters.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ternc.emulation.errors import failed

PAGE: Final = 4096
FLASH: Final = 0x80000000
FLASH_BYTES: Final = 64 << 20
STACK: Final = 0x84001000  # the page below it is not there
STACK_BYTES: Final = 64 << 10
DATA: Final = STACK + STACK_BYTES
DATA_BYTES: Final = 1 << 20
ARENA: Final = 0x85000000
ARENA_BYTES: Final = 16 << 20
SLOW: Final = 0x86000000
SLOW_BYTES: Final = 32 << 20
EXCHANGE: Final = 0x88000000
EXCHANGE_BYTES: Final = 64 << 20
RAM_BYTES: Final = EXCHANGE + EXCHANGE_BYTES - FLASH  # of a machine that has it all

NOT_RUN: Final = 0x7FFFFFFF
TRAPPED: Final = 0x7FFFFFFE  # a status that no ternc_status is
_HEAD: Final = struct.Struct("<12I")


def pages(size: int) -> int:
    """Bytes of the whole pages that `size` bytes take, at least one."""
    return max(-(-size // PAGE), 1) * PAGE


@dataclass(frozen=True, slots=True)
class Exchange:
    """What goes into the emulated program and comes out of it.

    Words: samples, status, samples done, stack bytes, touched bytes of scratch, of slow scratch,
    addresses of inputs, outputs and marks, bytes of it all, and where a trap happened and why.
    """

    samples: tuple[bytes, ...]  # all inputs of each, one after the other
    output_bytes: int  # of one sample
    steps: int

    @property
    def _places(self) -> tuple[int, int, int, int]:
        inputs = 64
        outputs = inputs + sum(map(len, self.samples))
        marks = outputs + len(self.samples) * self.output_bytes
        marks += -marks % 4
        return inputs, outputs, marks, marks + 4 * len(self.samples) * (self.steps + 3)

    @property
    def size(self) -> int:
        """Bytes of it all."""
        return self._places[3]

    def pack(self) -> bytes:
        """The bytes that the program finds."""
        inputs, outputs, marks, size = self._places
        if size > EXCHANGE_BYTES:
            raise failed(f"the samples take {size:,} bytes, more than the emulator holds",
                         "emulate fewer samples")
        head = _HEAD.pack(len(self.samples), NOT_RUN, 0, 0, 0, 0, EXCHANGE + inputs,
                          EXCHANGE + outputs, EXCHANGE + marks, size, 0, 0)
        return (head.ljust(inputs, b"\0") + b"".join(self.samples)).ljust(size, b"\0")

    def unpack(self, data: bytes) -> Answer:
        """What the program left."""
        _, outputs, marks, size = self._places
        words = _HEAD.unpack_from(data)
        each = self.output_bytes
        count = self.steps + 3
        return Answer(
            status=words[1], done=words[2], stack_bytes=words[3], scratch_bytes=words[4],
            slow_bytes=words[5], trap=(words[10], words[11]),
            outputs=tuple(data[outputs + i * each : outputs + (i + 1) * each]
                          for i in range(len(self.samples))),
            marks=tuple(struct.unpack_from(f"<{count}I", data, marks + 4 * count * i)
                        for i in range(len(self.samples))) if len(data) >= size else ())


@dataclass(frozen=True, slots=True)
class Answer:
    """What an emulated program left in the exchange.

    `marks` are, per sample, values of the instruction counter: at each callback of the runtime,
    before the run and after it. `trap` is the address and RISC-V's cause.
    """

    status: int
    done: int
    stack_bytes: int
    scratch_bytes: int  # up to the last that was written to
    slow_bytes: int
    trap: tuple[int, int]
    outputs: tuple[bytes, ...]
    marks: tuple[tuple[int, ...], ...]
