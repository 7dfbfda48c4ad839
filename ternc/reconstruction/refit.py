"""Layers that stay int8 or float, fitted to what the ternary layers before them give.

A layer behind ternary ones reads x' where the float layer read x. Of all weights V, those of least
E|W x - V x'|^2 are W E[x x'^T] E[x' x'^T]^-1: they take back what is linear of the error, at no
cost in flash or time. A ridge pulls V towards W; how strongly, or whether V is better than W at
all, every other sample decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.layer_inputs import LayerInputs
from ternc.moments import Feed, Moments, moments
from ternc.passes._bias import add_to_bias
from ternc.passes._graph import constant, graph_of, initializer
from ternc.passes._linear import Slot

Array = npt.NDArray[np.float64]

_RIDGES: Final = (0.001, 0.01, 0.1, 1.0, 10.0)  # of the mean of the Gram matrix's diagonal


@dataclass(frozen=True, slots=True)
class Refitted:
    """New weights of a layer, None where the old ones are best, and what its bias gains."""

    weights: npt.NDArray[np.float32] | None
    bias: Array

    def put(self, slot: Slot) -> None:
        """Changes the weights in `slot`, which no other node reads, and its bias; in place."""
        if self.weights is not None:
            old = slot.weight
            new = initializer(graph_of(slot.node), f"{old.name}_refit", self.weights)
            slot.node.replace_input_with(slot.index, new)
            if not old.uses() and not old.is_graph_output():
                graph_of(slot.node).initializers.pop(old.name or "", None)
        add_to_bias(slot.node, self.bias)


def refitted(model: ir.Model, original: onnx.ModelProto, slot: Slot, inputs: LayerInputs,
             feeds: Iterable[Feed]) -> Refitted | None:
    """The best weights and bias for what `slot`'s layer now reads, None if that is as ever."""
    weights = constant(slot.weight)
    assert weights is not None
    halves = moments(model, original, inputs, feeds)
    both = halves[0] + halves[1]
    if both.cross is None:
        return None
    rows = inputs.rows(weights).astype(np.float64)
    fitted, ridge = rows, _best_ridge(rows, halves)
    new = None
    if ridge is not None:
        fitted = fitted_rows(rows, both, ridge)
        new = inputs.unrows(fitted, weights.shape).astype(np.float32)
    lost = (np.einsum("gnk,gk->gn", rows, both.mean_float)
            - np.einsum("gnk,gk->gn", fitted, both.mean))
    return Refitted(new, lost.reshape(-1))


def fitted_rows(rows: Array, seen: Moments, ridge: float) -> Array:
    """The weights [groups, channels, inputs] of least error, with `ridge` x mean diagonal."""
    gram = seen.gram
    size = gram.shape[1]
    amount = np.maximum(ridge * np.einsum("gkk->gk", gram).mean(axis=1), 1e-12)
    gram[:, np.arange(size), np.arange(size)] += amount[:, None]
    assert seen.cross is not None
    target = rows @ seen.cross + amount[:, None, None] * rows
    return np.swapaxes(np.linalg.solve(gram, np.swapaxes(target, 1, 2)), 1, 2)


def _best_ridge(rows: Array, halves: tuple[Moments, Moments]) -> float | None:
    """The ridge whose fit to one half errs least on the other, None where no fit is better."""
    fit, check = halves
    if not fit.count or not check.count:
        return None
    gram, cross = check.gram, check.cross
    assert cross is not None
    target = rows @ cross

    def error(weights: Array) -> float:
        return float((((weights @ gram) - 2 * target) * weights).sum())

    errors = [error(fitted_rows(rows, fit, ridge)) for ridge in _RIDGES]
    return _RIDGES[int(np.argmin(errors))] if min(errors) < error(rows) else None
