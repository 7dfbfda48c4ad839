"""Ternary W and R of recurrent layers, by the error of the states on the calibration data.

W and R, or some of their rows, become ternary; the other rows and the bias are fitted with them.
It starts from the codes that serve the gates best (`start`) and goes on by the error of
the states that the model reads (`descent`). The states are those that the layer, with
what it really reads, runs into.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.moments import Feed, up_to
from ternc.passes._graph import constant, input_at, static_shape
from ternc.passes._levels import Ternary
from ternc.reconstruction.cells import Cell, simulate
from ternc.reconstruction.descent import Task, descend
from ternc.reconstruction.reads import steps_read
from ternc.reconstruction.start import Codes, fit_gates
from ternc.reconstruction.unrolled_cells import states_of

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

_STEPS: Final = 32768  # of all samples together, that are looked at
_ALL: Final = 0.05  # what the states that nobody reads count for, all together
_RANKED: Final = 32  # samples by which rows are put in order
_TOGETHER: Final = 2**21  # values of gates in memory, while they are


@dataclass(frozen=True, slots=True)
class Rows:
    """Weights [directions, rows, columns] of which the rows in `ternary` have one magnitude."""

    real: npt.NDArray[np.float32]
    ternary: Mask

    @property
    def whole(self) -> Ternary | None:
        """Codes and scales, if every row is ternary."""
        if not self.ternary.all():
            return None
        scale = np.abs(self.real).max(axis=2).reshape(-1)
        return Ternary(np.sign(self.real).astype(np.int8), np.where(scale > 0, scale, 1.0))


@dataclass(frozen=True, slots=True)
class Fitted:
    """W and R of a node and its bias [directions, 2 x rows]."""

    w: Rows
    r: Rows
    bias: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Start:
    """One direction before the descent: what it reads and should give, and the first codes.

    `w_order` and `r_order` are its rows from the one that loses least as the only ternary one,
    with what it loses.
    """

    cell: Cell
    codes: Codes
    x: Array
    states: tuple[Array, Array]
    goal: Array
    share: Array

    def losses(self, name: str) -> Array:
        """What each row of W or R loses as the only ternary one."""
        few = slice(None, _RANKED)
        x, goal = self.x[:, few], self.goal[:, few]
        h, c = (state[few] for state in self.states)
        real, coded = getattr(self.cell, name), getattr(self.codes.cell(self.cell), name)
        losses = []
        together = max(1, _TOGETHER // (len(real) * x.shape[0] * x.shape[1]))
        for rows in np.split(np.arange(len(real)), range(together, len(real), together)):
            copies = self.cell.copies(len(rows))
            getattr(copies, name)[np.arange(len(rows)), rows] = coded[rows]
            found = states_of(copies, x, h, c)
            losses.append(((found - goal) ** 2).sum(axis=(2, 3)) @ self.share)
        return np.concatenate(losses)


def can_fit(node: ir.Node) -> bool:
    """Whether this module has a form for `node`, whose weights no other node reads."""
    return all(value is not None and len(value.uses()) == 1 for value in node.inputs[1:3]) \
        and _cells(node) is not None


def starts(model: ir.Model, original: onnx.ModelProto, node: ir.Node, feeds: Iterable[Feed]
           ) -> list[Start]:
    """Each direction of a node that `can_fit`; the weights in `node` are the float ones."""
    cells = _cells(node)
    assert cells is not None
    direction = node.attributes.get_string("direction", "forward")
    read = steps_read(node)
    x, states = _inputs(ir.to_proto(model), node, feeds)
    x_float, states_float = _inputs(original, node, feeds)
    found = []
    for index, cell in enumerate(cells):
        order = slice(None, None, -1 if direction == "reverse" or index == 1 else 1)
        reference = simulate(cell, x_float[order], *(s[index] for s in states_float))
        given = [s[index] for s in states]
        counts = read[index][order]
        share = np.full(len(counts), _ALL / len(counts))
        share += (1 - _ALL) * counts / max(counts.sum(), 1)
        found.append(Start(cell, fit_gates(cell, reference, x[order], given), x[order],
                           (given[0], given[1]), reference.states, share))
    return found


def fit_recurrent(found: list[Start], rows: Mapping[str, int | None]) -> Fitted:
    """Makes W and R ternary, as `rows` says: how many rows of "w" and "r", None for all."""
    masks = {name: _chosen(found, name, rows.get(name, 0)) for name in ("w", "r")}
    cells = [descend(start.cell, start.codes, Task(
        start.x, start.states, start.goal, start.share, masks["w"][index], masks["r"][index]))
        for index, start in enumerate(found)]
    w, r = (Rows(np.stack([getattr(cell, name) for cell in cells]).astype(np.float32),
                 masks[name]) for name in ("w", "r"))
    return Fitted(w, r, np.stack([np.concatenate([cell.w_bias, cell.r_bias])
                                  for cell in cells]).astype(np.float32))


def _chosen(found: list[Start], name: str, count: int | None) -> Mask:
    """The `count` rows of all directions that lose least, [directions, rows]."""
    shape = len(found), len(found[0].cell.w)
    if count is None or count == 0:
        return np.full(shape, count is None)
    losses = np.concatenate([start.losses(name) for start in found])
    mask = np.zeros(losses.size, bool)
    mask[np.argsort(losses, kind="stable")[:count]] = True
    return mask.reshape(shape)


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
