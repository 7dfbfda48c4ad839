"""The class of each RISC-V instruction in a stretch of code: what its time depends on.

Encodings: The RISC-V Instruction Set Manual, volume I, chapters "RV32/64G Instruction Set
Listings" and "C Extension" (tables of the three quadrants).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt


class Kind(IntEnum):
    """Classes of instructions; NONE is the second half of a 32-bit one."""

    NONE = 0
    ALU = 1  # also CSR accesses and fences, of which the runtime has none
    LOAD = 2
    STORE = 3
    MULTIPLY = 4
    DIVIDE = 5
    BRANCH = 6
    JUMP = 7  # calls and returns too
    FLOAT = 8
    FLOAT_DIVIDE = 9  # and square root


def starts(code: bytes) -> npt.NDArray[np.uint8]:
    """1 for each halfword where an instruction begins, in code without data between functions."""
    halfwords = np.frombuffer(code, "<u2")
    wide = (halfwords & 3) == 3
    out = np.ones(len(halfwords), np.uint8)
    for at in np.flatnonzero(wide):  # only a wide one makes the next halfword no beginning
        if out[at] and at + 1 < len(out):
            out[at + 1] = 0
    return out


def kinds(code: bytes) -> npt.NDArray[np.uint8]:
    """The `Kind` of the instruction that begins at each halfword."""
    begins = starts(code)
    low = np.frombuffer(code, "<u2").astype(np.uint32)
    word = low | np.append(low[1:], np.uint32(0)) << np.uint32(16)
    wide = (low & 3) == 3
    out = np.where(wide, _wide(word), _compressed(low)).astype(np.uint8)
    out[begins == 0] = Kind.NONE
    return out


_OPCODES: Final = {
    0x03: Kind.LOAD, 0x07: Kind.LOAD, 0x23: Kind.STORE, 0x27: Kind.STORE, 0x2F: Kind.LOAD,
    0x63: Kind.BRANCH, 0x67: Kind.JUMP, 0x6F: Kind.JUMP, 0x43: Kind.FLOAT, 0x47: Kind.FLOAT,
    0x4B: Kind.FLOAT, 0x4F: Kind.FLOAT, 0x53: Kind.FLOAT,
}


def _wide(word: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    table = np.full(128, Kind.ALU, np.uint8)
    table[list(_OPCODES)] = list(_OPCODES.values())
    opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
    out: npt.NDArray[np.uint8] = table[opcode]
    multiply = (opcode == 0x33) & (funct7 == 1)
    out[multiply & (funct3 < 4)] = Kind.MULTIPLY
    out[multiply & (funct3 >= 4)] = Kind.DIVIDE
    out[(opcode == 0x53) & ((funct7 >> 2 == 0x03) | (funct7 >> 2 == 0x0B))] = Kind.FLOAT_DIVIDE
    return out


# By quadrant (the low two bits) and funct3 (the top three).
_COMPRESSED: Final = {
    (0, 1): Kind.LOAD, (0, 2): Kind.LOAD, (0, 3): Kind.LOAD,
    (0, 5): Kind.STORE, (0, 6): Kind.STORE, (0, 7): Kind.STORE,
    (1, 1): Kind.JUMP, (1, 5): Kind.JUMP, (1, 6): Kind.BRANCH, (1, 7): Kind.BRANCH,
    (2, 1): Kind.LOAD, (2, 2): Kind.LOAD, (2, 3): Kind.LOAD,
    (2, 5): Kind.STORE, (2, 6): Kind.STORE, (2, 7): Kind.STORE,
}


def _compressed(half: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    table = np.full((4, 8), Kind.ALU, np.uint8)
    for place, kind in _COMPRESSED.items():
        table[place] = kind
    quadrant, funct3 = half & 3, half >> 13
    out: npt.NDArray[np.uint8] = table[quadrant, funct3]
    # c.jr and c.jalr: one register, and no second one
    one_register = ((half >> 7 & 31) != 0) & ((half >> 2 & 31) == 0)
    out[(quadrant == 2) & (funct3 == 4) & one_register] = Kind.JUMP
    return out
