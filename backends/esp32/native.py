"""-O speed: replaces ternary convolutions by instructions of their own with generated C code.

The generated functions compute the sums (straight_line.py); packing and requantization are the
runtime's (ternc_lines.c). Outputs are the same bytes as the plain kernel's. The code takes some 11
to 14 bits of flash per weight instead of 2, so it pays where every weight is used often.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.isa import BY_NAME, NATIVE
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.program import (
    DType,
    Instruction,
    NativeCode,
    OperandValue,
    Program,
    Region,
    Tensor,
    instruction,
)
from ternc.backends.esp32.straight_line import OUTPUTS, Requantized, emit_block, emit_bytes_block

_CENTRE = 512  # TERNC_LINES_CENTRE
_MAX_CHUNKS = 8  # TERNC_LINES_CHUNKS
_MIN_POSITIONS = 32  # uses of each weight below which reading the code from flash costs more
_BYTES = 3.1  # of RV32IMC code per generated statement, measured with riscv64-unknown-elf-gcc 12.2
_BYTE_STATEMENTS = 6  # that count for one requantized byte
_SMALL_WINDOW = 12  # inputs of a window up to which requantization in the generated code pays
_BYTES_OUTPUTS = 6  # of a block that requantizes: two constants each stay in registers
_LANE = 32767  # bound of a sum in one 16-bit lane
_GEOMETRY = (
    "n", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h",
    "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left",
)
_TURNED = {name: name.replace("_h", "_#").replace("_w", "_h").replace("_#", "_w")
           for name in _GEOMETRY} | {"pad_top": "pad_left", "pad_left": "pad_top"}


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A candidate: geometry with the rows along the longer side, codes [out][kh][kw][in_c]."""

    numbers: dict[str, int]
    codes: npt.NDArray[np.int64]

    @property
    def image(self) -> tuple[int, int]:
        """Rows per strip row count 1, and columns, of the packed image."""
        g = self.numbers
        return ((g["kernel_h"] - 1) * g["dilation_h"] + 1,
                (g["out_w"] - 1) * g["stride_w"] + (g["kernel_w"] - 1) * g["dilation_w"] + 1)

    def strip(self, limit: int) -> int:
        """Lane rows packed at once so that the image stays within `limit` bytes; 0: none fits."""
        g = self.numbers
        extra, cols = self.image
        row = 4 * cols * g["in_c"]
        fits = (limit // row - extra) // g["stride_h"] + 1 if limit >= extra * row else 0
        return max(0, min(fits, -(-g["out_h"] // 2)))

    def image_words(self, strip: int) -> int:
        """Words of the packed image."""
        extra, cols = self.image
        return ((strip - 1) * self.numbers["stride_h"] + extra) * cols * self.numbers["in_c"]

    def offsets(self) -> list[int]:
        """Word offset of each input of a window, in the codes' order."""
        g = self.numbers
        _, cols = self.image
        return [
            (ky * g["dilation_h"] * cols + kx * g["dilation_w"]) * g["in_c"] + channel - _CENTRE
            for ky in range(g["kernel_h"]) for kx in range(g["kernel_w"])
            for channel in range(g["in_c"])
        ]

    def instructions(self, strip: int, chunks: int, statements: int, bytes_: bool) -> float:
        """Machine instructions; the constants fit counts of RV32IMC within 5 % (bytes: 13 %)."""
        g = self.numbers
        lane = -(-g["out_h"] // 2)
        rest = lane % strip
        words = lane // strip * self.image_words(strip) + (self.image_words(rest) if rest else 0)
        positions = lane * g["out_w"]
        each = 1.03 * statements
        if not bytes_:
            each += 22 * chunks * -(-g["out_c"] // OUTPUTS)
            each += (18 if chunks == 1 else 44 * chunks) * g["out_c"]
        return g["n"] * (positions * each + 5.2 * words)

    def chunks(self) -> int:
        """Parts of the window whose sums provably fit 16 bits, at most `_MAX_CHUNKS`, or 0."""
        flat = self.codes.reshape(len(self.codes), -1)
        for count in range(1, _MAX_CHUNKS + 1):
            parts = np.array_split(flat, count, axis=1)
            plus = [np.count_nonzero(part > 0, axis=1) for part in parts]
            minus = [np.count_nonzero(part < 0, axis=1) for part in parts]
            worst = max(int(max((128 * p + 127 * m).max(), (127 * p + 128 * m).max()))
                        for p, m in zip(plus, minus, strict=True))
            if worst <= _LANE:
                return count
        return 0


def add_native_code(
    program: Program, symbol: str, room: Callable[[str], Room]
) -> None:
    """Replaces the convolutions for which it pays; `program.natives` gets their code.

    Args:
        program: Not yet placed.
        symbol: Prefix of the C names.
        room: By layer, the memory that its packed image may take.
    """
    for place, item in enumerate(program.instructions):
        layer = _candidate(item)
        if layer is None:
            continue
        strip, chunks = layer.strip(room(item.layer).scratch), layer.chunks()
        if strip == 0 or chunks == 0:
            continue
        program.instructions[place], code = _native(
            item,
            layer,
            strip,
            chunks,
            f"{symbol}_layer{len(program.natives)}",
            len(program.natives),
        )
        program.natives.append(code)


def _candidate(item: Instruction) -> _Convolution | None:
    if not item.opcode.name.startswith("conv2d_i8_t2") or item.codes is None:
        return None
    operands = {o.name: v for o, v in zip(item.opcode.operands, item.operands, strict=True)}
    if (
        operands.get("groups", 1) != 1
        or operands.get("up_h", 1) != 1
        or operands.get("up_w", 1) != 1
        or operands.get("r") is not None  # a residual, which the generated code does not add
    ):
        return None
    numbers = {name: _int(operands[name]) for name in _GEOMETRY}
    codes = item.codes.reshape(numbers["out_c"], numbers["kernel_h"], numbers["kernel_w"], -1)
    if numbers["out_h"] == 1:  # lanes pair rows: a 1-D layer is turned upright
        numbers = {_TURNED[name]: value for name, value in numbers.items()}
        codes = codes.swapaxes(1, 2)
    if numbers["out_h"] * numbers["out_w"] < _MIN_POSITIONS:
        return None
    if max(numbers["kernel_h"], numbers["kernel_w"]) > 256:
        return None
    return _Convolution(numbers, codes)


def _int(value: OperandValue) -> int:
    assert isinstance(value, (int, np.integer))
    return int(value)


def _constant(item: Instruction, name: str) -> npt.NDArray[np.generic]:
    tensor = item.operand(name)
    assert isinstance(tensor, Tensor)
    assert tensor.data is not None
    return tensor.data


def _functions(item: Instruction, layer: _Convolution, chunks: int, name: str
               ) -> tuple[list[str], str, str]:
    """The functions of a layer's blocks, their type, and the call that runs them."""
    codes = layer.codes.reshape(len(layer.codes), -1).astype(np.int8)
    offsets = layer.offsets()
    functions = []
    if chunks == 1 and np.count_nonzero(codes.any(axis=0)) <= _SMALL_WINDOW:
        m, c = (_constant(item, key).astype(np.int64) for key in "mc")
        rest = [_int(item.operand(key)) for key in ("shift", "lo", "hi")]
        blocks = -(-len(codes) // _BYTES_OUTPUTS)
        outputs = -(-len(codes) // blocks)
        for first in range(0, len(codes), outputs):
            here = slice(first, first + outputs)
            functions.append(emit_bytes_block(
                f"{name}_{first // outputs}", codes[here], offsets,
                Requantized(m[here], c[here], *rest), len(codes)))
        call = f"ternc_lines_run_bytes(op, {name}_blocks, {outputs}u)"
        return functions, "ternc_lines_bytes", call
    parts = np.array_split(np.arange(codes.shape[1]), chunks)
    for first in range(0, len(codes), OUTPUTS):
        for chunk, columns in enumerate(parts):
            block = codes[first : first + OUTPUTS][:, columns]
            functions.append(emit_block(f"{name}_{first // OUTPUTS}_{chunk}", block,
                                        [offsets[k] for k in columns]))
    return functions, "ternc_lines_block", f"ternc_lines_run(op, {name}_blocks)"


def _native(item: Instruction, layer: _Convolution, strip: int, chunks: int, name: str,
            number: int) -> tuple[Instruction, NativeCode]:
    functions, kind, call = _functions(item, layer, chunks, name)
    names = [re.findall(r"void (\w+)", function)[0] for function in functions]
    statements = sum(function.count(";") for function in functions)
    statements += _BYTE_STATEMENTS * sum(function.count("_value(") for function in functions)
    functions.append(f"static const {kind} {name}_blocks[] = {{{', '.join(names)}}};")
    source = "\n".join(functions)
    # The hash must not depend on the names: two symbols of one model are the same code.
    plain = re.sub(re.escape(name), "layer", source)
    opcode = replace(BY_NAME["conv2d_i8_lines"], code=NATIVE + number, name=f"lines{number}",
                     revision=zlib.crc32(plain.encode()) & 0xFFFF)
    m, c = (_constant(item, key).astype(np.int64) for key in "mc")
    lane_c = (c - m // 2).astype(np.uint32).view(np.int32)
    image = Tensor(f"{item.layer}:image", DType.I32, (layer.image_words(strip),))
    made = instruction(
        "conv2d_i8_lines", item.layer, item.op_type, macs=item.macs,
        weight_nonzeros=item.weight_nonzeros, codes=item.codes, x=item.operand("x"),
        m=item.operand("m"),
        c=Tensor(f"{item.layer}:lanes", DType.I32, lane_c.shape, Region.CONSTANT, lane_c),
        y=item.operand("y"), image=image, **layer.numbers, x_zero=item.operand("x_zero"),
        strip=strip, chunks=chunks, shift=item.operand("shift"), lo=item.operand("lo"),
        hi=item.operand("hi"),
        instructions=layer.instructions(strip, chunks, statements, kind == "ternc_lines_bytes"))
    made.opcode = opcode
    return made, NativeCode(opcode, source, f"{name}_blocks", call, round(_BYTES * statements))
