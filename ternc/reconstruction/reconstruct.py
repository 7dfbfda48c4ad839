"""Post-training ternarization with data: layer after layer, by the error of its output.

Each layer is fitted on the inputs that it will really get, from the layers before it that are
ternary already, towards the output that the float model has. What is left of the mean error goes
into the bias, and the layers behind that stay int8 or float are fitted to their new inputs. Memory
holds two Gram matrices of one layer, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.layer_inputs import LayerInputs, layer_inputs
from ternc.moments import Feed, Moments, moments
from ternc.passes._bias import add_to_bias
from ternc.passes._canonical import canonical, import_int2, put_in_slot
from ternc.passes._graph import constant
from ternc.passes._levels import Ternary
from ternc.passes._linear import RECURRENT, Slot
from ternc.passes.ternarize import by_scheme, float_slots, real, warn
from ternc.quantize.reconstruction import reconstruct_weights
from ternc.reconstruction.putting import put_gates
from ternc.reconstruction.recurrent import Fitted, Start, can_fit, fit_recurrent, starts
from ternc.reconstruction.refit import Refitted, refitted

Array = npt.NDArray[np.float64]
_T = TypeVar("_T")
FALLBACK: Final = "optimal"

_DAMPING: Final = (0.01, 0.1, 1.0)
_LARGEST: Final = 4096  # inputs of a channel; beyond, a Gram matrix takes more than 128 MB


@dataclass(frozen=True, slots=True)
class _Found:
    """Ternary weights of one layer, what its bias gains, and how they were found."""

    weights: Ternary
    bias: Array | None
    how: str


@dataclass(slots=True)
class Memo:
    """Fits of one model's layers to the same samples, so that no fit is made twice.

    What a layer is fitted to follows from the layers before it: a fit serves every choice of
    ternary layers that agrees on those.
    """

    fits: dict[tuple[object, ...], _Found | Refitted | Fitted | list[Start] | None] = field(
        default_factory=dict)

    def get(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """The fit of `key`, made if it is not known."""
        if key not in self.fits:
            self.fits[key] = make()  # type: ignore[assignment]
        return self.fits[key]  # type: ignore[return-value]


def reconstruct(
    model: ir.Model, feeds: Iterable[Feed], diagnostics: Diagnostics, *,
    nodes: AbstractSet[str] | None = None, keep: AbstractSet[str] = frozenset(),
    fixed: AbstractSet[str] | None = None, memo: Memo | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Makes float weights of `model` ternary, in the canonical form of `detect_ternary`.

    Args:
        model: Float, with static shapes, as the front passes leave it; changed in place.
        feeds: Samples that can be iterated over again and again.
        diagnostics: Gets warning TC0207 for each layer.
        nodes: Names of the nodes to make ternary; all by default. Of a recurrent node n, n.W and
            n.R are its weights, and n.R[:k] the k rows that lose least.
        keep: Names of nodes that must not become ternary.
        fixed: Names of nodes whose weights stay as they are; by default no node is fitted to what
            the ternary layers before it give.
        memo: Fits made before, of a model with the same float weights and node names to the same
            samples; new ones are added.
        progress: Called with (layers done, layers in all).

    Layers with more than 4,096 inputs to a channel or a form without a Gram matrix get the codes
    of least weight error instead.

    Raises:
        CompileError: The samples do not fit the model.
        OracleError: onnxruntime cannot run the model.
    """
    original = ir.to_proto(model)
    memo = memo or Memo()
    chosen = {(slot.node, slot.index): None if nodes is None else slot.rows_in(nodes)
              for slot in float_slots(model, nodes, keep)}
    before = _ternary_before(model, chosen)
    slots = list(float_slots(model)) if fixed is not None else list(
        float_slots(model, nodes, keep))
    made: dict[tuple[ir.Value, int], ir.Value] = {}
    whole: set[ir.Node] = set()  # of which W and R were fitted together
    for done, slot in enumerate(slots):
        node = slot.node
        if node.op_type in RECURRENT and (
                node in whole or _gates(model, original, node, feeds, chosen, before[node],
                                        fixed, memo, diagnostics)):
            whole.add(node)
            continue
        key = (node.name or id(node), slot.index, before[node], len(slot.weight.uses()) > 1)
        if (node, slot.index) in chosen:
            weight = (slot.weight, slot.axis)
            if weight not in made:
                found = memo.get(
                    ("ternary", *key), partial(_ternary, model, original, slot, feeds))
                real_weights = constant(slot.weight)
                assert real_weights is not None
                warn(diagnostics, slot, real_weights, found.weights, found.how)
                if found.bias is not None:
                    add_to_bias(node, found.bias)
                made[weight] = canonical(slot, found.weights)
            put_in_slot(slot, made[weight])
            import_int2(model)
        elif before[node] and fixed is not None and (node.name or "") not in fixed:
            inputs = layer_inputs(slot)
            if inputs is not None and inputs.size <= _LARGEST and len(slot.weight.uses()) == 1:
                better = memo.get(
                    ("refit", *key), partial(refitted, model, original, slot, inputs, feeds))
                if better is not None:
                    better.put(slot)
        if progress is not None:
            progress(done + 1, len(slots))


def _ternary_before(
    model: ir.Model, chosen: Mapping[tuple[ir.Node, int], int | None]
) -> dict[ir.Node, frozenset[object]]:
    """What is chosen of the nodes that each node's inputs depend on."""
    own: dict[ir.Node, frozenset[object]] = {}
    for (node, index), rows in chosen.items():
        own[node] = own.get(node, frozenset()) | {(node.name or id(node), index, rows)}
    found: dict[ir.Node, frozenset[object]] = {}
    for node in model.graph:
        sources = {value.producer() for value in node.inputs if value is not None}
        found[node] = frozenset[object]().union(*(
            found[source] | own.get(source, frozenset())
            for source in sources if source is not None))
    return found


def _gates(
    model: ir.Model, original: onnx.ModelProto, node: ir.Node, feeds: Iterable[Feed],
    chosen: Mapping[tuple[ir.Node, int], int | None], before: frozenset[object],
    fixed: AbstractSet[str] | None, memo: Memo, diagnostics: Diagnostics,
) -> bool:
    """Fits both weights of a recurrent node; False for one that has no such fit.

    A node that stays int8 is fitted to what the ternary layers before it give.
    """
    rows = {"wr"[index - 1]: chosen[node, index] for index in (1, 2) if (node, index) in chosen}
    refits = before and fixed is not None and (node.name or "") not in fixed
    if not can_fit(node) or not (rows or refits):
        return False
    key = node.name or id(node), before
    start = memo.get(("start", *key), partial(starts, model, original, node, feeds))
    fitted = memo.get(("gates", *key, *sorted(rows.items())), partial(fit_recurrent, start, rows))
    put_gates(model, node, fitted, diagnostics)
    return True


def _ternary(model: ir.Model, original: onnx.ModelProto, slot: Slot, feeds: Iterable[Feed]
             ) -> _Found:
    """Codes and scale of one layer."""
    weights = constant(slot.weight)
    assert weights is not None
    inputs = layer_inputs(slot)
    if inputs is None or inputs.size > _LARGEST:
        return _Found(by_scheme(slot, weights, FALLBACK), None, f"scheme {FALLBACK}")
    return _fit(model, original, slot, inputs, feeds)


def _fit(model: ir.Model, original: onnx.ModelProto, slot: Slot, inputs: LayerInputs,
         feeds: Iterable[Feed]) -> _Found:
    """Codes and scale of one layer; its mean error goes into the bias unless it is shared."""
    weights = constant(slot.weight)
    assert weights is not None
    halves = moments(model, original, inputs, feeds)
    both = halves[0] + halves[1]
    rows = inputs.rows(weights).astype(np.float64)
    damping = _best_damping(rows, halves)
    fitted = reconstruct_weights(rows, both.gram, both.cross, damping=damping)
    scale = np.where(fitted.scale > 0, fitted.scale, 1.0).astype(np.float32)
    found = Ternary(inputs.unrows(fitted.codes, weights.shape), scale.reshape(-1))
    bias = None
    if len(slot.weight.uses()) == 1:
        # the bias is not ternary: whatever the mean output lost comes back exactly
        quantized = inputs.rows(real(slot, found)).astype(np.float64)
        lost = (np.einsum("gnk,gk->gn", rows, both.mean_float)
                - np.einsum("gnk,gk->gn", quantized, both.mean))
        bias = lost.reshape(-1)
    return _Found(found, bias, "by the error of the layer's output on the calibration data")


def _best_damping(rows: Array, halves: tuple[Moments, Moments]) -> float:
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
