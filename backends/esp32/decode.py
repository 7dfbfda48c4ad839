"""Blob back to plain data, for inspection and tests; the opposite of `encode`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ternc.backends.esp32 import encode
from ternc.backends.esp32.isa import (
    BY_CODE,
    NATIVE,
    NATIVE_OPCODES,
    NO_TENSOR,
    TENSOR_KINDS,
    Kind,
    Opcode,
)
from ternc.backends.esp32.program import DType, Region


class InvalidBlob(ValueError):
    """The bytes are not a blob that this version understands."""


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One entry of the tensor table; `name` is empty without a NAME section."""

    dtype: DType
    region: Region
    offset: int
    size: int  # bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class PortRecord:
    """One input or output; `scale` is 0 when it is not quantized."""

    is_output: bool
    tensor: int
    name: str
    onnx_type: int
    scale: float
    zero_point: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InstructionRecord:
    """One instruction; tensor operands are indices, None when absent."""

    opcode: Opcode
    operands: tuple[int | float | None, ...]
    layer: str = ""

    def operand(self, name: str) -> int | float | None:
        """The operand called `name`."""
        names = [operand.name for operand in self.opcode.operands]
        return self.operands[names.index(name)]


@dataclass(frozen=True, slots=True)
class Blob:
    """A whole blob."""

    version: tuple[int, int]
    region_bytes: dict[Region, int]
    opcodes: tuple[tuple[int, int], ...]  # code, revision
    tensors: tuple[TensorRecord, ...]
    ports: tuple[PortRecord, ...]
    instructions: tuple[InstructionRecord, ...]
    data: bytes

    def constant(self, index: int) -> bytes:
        """The bytes of a constant tensor."""
        record = self.tensors[index]
        if record.region is not Region.CONSTANT:
            raise ValueError(f"tensor {index} is not a constant")
        return self.data[record.offset : record.offset + record.size]


@dataclass(frozen=True, slots=True)
class _Section:
    payload: bytes
    records: int

    def unpack(self, layout: struct.Struct) -> list[tuple[Any, ...]]:
        if len(self.payload) != layout.size * self.records:
            raise InvalidBlob("a section does not hold as many records as it says")
        return list(layout.iter_unpack(self.payload))


def _sections(blob: bytes, count: int) -> dict[bytes, _Section]:
    sections: dict[bytes, _Section] = {}
    at = encode.HEADER.size
    for _ in range(count):
        if at + encode.SECTION.size > len(blob):
            raise InvalidBlob("a section lies outside the blob")
        tag, length, _flags, records = encode.SECTION.unpack_from(blob, at)
        start = at + encode.SECTION.size
        if start + length > len(blob):
            raise InvalidBlob(f"section {tag!r} is longer than the blob")
        sections[tag] = _Section(blob[start : start + length], records)
        at = start + length + -length % encode.ALIGNMENT
    missing = {b"OPS ", b"TENS", b"IO  ", b"CODE", b"STRS"} - set(sections)
    if missing:
        raise InvalidBlob(f"sections are missing: {sorted(missing)}")
    return sections


def _string(payload: bytes, offset: int) -> str:
    end = payload.find(b"\0", offset)
    if not 0 <= offset < len(payload) or end < 0:
        raise InvalidBlob("a name lies outside the strings")
    return payload[offset:end].decode("utf-8", "replace")


def _operands(opcode: Opcode, words: bytes) -> tuple[int | float | None, ...]:
    values: list[int | float | None] = []
    for i, operand in enumerate(opcode.operands):
        letter = {Kind.F32: "<f", Kind.I32: "<i"}.get(operand.kind, "<I")
        value = struct.unpack_from(letter, words, 4 * i)[0]
        absent = operand.kind in TENSOR_KINDS and value == NO_TENSOR
        values.append(None if absent else value)
    return tuple(values)


def _instructions(section: _Section, layers: list[str]) -> list[InstructionRecord]:
    instructions = []
    at = 0
    for i in range(section.records):
        if at + 4 > len(section.payload):
            raise InvalidBlob("the program is shorter than it says")
        (head,) = struct.unpack_from("<I", section.payload, at)
        code, words = head & 0xFFFF, head >> 16
        opcode = NATIVE_OPCODES[0] if code >= NATIVE else BY_CODE.get(code)
        if opcode is None:
            raise InvalidBlob(f"instruction 0x{code:02x} is not known")
        body = section.payload[at + 4 : at + 4 + 4 * words]
        if words != len(opcode.operands) or len(body) != 4 * words:
            raise InvalidBlob(f"instruction {opcode.name} has {words} operands")
        layer = layers[i] if layers else ""
        instructions.append(InstructionRecord(opcode, _operands(opcode, body), layer))
        at += 4 + 4 * words
    return instructions


def _names(sections: dict[bytes, _Section], strings: bytes) -> tuple[list[str], list[str]]:
    """Names of tensors and of instructions; both empty without a NAME section."""
    if b"NAME" not in sections:
        return [], []
    names = [_string(strings, word) for (word,) in sections[b"NAME"].unpack(struct.Struct("<I"))]
    tensors = sections[b"TENS"].records
    if len(names) != tensors + sections[b"CODE"].records:
        raise InvalidBlob("the NAME section does not fit the tensors and instructions")
    return names[:tensors], names[tensors:]


def _port(record: tuple[Any, ...], strings: bytes) -> PortRecord:
    kind, tensor, name, onnx_type, scale, zero_point, rank, *dims = record
    if kind not in (0, 1) or rank > encode.MAX_RANK:
        raise InvalidBlob("an input or output is malformed")
    shape = tuple(dims[:rank])
    text = _string(strings, name)
    return PortRecord(bool(kind), tensor, text, onnx_type, scale, zero_point, shape)


def _header(blob: bytes) -> tuple[bytes, tuple[int, int], int, dict[Region, int]]:
    """The blob without what follows it, its version, number of sections and region needs."""
    if len(blob) < encode.HEADER.size or not blob.startswith(encode.MAGIC):
        raise InvalidBlob("this is not a ternc blob")
    _, major, minor, size, crc, count, *needs = encode.HEADER.unpack_from(blob)
    if major != encode.VERSION[0]:
        raise InvalidBlob(f"version {major}.{minor} is not known")
    if not encode.HEADER.size <= size <= len(blob):
        raise InvalidBlob("the blob is cut short")
    blob = blob[:size]
    if zlib.crc32(blob[encode.CRC_FROM :]) != crc:
        raise InvalidBlob("the blob is damaged: its checksum does not match")
    regions = (Region.SCRATCH, Region.STATE, Region.SLOW)
    return blob, (major, minor), count, dict(zip(regions, needs, strict=True))


def decode(blob: bytes) -> Blob:
    """Parses a blob.

    Raises:
        InvalidBlob: The bytes are not a blob, are damaged, or hold an unknown instruction.
    """
    blob, version, count, needs = _header(blob)
    sections = _sections(blob, count)
    strings = sections[b"STRS"].payload
    names, layers = _names(sections, strings)
    try:
        tensors = tuple(
            TensorRecord(DType(dtype), Region(region), offset, size, names[i] if names else "")
            for i, (dtype, region, _, offset, size) in
            enumerate(sections[b"TENS"].unpack(encode.TENSOR))
        )
    except ValueError as error:
        raise InvalidBlob(f"the tensor table is malformed: {error}") from error
    return Blob(
        version=version,
        region_bytes=needs,
        opcodes=tuple((code, rev) for code, rev in sections[b"OPS "].unpack(encode.OPS)),
        tensors=tensors,
        ports=tuple(_port(record, strings) for record in sections[b"IO  "].unpack(encode.PORT)),
        instructions=tuple(_instructions(sections[b"CODE"], layers)),
        data=sections[b"DATA"].payload if b"DATA" in sections else b"",
    )
