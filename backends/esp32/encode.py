"""Program to blob: the byte layout of `runtime_c/BYTECODE.md`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from ternc.backends.esp32.isa import NO_TENSOR, TENSOR_KINDS, Kind, Operand
from ternc.backends.esp32.program import (
    Instruction,
    OperandValue,
    Port,
    Program,
    Region,
    Tensor,
)

MAGIC = b"TRNC"
VERSION = (1, 0)  # major, minor
ALIGNMENT = 16  # of the blob, its sections and every region
HEADER = struct.Struct("<4sHHIII3I")  # magic, major, minor, size, CRC, sections, needs
CRC_FROM = 16  # the checksum covers everything after itself
SECTION = struct.Struct("<4sIII")  # tag, length, flags, records
OPS = struct.Struct("<HH")  # code, revision
TENSOR = struct.Struct("<BBHII")  # dtype, region, zero, offset, size
PORT = struct.Struct("<IIIIfiI8iI")  # kind, tensor, name, type, scale, zero, rank, dims, zero
REQUIRED = 1
MAX_RANK = 8


@dataclass(slots=True)
class _Strings:
    """The STRS payload while it grows; offset 0 is the empty name."""

    payload: bytearray = field(default_factory=lambda: bytearray(1))
    offsets: dict[str, int] = field(default_factory=lambda: {"": 0})

    def add(self, text: str) -> int:
        # A zero byte would end the name in C.
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if text not in self.offsets:
            self.offsets[text] = len(self.payload)
            self.payload += text.encode("utf-8", "replace") + b"\0"
        return self.offsets[text]


def _little_endian(tensor: Tensor) -> bytes:
    assert tensor.data is not None
    return tensor.data.astype(tensor.data.dtype.newbyteorder("<"), copy=False).tobytes()


def _place_constants(tensors: list[Tensor]) -> tuple[bytes, int]:
    """Gives constants their offsets; the DATA payload and how many distinct ones it holds."""
    payload = bytearray()
    placed: dict[tuple[int, bytes], int] = {}
    for tensor in tensors:
        if tensor.region is not Region.CONSTANT:
            assert tensor.data is None, f"{tensor.name}: data outside the constants"
            continue
        align = max(4, tensor.alignment)
        assert ALIGNMENT % align == 0, f"{tensor.name}: alignment {align}"
        key = (align, _little_endian(tensor))
        if key not in placed:
            payload += bytes(-len(payload) % align)
            placed[key] = len(payload)
            payload += key[1]
        tensor.offset = placed[key]
    return bytes(payload), len(placed)


def _tensor(tensor: Tensor) -> bytes:
    assert tensor.offset is not None, f"{tensor.name} was not placed"
    assert tensor.nbytes > 0, f"{tensor.name} is empty"
    return TENSOR.pack(tensor.dtype.value, tensor.region.value, 0, tensor.offset, tensor.nbytes)


def _word(operand: Operand, value: OperandValue, index: dict[int, int]) -> bytes:
    if operand.kind in TENSOR_KINDS:
        if value is None:
            assert operand.optional, f"{operand.name} is not optional"
            return struct.pack("<I", NO_TENSOR)
        assert isinstance(value, Tensor), operand.name
        return struct.pack("<I", index[id(value)])
    assert value is not None, operand.name
    assert not isinstance(value, Tensor), operand.name
    if operand.kind is Kind.F32:
        return struct.pack("<f", np.float32(value))
    return struct.pack("<I" if operand.kind is Kind.U32 else "<i", int(value))


def _instruction(item: Instruction, index: dict[int, int]) -> bytes:
    opcode = item.opcode
    words = [
        _word(operand, value, index)
        for operand, value in zip(opcode.operands, item.operands, strict=True)
    ]
    return struct.pack("<I", opcode.code | len(words) << 16) + b"".join(words)


def _port(kind: int, port: Port, index: dict[int, int], strings: _Strings) -> bytes:
    assert len(port.shape) <= MAX_RANK, f"{port.name}: rank {len(port.shape)}"
    dims = (*port.shape, *(0,) * (MAX_RANK - len(port.shape)))
    return PORT.pack(
        kind, index[id(port.tensor)], strings.add(port.name), port.onnx_type,
        np.float32(port.scale or 0.0), port.zero_point, len(port.shape), *dims, 0,
    )


def _section(tag: bytes, payload: bytes, records: int, flags: int = REQUIRED) -> bytes:
    padding = bytes(-len(payload) % ALIGNMENT)
    return SECTION.pack(tag, len(payload), flags, records) + payload + padding


def seal(blob: bytes) -> bytes:
    """`blob` with the size and checksum in its header made right."""
    sized = bytearray(blob)
    struct.pack_into("<I", sized, 8, len(sized))
    struct.pack_into("<I", sized, 12, zlib.crc32(sized[CRC_FROM:]))
    return bytes(sized)


def encode(program: Program, *, names: bool = False) -> bytes:
    """Writes a placed program as a blob; the same program gives the same bytes.

    Constant tensors get their offsets here; equal ones share their bytes.

    Args:
        program: Every activation placed and `region_bytes` known.
        names: Whether to keep tensor and layer names (the NAME section of `.tern` files).
    """
    tensors = program.tensors()
    index = {id(tensor): i for i, tensor in enumerate(tensors)}
    strings = _Strings()
    data, constants = _place_constants(tensors)
    opcodes = {item.opcode.code: item.opcode for item in program.instructions}
    ops = b"".join(OPS.pack(code, opcodes[code].revision) for code in sorted(opcodes))
    ports = [_port(0, port, index, strings) for port in program.inputs]
    ports += [_port(1, port, index, strings) for port in program.outputs]
    code = b"".join(_instruction(item, index) for item in program.instructions)
    sections = [
        _section(b"OPS ", ops, len(opcodes)),
        _section(b"TENS", b"".join(_tensor(tensor) for tensor in tensors), len(tensors)),
        _section(b"IO  ", b"".join(ports), len(ports)),
        _section(b"CODE", code, len(program.instructions)),
        _section(b"DATA", data, constants),
    ]
    if names:
        offsets = [strings.add(tensor.name) for tensor in tensors]
        offsets += [strings.add(item.layer) for item in program.instructions]
        payload = struct.pack(f"<{len(offsets)}I", *offsets)
        sections.append(_section(b"NAME", payload, len(offsets), flags=0))
    sections.append(_section(b"STRS", bytes(strings.payload), len(strings.offsets)))
    needs = [program.region_bytes.get(region, 0) for region in
             (Region.SCRATCH, Region.STATE, Region.SLOW)]
    header = HEADER.pack(MAGIC, *VERSION, 0, 0, len(sections), *needs)
    return seal(header + b"".join(sections))
