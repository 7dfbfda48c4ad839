"""Post-training ternarization with data: layer after layer, by the error of its output.

Each layer is fitted on the inputs that it will really get, from the layers before it that are
ternary already, towards the output that the float model has. What is left of the mean error goes
into the bias. Memory holds two Gram matrices of one layer, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.layer_inputs import LayerInputs, layer_inputs
from ternc.passes._bias import add_to_bias
from ternc.passes._canonical import canonical, import_int2, put_in_slot
from ternc.passes._graph import constant
from ternc.passes._levels import Ternary
from ternc.passes._linear import Slot
from ternc.passes.ternarize import by_scheme, float_slots, real, warn
from ternc.quantize.reconstruction import reconstruct_weights

Array = npt.NDArray[np.float64]
Feed = Mapping[str, npt.NDArray[np.generic]]
FALLBACK: Final = "optimal"

_DAMPING: Final = (0.01, 0.1, 1.0)
_LARGEST: Final = 4096  # inputs of a channel; beyond, a Gram matrix takes more than 128 MB


def reconstruct(
    model: ir.Model, feeds: Iterable[Feed], diagnostics: Diagnostics, *,
    nodes: AbstractSet[str] | None = None, keep: AbstractSet[str] = frozenset(),
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Makes float weights of `model` ternary, in the canonical form of `detect_ternary`.

    Args:
        model: Float, with static shapes, as the front passes leave it; changed in place.
        feeds: Samples that can be iterated over again and again.
        diagnostics: Gets warning TC0207 for each layer.
        nodes: Names of the nodes to make ternary; all by default.
        keep: Names of nodes to leave alone.
        progress: Called with (layers done, layers in all).

    Recurrent weights, and layers with more than 4,096 inputs to a channel or a form without a
    Gram matrix, get the codes of least weight error instead.

    Raises:
        CompileError: The samples do not fit the model.
        OracleError: onnxruntime cannot run the model.
    """
    original = ir.to_proto(model)
    slots = list(float_slots(model, nodes, keep))
    made: dict[tuple[ir.Value, int], ir.Value] = {}
    for done, slot in enumerate(slots):
        key = (slot.weight, slot.axis)
        if key not in made:
            weights = constant(slot.weight)
            assert weights is not None
            inputs = layer_inputs(slot)
            if inputs is None or inputs.size > _LARGEST:
                found, how = by_scheme(slot, weights, FALLBACK), f"scheme {FALLBACK}"
            else:
                shared = len(slot.weight.uses()) > 1
                found = _fit(model, original, slot, inputs, feeds, correct=not shared)
                how = "by the error of the layer's output on the calibration data"
            warn(diagnostics, slot, weights, found, how)
            made[key] = canonical(slot, found)
        put_in_slot(slot, made[key])
        import_int2(model)
        if progress is not None:
            progress(done + 1, len(slots))


def _fit(model: ir.Model, original: onnx.ModelProto, slot: Slot, inputs: LayerInputs,
         feeds: Iterable[Feed], *, correct: bool) -> Ternary:
    """Codes and scale of one layer; with `correct`, moves its mean error into the bias."""
    weights = constant(slot.weight)
    assert weights is not None
    halves = _moments(model, original, inputs, feeds)
    moments = halves[0] + halves[1]
    rows = inputs.rows(weights).astype(np.float64)
    damping = _best_damping(rows, halves)
    fitted = reconstruct_weights(rows, moments.gram, moments.cross, damping=damping)
    scale = np.where(fitted.scale > 0, fitted.scale, 1.0).astype(np.float32)
    found = Ternary(inputs.unrows(fitted.codes, weights.shape), scale.reshape(-1))
    if correct:
        # the bias is not ternary: whatever the mean output lost comes back exactly
        quantized = inputs.rows(real(slot, found)).astype(np.float64)
        lost = (np.einsum("gnk,gk->gn", rows, moments.mean_float)
                - np.einsum("gnk,gk->gn", quantized, moments.mean))
        add_to_bias(slot.node, lost.reshape(-1))
    return found


def _best_damping(rows: Array, halves: tuple[_Moments, _Moments]) -> float:
    """The damping whose fit to every other sample has the least error on the rest."""
    if not all(half.count for half in halves):
        return _DAMPING[0]
    fit, check = halves
    gram = check.gram
    target = rows @ (gram if check.cross is None else check.cross)
    errors = []
    for damping in _DAMPING:
        found = reconstruct_weights(rows, fit.gram, fit.cross, damping=damping, quick=True)
        weights = found.codes * found.scale[:, :, None]
        errors.append(float((((weights @ gram) - 2 * target) * weights).sum()))
    return _DAMPING[int(np.argmin(errors))]


class _Moments:
    """Means and covariances of the inputs x of the float layer and x' of the quantized one."""

    def __init__(self, groups: int, size: int) -> None:
        self.count = 0
        self._sum = np.zeros((groups, size))
        self._sum_float = np.zeros((groups, size))
        self._gram = np.zeros((groups, size, size))
        self._cross: Array | None = None

    def add(self, x: npt.NDArray[np.float32], x_float: npt.NDArray[np.float32] | None) -> None:
        """Rows [groups, positions, inputs]; None: the same."""
        self.count += x.shape[1]
        turned = np.swapaxes(x, 1, 2)
        self._sum += x.sum(axis=1, dtype=np.float64)
        self._gram += turned @ x
        if x_float is None:
            return
        if self._cross is None:
            self._cross = np.zeros_like(self._gram)
        self._sum_float += x_float.sum(axis=1, dtype=np.float64)
        self._cross += np.swapaxes(x_float, 1, 2) @ x

    def __add__(self, other: _Moments) -> _Moments:
        groups, size = self._sum.shape
        total = _Moments(groups, size)
        total.count = self.count + other.count
        for name in ("_sum", "_sum_float", "_gram"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        crosses = [half._cross for half in (self, other) if half._cross is not None]
        total._cross = sum(crosses[1:], crosses[0]) if crosses else None
        return total

    @property
    def mean(self) -> Array:
        return self._sum / self.count

    @property
    def mean_float(self) -> Array:
        return self.mean if self._cross is None else self._sum_float / self.count

    @property
    def gram(self) -> Array:
        """Centred, since the bias takes care of the means."""
        return self._gram / self.count - self.mean[:, :, None] * self.mean[:, None, :]

    @property
    def cross(self) -> Array | None:
        if self._cross is None:
            return None
        return self._cross / self.count - self.mean_float[:, :, None] * self.mean[:, None, :]


def _moments(model: ir.Model, original: onnx.ModelProto, inputs: LayerInputs,
             feeds: Iterable[Feed]) -> tuple[_Moments, _Moments]:
    """Those of the even samples and those of the odd ones."""
    from ternc.oracle import Oracle  # onnxruntime takes a second to import

    now = _up_to(ir.to_proto(model), inputs.name)
    before = _up_to(original, inputs.name)
    changed = now.SerializeToString() != before.SerializeToString()
    oracle, reference = Oracle(now), Oracle(before) if changed else None
    halves = (_Moments(inputs.groups, inputs.size), _Moments(inputs.groups, inputs.size))
    for index, feed in enumerate(feeds):
        used = {item.name: feed[item.name] for item in now.graph.input}
        x = inputs.columns(np.asarray(oracle.run(used, [inputs.name])[inputs.name]), index)
        x_float = None
        if reference is not None:
            value = np.asarray(reference.run(used, [inputs.name])[inputs.name])
            x_float = inputs.columns(value, index)
        halves[index % 2].add(x, x_float)
    return halves


def _up_to(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The part of `model` that computes `tensor`."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    needed, nodes = {tensor}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    del part.graph.node[:]
    part.graph.node.extend(reversed(nodes))
    initializers = [item for item in model.graph.initializer if item.name in needed]
    del part.graph.initializer[:]
    part.graph.initializer.extend(initializers)
    values = {item.name: item for item in (*model.graph.value_info, *model.graph.input,
                                           *model.graph.output)}
    del part.graph.value_info[:]
    del part.graph.output[:]
    part.graph.output.append(values.get(tensor) or onnx.ValueInfoProto(name=tensor))
    return part
