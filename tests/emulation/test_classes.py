"""The class of each instruction, against binutils' disassembler and by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ternc.emulation.classes import Kind, kinds, starts
from ternc.emulation.elf import read_elf
from ternc.emulation.program import of_compiled
from ternc.emulation.toolchain import builder_for
from tests.emulation.tools import gesture, needs_emulator

OBJDUMP = "riscv64-unknown-elf-objdump"
BY_HAND = [
    (0x00150513, Kind.ALU), (0x0040A103, Kind.LOAD), (0x00112223, Kind.STORE),
    (0x02B50533, Kind.MULTIPLY), (0x02B51533, Kind.MULTIPLY), (0x02B54533, Kind.DIVIDE),
    (0x02B57533, Kind.DIVIDE), (0x00B50533, Kind.ALU), (0xFE0518E3, Kind.BRANCH),
    (0x0000006F, Kind.JUMP), (0x00008067, Kind.JUMP), (0x00052507, Kind.LOAD),
    (0x00A52027, Kind.STORE), (0x00B57553, Kind.FLOAT), (0x18B57553, Kind.FLOAT_DIVIDE),
    (0x58057553, Kind.FLOAT_DIVIDE), (0x60B57543, Kind.FLOAT), (0xC02022F3, Kind.ALU),
    (0x4501, Kind.ALU), (0x8082, Kind.JUMP), (0x9002, Kind.ALU), (0x852E, Kind.ALU),
    (0x9282, Kind.JUMP), (0x4108, Kind.LOAD), (0xC108, Kind.STORE), (0x4502, Kind.LOAD),
    (0xC02A, Kind.STORE), (0xA001, Kind.JUMP), (0x2001, Kind.JUMP), (0xC101, Kind.BRANCH),
    (0xE101, Kind.BRANCH), (0x0001, Kind.ALU), (0x0028, Kind.ALU), (0x0000, Kind.ALU),
]


@pytest.mark.parametrize(("word", "kind"), BY_HAND)
def test_by_hand(word: int, kind: Kind) -> None:
    code = struct.pack("<I" if word & 3 == 3 else "<H", word)
    assert list(kinds(code)) == [kind] + [Kind.NONE] * (len(code) // 2 - 1)


def test_starts() -> None:
    code = struct.pack("<HIIH", 0x0001, 0x02B50533, 0x00B50533, 0x8082)
    assert list(starts(code)) == [1, 1, 0, 1, 0, 1]
    assert list(starts(struct.pack("<H", 0x0533))) == [1]  # cut off


_NAMES = {
    Kind.LOAD: "lb lbu lh lhu lw flw c.lw lr.w amoadd.w", Kind.STORE: "sb sh sw fsw",
    Kind.MULTIPLY: "mul mulh mulhu mulhsu", Kind.DIVIDE: "div divu rem remu",
    Kind.BRANCH: "beq bne blt bltu bge bgeu beqz bnez blez bgez bltz bgtz bgt bgtu ble bleu",
    Kind.JUMP: "j jal jr jalr ret",
    Kind.FLOAT_DIVIDE: "fdiv.s fsqrt.s",
}


@needs_emulator
@pytest.mark.skipif(shutil.which(OBJDUMP) is None, reason="needs binutils-riscv64-unknown-elf")
@pytest.mark.parametrize(
    "isa", ["rv32imc", pytest.param("rv32imafc", marks=pytest.mark.slow)])
def test_against_the_disassembler(isa: str, tmp_path: Path) -> None:
    by_name = {name: kind for kind, names in _NAMES.items() for name in names.split()}
    elf = builder_for(None).build(of_compiled(gesture("float32")), isa)
    (tmp_path / "model.elf").write_bytes(elf)
    done = subprocess.run([OBJDUMP, "-d", "-j", ".text", "model.elf"], cwd=tmp_path, check=True,
                          capture_output=True, text=True)
    text = read_elf(elf).section(".text")
    found = kinds(text.data)
    wanted = np.zeros(len(found), np.uint8)
    for line in done.stdout.splitlines():
        parts = line.split("\t")
        if len(parts) < 3:
            continue
        name = parts[2].strip()
        kind = by_name.get(name)
        if kind is None:
            kind = Kind.FLOAT if name.startswith("f") and name != "fence" else Kind.ALU
        wanted[(int(parts[0].strip(" :"), 16) - text.address) // 2] = kind
    listed = wanted != Kind.NONE  # objdump leaves out runs of zeros between functions
    assert listed.sum() > 1000
    np.testing.assert_array_equal(found[listed], wanted[listed])
    executed = {Kind(int(kind)) for kind in np.unique(found)}
    assert {Kind.LOAD, Kind.STORE, Kind.MULTIPLY, Kind.BRANCH, Kind.JUMP} <= executed
