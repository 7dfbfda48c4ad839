"""A candidate for the kernel of a layer, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.program import DType

Array = npt.NDArray[np.generic]
Numbers = Mapping[str, int]
CPI: Final = 1.1  # estimate: straight-line code from the cache
FLASH: Final = 5.0  # estimate: cycles per byte of weights, quad SPI at 80 MHz


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to compute a layer: `numbers` are operands, or new values of the layer's own.

    `scratch` is in 32-bit words.
    """

    name: str
    weights: Array
    dtype: DType
    instructions: float
    scratch: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    scratch_type: DType = DType.I32

    @property
    def cycles(self) -> float:
        """Estimated cycles of one run."""
        return self.instructions * CPI + self.weights.nbytes * FLASH


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that the kernel of a layer may take, in bytes.

    `scratch` is what it may use beside its input and output; one that writes its output over its
    input (over a residual) may use `over_input` (`over_residual`) more, the bytes that it saves.
    With `least` it is the kernel that takes the least, whatever it costs. Where `generates`, code
    is generated for ternary convolutions, which does not add residuals.
    """

    scratch: int
    over_input: int = 0
    over_residual: int = 0
    least: bool = False
    generates: bool = False
