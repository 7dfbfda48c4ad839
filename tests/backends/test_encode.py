"""Program to blob and back."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from ternc.backends.esp32.decode import InvalidBlob, decode
from ternc.backends.esp32.disassemble import disassemble
from ternc.backends.esp32.encode import encode, seal
from ternc.backends.esp32.isa import OPCODES, TENSOR_KINDS, Kind
from ternc.backends.esp32.program import (
    DType,
    Instruction,
    OperandValue,
    Port,
    Program,
    Region,
    Tensor,
)
from tests import programs

LISTING = """\
ternc 1.0 scratch=48 state=0 slow=0 const=288
input 'pixels' 1x6 scale=0.5 zero=-3 = x/scratch:0 i8[6]
output 'scores' 1x3 scale=0.25 zero=4 = y/scratch:32 i8[3]
   0 dense_i8_t2 x=x/scratch:0 i8[6] w=w/const:0 u8[5] m=m/const:8 i32[3] c=c/const:20 i32[3] \
y=hidden/scratch:16 i8[3] rows=1 in_features=6 out_features=3 shift=4 lo=-128 hi=127  ; fc
   1 lut_i8 x=hidden/scratch:16 i8[3] table=table/const:32 i8[256] y=y/scratch:32 i8[3] count=3\
  ; neg
"""


class TestLayout:
    """The bytes are those of BYTECODE.md, read here without the decoder."""

    def test_header(self) -> None:
        blob = encode(programs.dense())
        magic, major, minor, size, crc, sections, *needs = struct.unpack_from("<4sHHIII3I", blob)
        assert (magic, major, minor, size) == (b"TRNC", 1, 0, len(blob))
        assert crc == zlib.crc32(blob[16:])
        assert sections == 6
        assert needs == [48, 0, 0]

    @pytest.mark.parametrize("names", [False, True])
    def test_sections_start_on_16_bytes_and_fill_the_blob(self, names: bool) -> None:
        blob = encode(programs.dense(), names=names)
        tags, at = [], 32
        while at < len(blob):
            tag, length, flags, _records = struct.unpack_from("<4sIII", blob, at)
            tags.append(tag)
            assert at % 16 == 0
            assert flags == (tag != b"NAME")
            at += 16 + -(-length // 16) * 16
        assert at == len(blob)
        expected = [b"OPS ", b"TENS", b"IO  ", b"CODE", b"DATA", b"STRS"]
        assert tags == expected[:5] + [b"NAME"] * names + expected[5:]

    def test_seal_repairs_size_and_checksum(self) -> None:
        blob = encode(programs.dense())
        assert seal(blob[:8] + bytes(8) + blob[16:]) == blob


class TestRoundTrip:
    def test_same_bytes_twice(self) -> None:
        assert encode(programs.dense(), names=True) == encode(programs.dense(), names=True)

    def test_program(self) -> None:
        program = programs.dense()
        blob = decode(encode(program, names=True))
        assert blob.version == (1, 0)
        assert blob.region_bytes == program.region_bytes
        assert blob.opcodes == ((0x0C, 1), (0x27, 1))
        tensors = program.tensors()
        assert [t.name for t in blob.tensors] == [t.name for t in tensors]
        for record, tensor in zip(blob.tensors, tensors, strict=True):
            assert record.dtype is tensor.dtype
            assert (record.region, record.offset, record.size) == (
                tensor.region, tensor.offset, tensor.nbytes)
        (source,), (target,) = program.inputs, program.outputs
        for port, read in zip((source, target), blob.ports, strict=True):
            assert (read.name, read.shape, read.onnx_type) == (
                port.name, port.shape, port.onnx_type)
            assert (read.scale, read.zero_point) == (port.scale, port.zero_point)
            assert tensors[read.tensor] is port.tensor
        assert [port.is_output for port in blob.ports] == [False, True]
        assert [item.layer for item in blob.instructions] == ["fc", "neg"]

    def test_constants_keep_their_bytes(self) -> None:
        program = programs.dense()
        blob = decode(encode(program))
        for i, tensor in enumerate(program.tensors()):
            if tensor.data is not None:
                assert blob.constant(i) == tensor.data.tobytes()

    @pytest.mark.parametrize("opcode", OPCODES, ids=lambda opcode: opcode.name)
    def test_every_instruction(self, opcode) -> None:  # type: ignore[no-untyped-def]
        place = programs.activation("a", DType.I8, (4,), 0)
        weights = programs.constant("w", np.arange(4, dtype=np.int8), DType.I8)
        values: list[OperandValue] = []
        for i, operand in enumerate(opcode.operands):
            if operand.kind in TENSOR_KINDS:
                given = weights if operand.kind is Kind.CONST else place
                values.append(None if operand.optional else given)
            else:
                values.append({Kind.U32: 2**32 - 1 - i, Kind.I32: -i}.get(operand.kind, i + 0.25))
        program = Program(
            instructions=[Instruction(opcode, tuple(values), "n", "N")],
            region_bytes={Region.SCRATCH: 4},
        )
        tensors = program.tensors()
        (item,) = decode(encode(program)).instructions
        assert item.opcode is opcode
        for value, read in zip(values, item.operands, strict=True):
            assert read == (tensors.index(value) if isinstance(value, Tensor) else value)


class TestConstants:
    def test_equal_ones_share_bytes(self) -> None:
        program = programs.dense()
        item = program.instructions[0]
        m, c = item.operand("m"), item.operand("c")
        assert isinstance(m, Tensor)
        assert isinstance(c, Tensor)
        before = len(decode(encode(program)).data)
        c.data = m.data
        assert len(decode(encode(program)).data) == before - 12
        assert m.offset == c.offset

    def test_alignment_is_kept(self) -> None:
        program = programs.dense()
        table = program.instructions[1].operand("table")
        assert isinstance(table, Tensor)
        table.align = 16
        encode(program)
        assert table.offset is not None
        assert table.offset % 16 == 0

    def test_big_endian_arrays_are_written_little_endian(self) -> None:
        program = programs.dense()
        expected = encode(program)
        m = program.instructions[0].operand("m")
        assert isinstance(m, Tensor)
        assert m.data is not None
        m.data = m.data.astype(">i4")
        assert encode(program) == expected


class TestNames:
    def test_zero_byte_becomes_a_replacement_character(self) -> None:
        program = programs.dense()
        port = program.inputs[0]
        program.inputs[0] = Port("a\0b", port.tensor, port.shape, port.onnx_type)
        assert decode(encode(program)).ports[0].name == "a\ufffdb"

    def test_unicode(self) -> None:
        program = programs.dense()
        port = program.inputs[0]
        program.inputs[0] = Port("größe/層", port.tensor, port.shape, port.onnx_type)
        assert decode(encode(program)).ports[0].name == "größe/層"

    def test_absent_without_the_option(self) -> None:
        blob = encode(programs.dense())
        assert b"hidden" not in blob
        assert decode(blob).tensors[0].name == ""


class TestDisassemble:
    def test_listing(self) -> None:
        assert disassemble(encode(programs.dense(), names=True)) == LISTING

    def test_without_names(self) -> None:
        text = disassemble(encode(programs.normalization()))
        assert "layernorm_f32 x=t0/scratch:0 f32[8] gamma=none beta=none y=t1/slow:0" in text
        assert "epsilon=9.99999975e-06" in text


class TestDecodeRefuses:
    @pytest.mark.parametrize("cut", [0, 3, 31, 40, 200])
    def test_truncated(self, cut: int) -> None:
        with pytest.raises(InvalidBlob):
            decode(encode(programs.dense())[:cut])

    def test_damage(self) -> None:
        blob = bytearray(encode(programs.dense()))
        blob[100] ^= 1
        with pytest.raises(InvalidBlob, match="damaged"):
            decode(bytes(blob))

    def test_other_version(self) -> None:
        blob = bytearray(encode(programs.dense()))
        blob[4] = 2
        with pytest.raises(InvalidBlob, match="version"):
            decode(bytes(blob))

    def test_hostile_bytes_raise_nothing_else(self) -> None:
        blob = encode(programs.dense(), names=True)
        rng = np.random.default_rng(0)
        for _ in range(2000):
            damaged = bytearray(blob)
            for at in rng.integers(16, len(blob), size=rng.integers(1, 4)):
                damaged[at] = rng.integers(256)
            try:
                disassemble(seal(bytes(damaged)))
            except InvalidBlob:
                continue
