"""Adam (Kingma and Ba 2015) over arrays of several names and shapes at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_DECAY: Final = (0.9, 0.99)  # of the moments


class Parameters:
    """Arrays `named` [copies, ...] that lie in one, `flat`."""

    def __init__(self, copies: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """All zero."""
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes.values())])
        self.flat = np.zeros((copies, ends[-1]), np.float32)
        self.named = {
            name: self.flat[:, begin:end].reshape(copies, *shape, copy=False)
            for (name, shape), begin, end in zip(shapes.items(), ends, ends[1:], strict=False)}


class Adam:
    """Steps of one course, of sizes [parameters] or as `values.flat` is."""

    def __init__(self, values: Parameters, sizes: Array) -> None:
        self.values, self.sizes = values, sizes
        self.moments = np.zeros_like(values.flat), np.zeros_like(values.flat)
        self.grown = [1.0, 1.0]

    def step(self, slopes: Parameters, rate: float) -> None:
        """Moves the values against their slopes, `rate` times the sizes."""
        for index, (moment, decay) in enumerate(zip(self.moments, _DECAY, strict=True)):
            self.grown[index] *= decay
            moment *= decay
        first, second = self.moments
        first += (1 - _DECAY[0]) * slopes.flat
        second += (1 - _DECAY[1]) * np.square(slopes.flat)
        move = np.sqrt(second / (1 - self.grown[1]))
        move += 1e-10
        np.divide(first, move, out=move)
        move *= rate / (1 - self.grown[0])
        move *= self.sizes
        self.values.flat -= move
