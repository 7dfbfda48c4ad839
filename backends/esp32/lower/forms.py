"""What an ONNX value is while it is being lowered: memory, a constant, or not yet computed.

Lazy forms postpone the work until it is known who wants the value: a QuantizeLinear turns a lazy
elementwise expression into one table lookup or one affine instruction; any other consumer calls
`floats()`, which emits the float32 instructions once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.program import DType, Tensor

FloatArray = npt.NDArray[np.float32]
WideArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STORED: Final = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
"""The stored integer of each byte, by the byte read as unsigned: the order of tables."""

STORED_WIDE: Final = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int64)
"""The same of 16 bits."""


@dataclass(eq=False, slots=True)
class Buffer:
    """A value in memory. ONNX's integer is the stored one plus `offset` (uint8 held as int8)."""

    tensor: Tensor
    layout: Layout
    offset: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A compile-time value."""

    array: npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False, slots=True)
class Codes:
    """DequantizeLinear of constant integers: `real = (codes - zero)*scale` along `axis`.

    `scale` and `zero` are vectors along `axis`, of length 1 when per tensor (axis None).
    """

    codes: IntArray
    scale: WideArray
    zero: IntArray
    axis: int | None

    def real(self) -> FloatArray:
        """The float32 values, as DequantizeLinear computes them."""
        shape = [1] * self.codes.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        scale = self.scale.astype(np.float32).reshape(shape if self.codes.ndim else ())
        zero = self.zero.reshape(shape if self.codes.ndim else ())
        return ((self.codes - zero).astype(np.float32) * scale).astype(np.float32)

    def transpose(self, perm: tuple[int, ...]) -> Codes:
        """The transposed constant."""
        axis = None if self.axis is None else perm.index(self.axis)
        return Codes(self.codes.transpose(perm), self.scale, self.zero, axis)


@dataclass(eq=False, slots=True)
class Lazy:
    """A real-valued elementwise function of one int8 or int16 buffer, not yet computed."""

    buffer: Buffer
    compute: Callable[[], Buffer] = field(repr=False)
    _floats: Buffer | None = field(default=None, init=False, repr=False)

    @property
    def is_wide(self) -> bool:
        """Whether the buffer is int16."""
        return self.buffer.tensor.dtype is DType.I16

    @property
    def stored(self) -> IntArray:
        """Every integer that an element may hold, by its bits read as unsigned."""
        return STORED_WIDE if self.is_wide else STORED

    def floats(self) -> Buffer:
        """The value as a float32 buffer; its instructions are emitted on the first call."""
        if self._floats is None:
            self._floats = self.compute()
        return self._floats


@dataclass(eq=False, slots=True)
class Scaled(Lazy):
    """`(stored - zero)*scale`: the output of a DequantizeLinear."""

    scale: float = 1.0
    zero: int = 0

    def table(self) -> FloatArray:
        """The real value of each stored integer, by its bits read as unsigned."""
        return ((self.stored - self.zero).astype(np.float32) * np.float32(self.scale)).astype(
            np.float32
        )


@dataclass(eq=False, slots=True)
class Table(Lazy):
    """An arbitrary function of the stored integer: `values[(unsigned)stored]`."""

    values: FloatArray = field(default_factory=lambda: np.zeros(256, np.float32))

    def table(self) -> FloatArray:
        """The real value of each stored integer, by its bits read as unsigned."""
        return self.values


@dataclass(eq=False, slots=True)
class Affine(Lazy):
    """`clip(stored*multiplier + addend, lo, hi)`; arrays broadcast to the logical shape."""

    multiplier: WideArray = field(default_factory=lambda: np.ones(()))
    addend: WideArray = field(default_factory=lambda: np.zeros(()))
    lo: float = -np.inf
    hi: float = np.inf


Form = Buffer | Constant | Codes | Scaled | Table | Affine
