"""The C runtime, compiled for this machine."""

from collections.abc import Callable
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

# Arrays are buffers too, but say so to type checkers only from Python 3.12 on.
_Bytes: TypeAlias = Buffer | npt.NDArray[np.generic]
_Port: TypeAlias = tuple[str, int, int, tuple[int, ...], float, int]

@final
class Model:
    """A loaded program with memory of its own.

    Raises `ValueError` with the runtime's message when the blob does not load.
    """

    def __new__(cls, blob: bytes) -> Model: ...
    @property
    def needs(self) -> tuple[int, int, int]:
        """Bytes of regions 0 (scratch), 1 (state) and 2 (slow scratch)."""
    @property
    def inputs(self) -> list[_Port]:
        """(name, dtype, onnx_type, dims, scale, zero_point) of each input."""
    @property
    def outputs(self) -> list[_Port]:
        """The same of each output."""
    def write_input(self, index: int, data: _Bytes, /) -> None:
        """Fills an input with raw bytes."""
    def read_output(self, index: int, /) -> bytes:
        """The raw bytes of an output."""
    def run(self) -> None:
        """Runs the model once."""
    def run_with(self, callback: Callable[[int, int], object], /) -> None:
        """Calls `callback(instruction, opcode)` before each instruction and once at the end.

        The callback may read and write tensors; an exception from it stops the run.
        """
    def reset(self) -> None:
        """Zeroes the state."""
    def read_tensor(self, index: int, /) -> bytes:
        """The raw bytes of an entry of the tensor table."""
    def write_tensor(self, index: int, data: _Bytes, /) -> None:
        """Fills an entry of the tensor table, unless it is a constant, with raw bytes."""
