"""Ternary W and R of recurrent layers, by the error of the gates on the calibration data.

Each gate row is fitted so that its value before the activation is that of the float layer, each
step weighted by the activation's slope there: an error where the gate is saturated does not
matter. W and R have a scale of their own and are fitted in turn, each to what the other leaves;
the mean error goes into the bias. The states that R reads are at first the float layer's, then
those of the layer just fitted, so that later rounds correct what the state has drifted. The round
whose states differ least from the float layer's is taken; thresholds compete too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.moments import Feed, up_to
from ternc.passes._graph import constant, graph_of, initializer, input_at, static_shape
from ternc.passes._levels import Ternary
from ternc.quantize import SCHEMES
from ternc.quantize.reconstruction import reconstruct_weights
from ternc.recurrent_cells import Cell, Trace, simulate

Array = npt.NDArray[np.float64]

_STEPS: Final = 32768  # of all samples together, that are looked at
_WORK: Final = 2e10  # multiplications for the Gram matrices of one fit
_ROUNDS: Final = 3
_DAMPING: Final = (0.01, 0.1)
_FLOOR: Final = 0.05  # of the mean weight, so that saturated steps still count a little
_THRESHOLDS: Final = ("optimal", "twn", "bitnet_channel")


@dataclass(frozen=True, slots=True)
class Fitted:
    """W and R of a node, [directions, rows, columns], and its corrected bias."""

    w: Ternary
    r: Ternary
    bias: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Codes:
    """One direction."""

    w: Array
    w_scale: Array
    r: Array
    r_scale: Array
    w_bias: Array

    def cell(self, like: Cell) -> Cell:
        return replace(like, w=self.w * self.w_scale[:, None], r=self.r * self.r_scale[:, None],
                       w_bias=self.w_bias)


def fit_recurrent(
    model: ir.Model, original: onnx.ModelProto, node: ir.Node, feeds: Iterable[Feed]
) -> Fitted | None:
    """Ternary weights of `node`, None for a form that is not simulated here."""
    cells = _cells(node)
    if cells is None:
        return None
    direction = node.attributes.get_string("direction", "forward")
    found: list[_Codes] = []
    x, states = _inputs(ir.to_proto(model), node, feeds)
    x_float, states_float = _inputs(original, node, feeds)
    for index, cell in enumerate(cells):
        backwards = direction == "reverse" or index == 1
        order = slice(None, None, -1 if backwards else 1)
        reference = simulate(cell, x_float[order], *(s[index] for s in states_float))
        found.append(_fit(cell, reference, x[order], [s[index] for s in states]))
    return Fitted(
        Ternary(np.stack([c.w for c in found]).astype(np.int8), _scales(c.w_scale for c in found)),
        Ternary(np.stack([c.r for c in found]).astype(np.int8), _scales(c.r_scale for c in found)),
        np.stack([np.concatenate([c.w_bias, cell.r_bias])
                  for c, cell in zip(found, cells, strict=True)]).astype(np.float32))


def set_bias(node: ir.Node, bias: npt.NDArray[np.float32]) -> None:
    """Makes `bias` [directions, 2 x rows] input B of a recurrent node."""
    if len(node.inputs) < 4:
        node.resize_inputs(4)
    old = node.inputs[3]
    node.replace_input_with(3, initializer(
        graph_of(node), f"{node.name or node.op_type}_bias_corrected", bias))
    if old is not None and old.is_initializer() and not old.uses():
        graph_of(node).initializers.pop(old.name or "", None)


def _scales(rows: Iterable[Array]) -> npt.NDArray[np.float32]:
    scale = np.concatenate(list(rows))
    return np.where(scale > 0, scale, 1.0).astype(np.float32)


def _cells(node: ir.Node) -> list[Cell] | None:
    """The directions of a node with float constants and default activations."""
    usual = {"hidden_size", "direction", "linear_before_reset", "layout", "input_forget"}
    unusual = set(node.attributes) - usual
    if unusual or bool(node.attributes.get_int("layout", 0)) or bool(
            node.attributes.get_int("input_forget", 0)):
        return None
    w, r = constant(node.inputs[1]), constant(node.inputs[2])
    bias = input_at(node, 3)
    if w is None or r is None or input_at(node, 4) is not None or input_at(node, 7) is not None \
            or (bias is not None and constant(bias) is None):
        return None
    rows = w.shape[1]
    both = np.zeros((w.shape[0], 2 * rows)) if bias is None else np.asarray(constant(bias))
    after = bool(node.attributes.get_int("linear_before_reset", 0))
    return [Cell(node.op_type, w[d].astype(np.float64), r[d].astype(np.float64),
                 both[d, :rows].astype(np.float64), both[d, rows:].astype(np.float64), after)
            for d in range(w.shape[0])]


def _inputs(model: onnx.ModelProto, node: ir.Node, feeds: Iterable[Feed]
            ) -> tuple[Array, list[Array]]:
    """X [steps, samples, inputs] and the initial h and c [directions, samples, hidden]."""
    from ternc.oracle import Oracle

    value = node.inputs[0]
    assert value is not None
    shape = static_shape(value)
    assert shape is not None
    hidden = np.asarray(constant(node.inputs[2])).shape
    oracles: dict[str, tuple[Oracle, list[str]]] = {}
    for item in (value, input_at(node, 5), input_at(node, 6)):
        if item is not None and item.name and constant(item) is None:
            part = up_to(model, item.name)
            oracles[item.name] = Oracle(part), [given.name for given in part.graph.input]
    seen: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in oracles}
    count = 0
    for feed in islice(feeds, max(1, _STEPS // max(1, shape[0] * shape[1]))):
        count += 1
        for name, (oracle, given) in oracles.items():
            used = {item: feed[item] for item in given}
            seen[name].append(np.asarray(oracle.run(used, [name])[name]))
    x = np.concatenate(seen[value.name or ""], axis=1).astype(np.float64)
    states = []
    for index in (5, 6):
        item = input_at(node, index)
        if item is None:
            states.append(np.zeros((hidden[0], x.shape[1], hidden[2])))
            continue
        known = constant(item)
        parts = seen[item.name or ""] if known is None else [known] * count
        states.append(np.concatenate(parts, axis=1).astype(np.float64))
    return x, states


def _fit(cell: Cell, reference: Trace, x: Array, states: list[Array]) -> _Codes:
    """The best of some rounds and thresholds."""
    candidates = [_threshold(cell, scheme) for scheme in _THRESHOLDS]
    for damping in _DAMPING:
        read = reference
        for _ in range(_ROUNDS):
            candidates.append(_fit_rows(cell, reference, read, x, damping))
            read = simulate(candidates[-1].cell(cell), x, *states)
    return min(candidates, key=lambda codes: float(
        ((simulate(codes.cell(cell), x, *states).states - reference.states) ** 2).sum()))


def _threshold(cell: Cell, scheme: str) -> _Codes:
    w, w_scale = SCHEMES[scheme].rule(cell.w)
    r, r_scale = SCHEMES[scheme].rule(cell.r)
    rows = cell.w.shape[0]
    return _Codes(w.astype(np.float64), np.broadcast_to(w_scale.reshape(-1), (rows,)),
                  r.astype(np.float64), np.broadcast_to(r_scale.reshape(-1), (rows,)),
                  cell.w_bias)


def _fit_rows(cell: Cell, reference: Trace, read: Trace, x: Array, damping: float) -> _Codes:
    """Every row, R reading the states of `read`, towards the values of `reference`."""
    rows, hidden = cell.r.shape
    inputs = cell.w.shape[1]
    size = inputs + hidden
    total = x.shape[0] * x.shape[1]
    count = int(min(total, max(8 * size, _WORK // (rows * size**2))))
    taken = np.random.default_rng(0).choice(total, count, replace=False)

    def flat(array: Array) -> Array:
        return np.asarray(array.reshape(total, -1)[taken])

    given, previous, factor = flat(x), flat(read.previous), flat(read.factor)
    reset = previous if read.reset is None else flat(read.reset)
    weight = flat(reference.slope) ** 2
    weight = weight + np.maximum(_FLOOR * weight.mean(axis=0), 1e-12)
    weight /= weight.sum(axis=0)
    goal = flat(reference.before) - cell.w_bias
    last = rows - hidden if cell.op_type == "GRU" else rows  # the rows that a reset concerns
    codes = _Codes(np.zeros_like(cell.w), np.zeros(rows), np.zeros_like(cell.r), np.zeros(rows),
                   cell.w_bias.copy())
    for row in range(rows):
        hidden_in = (reset if row >= last else previous) * factor[:, row : row + 1]
        joined = np.concatenate([given, hidden_in], axis=1)
        target = goal[:, row] - factor[:, row] * cell.r_bias[row]
        share = weight[:, row : row + 1]
        mean, mean_target = (joined * share).sum(axis=0), float(target @ share[:, 0])
        centred = joined - mean
        gram = centred.T @ (centred * share)
        product = ((target - mean_target)[:, None] * centred * share).sum(axis=0)
        _fit_row(codes, row, cell, gram, product, damping)
        got = np.concatenate([codes.w[row] * codes.w_scale[row],
                              codes.r[row] * codes.r_scale[row]])
        codes.w_bias[row] += mean_target - float(mean @ got)
    return codes


def _fit_row(codes: _Codes, row: int, cell: Cell, gram: Array, product: Array, damping: float
             ) -> None:
    """W and R of a row in turn, each to what the other leaves."""
    inputs = cell.w.shape[1]
    parts = (slice(None, inputs), slice(inputs, None))
    real = np.concatenate([cell.w[row], cell.r[row]])
    current = real.copy()
    for part, other in (*zip(parts, parts[::-1], strict=True),) * 2:
        left = product[part] - gram[part, other] @ current[other]
        found = reconstruct_weights(
            real[None, None, part], gram[None, part, part], target=left[None, None],
            damping=damping)
        current[part] = found.codes[0, 0] * found.scale[0, 0]
        into, scale = (codes.w, codes.w_scale) if part is parts[0] else (codes.r, codes.r_scale)
        into[row], scale[row] = found.codes[0, 0], found.scale[0, 0]
