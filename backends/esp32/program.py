"""The typed device program: what lowering produces, the planner places and the encoder writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS, Kind, Opcode


class DType(Enum):
    """Element types; the value is the number in the blob (BYTECODE.md)."""

    F32 = 1
    I8 = 2
    U8 = 3
    I16 = 4
    I32 = 5  # also ONNX int64
    BOOL = 6

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return {DType.F32: 4, DType.I32: 4, DType.I16: 2}.get(self, 1)

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy type of one element."""
        names = {
            DType.F32: "float32", DType.I8: "int8", DType.U8: "uint8", DType.I16: "int16",
            DType.I32: "int32", DType.BOOL: "bool",
        }
        return np.dtype(names[self])


class Region(Enum):
    """Where a tensor lives; the value is the number in the blob."""

    SCRATCH = 0
    STATE = 1
    SLOW = 2
    CONSTANT = 3


@dataclass(eq=False, slots=True)
class Tensor:
    """A buffer: `shape` is the physical (dense, row-major) shape; identity is the object.

    `offset` is set by the memory planner (activations) or the encoder (constants).
    """

    name: str  # of the ONNX value it holds; made unique, "" never
    dtype: DType
    shape: tuple[int, ...]
    region: Region = Region.SCRATCH
    data: npt.NDArray[np.generic] | None = None  # constants only
    align: int = 0  # 0: the element size
    offset: int | None = None
    base: Tensor | None = None  # that this is a part of, from byte `start` on
    start: int = 0

    @property
    def root(self) -> Tensor:
        """The tensor whose place in memory decides."""
        return self.base or self

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        if self.data is not None:
            return int(self.data.nbytes)
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.size

    @property
    def alignment(self) -> int:
        """Required alignment of the offset, in bytes."""
        return self.align or self.dtype.size


OperandValue = Tensor | int | float | None


@dataclass(eq=False, slots=True)
class Instruction:
    """One instruction; `operands` in the opcode's order, None for an absent optional tensor."""

    opcode: Opcode
    operands: tuple[OperandValue, ...]
    layer: str  # name of the ONNX node it computes
    op_type: str  # that node's operator
    macs: int = 0
    weight_nonzeros: int | None = None  # of ternary weights
    codes: npt.NDArray[np.int64] | None = field(default=None, repr=False)  # of integer weights
    instructions: float | None = None  # of RV32IMC, where the kernel was chosen by that estimate

    def tensors(self, *kinds: Kind) -> list[Tensor]:
        """Tensor operands of the given kinds, in operand order."""
        return [
            value
            for operand, value in zip(self.opcode.operands, self.operands, strict=True)
            if operand.kind in kinds and isinstance(value, Tensor)
        ]

    @property
    def reads(self) -> list[Tensor]:
        """Tensors read, constants included."""
        return self.tensors(Kind.IN, Kind.CONST)

    @property
    def writes(self) -> list[Tensor]:
        """Tensors written."""
        return self.tensors(Kind.OUT)

    @property
    def scratch(self) -> list[Tensor]:
        """Kernel scratch: alive during this instruction only."""
        return self.tensors(Kind.SCRATCH)

    def operand(self, name: str) -> OperandValue:
        """The operand called `name`."""
        for operand, value in zip(self.opcode.operands, self.operands, strict=True):
            if operand.name == name:
                return value
        raise KeyError(name)


_RANGES = {Kind.U32: range(2**32), Kind.I32: range(-(2**31), 2**31)}


def instruction(
    name: str, layer: str, op_type: str, *, macs: int = 0, weight_nonzeros: int | None = None,
    codes: npt.NDArray[np.int64] | None = None, instructions: float | None = None,
    **operands: OperandValue,
) -> Instruction:
    """Builds an instruction from named operands; every operand must be given and be in range."""
    opcode = BY_NAME[name]
    expected = [operand.name for operand in opcode.operands]
    assert set(expected) == set(operands), set(expected) ^ set(operands)
    for operand in opcode.operands:
        value = operands[operand.name]
        if operand.kind in TENSOR_KINDS:
            assert isinstance(value, Tensor) or (value is None and operand.optional), operand
        elif operand.kind in _RANGES:
            assert isinstance(value, (int, np.integer)), (name, operand, value)
            assert value in _RANGES[operand.kind], (name, operand, value)
    return Instruction(
        opcode, tuple(operands[n] for n in expected), layer, op_type, macs, weight_nonzeros, codes,
        instructions,
    )


@dataclass(frozen=True, slots=True)
class Port:
    """A model input or output: `shape` is the ONNX shape, `scale` None when not quantized."""

    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    onnx_type: int  # TensorProto element type that the ONNX model declares
    scale: float | None = None
    zero_point: int = 0


@dataclass(slots=True)
class View:
    """How an ONNX value is seen in a program: physical tensor, logical shape, element order.

    `permutation` gives, for the physical tensor reshaped to `atoms`, the axes that bring it to
    logical order: `tensor.reshape(atoms).transpose(permutation).reshape(shape)`.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    atoms: tuple[int, ...]
    permutation: tuple[int, ...]
    scale: float | None = None
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class NativeCode:
    """C code generated for one layer: an instruction of this program alone."""

    opcode: Opcode  # its number and, as revision, the hash that binds code and blob
    source: str  # functions, and the array that `entry` names
    entry: str
    call: str  # what runs it, on `op`
    code_bytes: int  # estimate for RV32IMC


@dataclass(slots=True)
class Program:
    """Instructions in execution order with their tensors; regions are sized by the planner."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    values: dict[str, View] = field(default_factory=dict)  # ONNX value name -> where it is
    region_bytes: dict[Region, int] = field(default_factory=dict)
    natives: list[NativeCode] = field(default_factory=list)

    def tensors(self) -> list[Tensor]:
        """Every tensor once: ports first, then in order of first use."""
        seen: dict[int, Tensor] = {}
        for port in (*self.inputs, *self.outputs):
            seen.setdefault(id(port.tensor), port.tensor)
        for item in self.instructions:
            for tensor in (*item.reads, *item.writes, *item.scratch):
                seen.setdefault(id(tensor), tensor)
                seen.setdefault(id(tensor.root), tensor.root)
        return list(seen.values())
