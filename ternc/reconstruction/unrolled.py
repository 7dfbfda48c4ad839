"""Recurrent cells over whole sequences, and the gradients of what is made of their states.

The cells are those of `cells`: one direction, the default activations. Several of them, with
weights of their own, go through the steps side by side: each step is little work, and to ask numpy
for it takes longer than to do it. For the same reason samples come last, so that gates lie
together; all that a step reads is one product; and what no later step has a part in is found for
all steps at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from ternc.reconstruction.cells import Cell

Array = npt.NDArray[np.floating[Any]]

_TOGETHER: Final = 16  # steps whose products are in memory at once


@dataclass(frozen=True, slots=True)
class Gradients:
    """Derivatives by W, R and the biases, of the same shapes."""

    w: Array
    r: Array
    w_bias: Array
    r_bias: Array


class Unrolled(ABC):
    """Cells side by side, and what each step reads and leaves: [steps, copies, ..., samples].

    `x` [inputs] and the first states `h` and `c` [copies, hidden, samples] are for the caller to
    fill, and stay for the next run.

    Gates are in an order of their own, sigmoids first: `w_gates` and `r_gates` say which of them
    each part of W and R, in ONNX's order, belongs to.
    """

    sigmoids: ClassVar[int]
    w_gates: ClassVar[tuple[int, ...]]
    r_gates: ClassVar[tuple[int, ...]]

    def __init__(self, like: Cell, steps: int, samples: int) -> None:
        """For cells of the sizes of `like`, whose weights are [copies, ...]."""
        copies, _, inputs = like.w.shape
        n, dtype = like.hidden, like.w.dtype
        count = len({*self.w_gates, *self.r_gates})
        # x, the state before the step, and 1 for the bias
        read = np.ones((steps + 1, copies, inputs + n + 1, samples), dtype)
        self._read, self._inputs = read[:-1], inputs
        self.x, self.h, self.c = read[:-1, :, :inputs], read[0, :, inputs:-1], np.zeros(
            (copies, n, samples), dtype)
        self._previous, self._states = read[:-1, :, inputs:-1], read[1:, :, inputs:-1]
        self._weights = np.zeros((copies, count * n, inputs + n + 1), dtype)
        self._back = np.empty((copies, n, count * n), dtype)
        self._gates = np.empty((steps, copies, count, n, samples), dtype)
        self._slopes = np.empty_like(self._gates)  # by the gates' values before activation
        self._rows = tuple(
            np.concatenate([np.arange(gate * n, (gate + 1) * n) for gate in gates])
            for gates in (self.w_gates, self.r_gates))

    def run(self, cell: Cell) -> Array:
        """The states [steps, copies, hidden, samples] of `cell`, until the next run."""
        (w, r), inputs, weights = self._rows, self._inputs, self._weights
        weights[:, :, -1] = 0
        weights[:, w, :inputs], weights[:, w, -1] = cell.w, cell.w_bias
        weights[:, r, inputs:-1] = self._reads_state(cell.r)
        weights[:, r, -1] += cell.r_bias
        self._back[:] = weights[:, :, inputs:-1].swapaxes(1, 2)
        weights[:, : self.sigmoids * cell.hidden] *= 0.5  # sigmoid x is (1 + tanh x/2) / 2
        self._forward()
        return self._states

    def gradients(self, by_states: Array) -> Gradients:
        """The derivatives by the weights, of those by the states of the last run."""
        sigmoids, others = np.split(self._gates, [self.sigmoids], axis=2)
        np.multiply(sigmoids, 1 - sigmoids, out=self._slopes[:, :, : self.sigmoids])
        np.subtract(1, others**2, out=self._slopes[:, :, self.sigmoids :])
        self._backward(by_states)
        joined = summed_products(flat(self._slopes), self._read)
        (w, r), inputs = self._rows, self._inputs
        return Gradients(joined[:, w, :inputs], self._by_r(joined[:, r, inputs:-1]),
                         joined[:, w, -1], joined[:, r, -1])

    @abstractmethod
    def _forward(self) -> None:
        """From what is read to gates and states."""

    @abstractmethod
    def _backward(self, by_states: Array) -> None:
        """Multiplies the slopes, as yet each activation's own, by what comes from the states."""

    def _reads_state(self, r: Array) -> Array:
        """R without the weights that read something else than the state."""
        return r

    def _by_r(self, plain: Array) -> Array:
        """The derivatives by R, from those by what reads the state."""
        return plain


def to_sigmoid(half: Array) -> None:
    """From the tanh of x/2 to the sigmoid of x, in place."""
    half *= 0.5
    half += 0.5


def summed_products(left: Array, right: Array) -> Array:
    """The sum over steps of left [steps, copies, a, n] x right [steps, copies, b, n]^T.

    Products step by step are so small that no BLAS waits for other threads over them.
    """
    total = np.zeros((*left.shape[1:3], right.shape[2]), left.dtype)
    for begin in range(0, len(left), _TOGETHER):
        part = slice(begin, begin + _TOGETHER)
        total += np.matmul(left[part], right[part].swapaxes(2, 3)).sum(axis=0)
    return total


def flat(gates: Array) -> Array:
    """Gates [steps, copies, gates, hidden, samples] as rows of a product."""
    steps, copies, count, hidden, samples = gates.shape
    return gates.reshape(steps, copies, count * hidden, samples)
