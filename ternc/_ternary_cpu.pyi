"""Deployed ternary layers on this machine."""

import numpy as np
import numpy.typing as npt

avx2: int
"""Whether this CPU runs the AVX2 form."""

def linear(
    packed: npt.NDArray[np.uint8], x: npt.NDArray[np.float32], scale: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None, out: npt.NDArray[np.float32], columns: int, begin: int,
    end: int, /,
) -> None:
    """Fills outputs `begin` to `end` of every sample, in the fastest form that this CPU has.

    `packed` has one row of `ceil(columns / 4)` bytes per output, `scale` one value or one per
    output, `x` is (samples, columns) and `out` (samples, outputs).
    """

def linear_portable(
    packed: npt.NDArray[np.uint8], x: npt.NDArray[np.float32], scale: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None, out: npt.NDArray[np.float32], columns: int, begin: int,
    end: int, /,
) -> None:
    """The same in portable C."""

def unpack(
    packed: npt.NDArray[np.uint8], scale: npt.NDArray[np.float32], out: npt.NDArray[np.float32],
    columns: int, begin: int, end: int, /,
) -> None:
    """Fills `out` with the weights of rows `begin` to `end`."""
