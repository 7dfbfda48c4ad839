"""Gradients through time against differences, and descents on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from ternc.reconstruction.cells import Cell, simulate
from ternc.reconstruction.descent import Task, descend
from ternc.reconstruction.reads import steps_read
from ternc.reconstruction.start import fit_gates
from ternc.reconstruction.unrolled_cells import states_of, unroll
from tests.recurrent_graphs import Layer

CELLS = [("LSTM", 4, False), ("GRU", 3, False), ("GRU", 3, True), ("RNN", 1, False)]
IDS = ["LSTM", "GRU", "GRU-after", "RNN"]


def _cell(op_type: str, gates: int, reset_after: bool, hidden: int = 4, inputs: int = 3,
          seed: int = 2) -> Cell:
    rng = np.random.default_rng(seed)
    rows = gates * hidden
    return Cell(op_type, rng.normal(0, 0.7, (rows, inputs)), rng.normal(0, 0.5, (rows, hidden)),
                rng.normal(0, 0.3, rows), rng.normal(0, 0.3, rows), reset_after)


def _stacked(cells: list[Cell]) -> Cell:
    w, r, w_bias, r_bias = (np.stack([getattr(cell, name) for cell in cells])
                            for name in ("w", "r", "w_bias", "r_bias"))
    return replace(cells[0], w=w, r=r, w_bias=w_bias, r_bias=r_bias)


@pytest.mark.parametrize(("op_type", "gates", "reset_after"), CELLS, ids=IDS)
class TestCells:
    def test_states_are_the_simulated_ones(
        self, op_type: str, gates: int, reset_after: bool
    ) -> None:
        """Of cells side by side, each with weights of its own."""
        cells, rng = [_cell(op_type, gates, reset_after, seed=seed) for seed in (2, 3)], \
            np.random.default_rng(0)
        x, (h, c) = rng.normal(0, 1, (5, 2, 3)), rng.normal(0, 0.4, (2, 2, 4))
        found = states_of(_stacked(cells), x, h, c)
        for index, cell in enumerate(cells):
            np.testing.assert_allclose(found[index], simulate(cell, x, h, c).states)

    def test_gradients_are_differences(self, op_type: str, gates: int, reset_after: bool) -> None:
        """Also of a second run, and of more steps than are summed at once."""
        both, rng = _stacked([_cell(op_type, gates, reset_after, seed=seed)
                              for seed in (4, 2)]), np.random.default_rng(1)
        steps = 20
        x, (h, c) = rng.normal(0, 1, (steps, 2, 3)), rng.normal(0, 0.4, (2, 2, 4))
        goal, share = rng.normal(0, 0.5, (steps, 2, 4)), rng.uniform(0, 1, steps)

        def errors(cells: Cell) -> np.ndarray:
            return np.asarray(
                ((states_of(cells, x, h, c) - goal) ** 2).sum(axis=(2, 3)) @ share)

        unrolled = unroll(both, steps, 2)
        unrolled.x[:], unrolled.h[:], unrolled.c[:] = x.swapaxes(1, 2)[:, None], h.T, c.T
        unrolled.gradients(np.ones_like(unrolled.run(both.map(np.zeros_like))))
        states = unrolled.run(both)
        found = unrolled.gradients(
            2 * (states - goal.swapaxes(1, 2)[:, None]) * share[:, None, None, None])
        for name in ("w", "r", "w_bias", "r_bias"):
            slope = np.zeros_like(getattr(both, name))
            for place in np.ndindex(slope.shape[1:]):
                for step in (1e-6, -1e-6):
                    moved = getattr(both, name).copy()
                    moved[:, *place] += step
                    slope[:, *place] += errors(replace(both, **{name: moved})) / (2 * step)
            np.testing.assert_allclose(getattr(found, name), slope, atol=1e-7)

    @pytest.mark.parametrize("part", ["r", "both", "some"])
    def test_descent(self, op_type: str, gates: int, reset_after: bool, part: str,
                     monkeypatch: pytest.MonkeyPatch) -> None:
        """Only rows that are asked for become ternary, and the states come nearer to the goal."""
        monkeypatch.setattr("ternc.reconstruction.descent._STEPS", 700)
        monkeypatch.setattr("ternc.reconstruction.descent._RESTARTS", 1)
        cell = _cell(op_type, gates, reset_after, hidden=6)
        rng = np.random.default_rng(3)
        x, zero = rng.normal(0, 1, (6, 48, 3)), np.zeros((48, 6))
        reference = simulate(cell, x, zero, zero)
        start = fit_gates(cell, reference, x, [zero, zero])
        rows = len(cell.w)
        every, none = np.ones(rows, bool), np.zeros(rows, bool)
        masks = {"r": (none, every), "both": (every, every),
                 "some": (none, np.arange(rows) % 2 == 0)}[part]
        task = Task(x, (zero, zero), reference.states, np.full(6, 1 / 6), *masks)
        found = descend(cell, start, task)
        for weights, mask in ((found.w, masks[0]), (found.r, masks[1])):
            sizes = np.abs(weights[mask])
            np.testing.assert_allclose(sizes[sizes > 0], np.broadcast_to(
                sizes.max(axis=1, keepdims=True), sizes.shape)[sizes > 0], rtol=1e-6)
        before = replace(
            cell, w=np.where(masks[0][:, None], start.cell(cell).w, cell.w),
            r=np.where(masks[1][:, None], start.cell(cell).r, cell.r))
        # real weights beside ternary ones take back much of what these lose
        share = 0.8 if part == "r" else 1.0
        assert task.error(found) <= share * task.error(before)


def _steps(direction: str, outputs: tuple[str, ...], more: list[onnx.NodeProto],
           constants: dict[str, np.ndarray], end: str) -> list[list[float]]:
    """What is read of a GRU with 7 steps."""
    model = Layer("GRU", direction, outputs=outputs).model()
    model.graph.node.extend(more)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants.items())
    if end not in outputs:
        del model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info(end, TensorProto.FLOAT, None))
    nodes = [node for node in ir.from_proto(model).graph if node.op_type == "GRU"]
    counts: list[list[float]] = steps_read(nodes[0]).tolist()
    return counts


def test_steps_read() -> None:
    """hidden is 6: that many elements of a step are read, or none."""
    assert _steps("forward", ("y",), [], {}, "y") == [[6] * 7]
    assert _steps("forward", ("y_h",), [], {}, "y_h") == [[0] * 6 + [6]]
    assert _steps("reverse", ("y_h",), [], {}, "y_h") == [[6] + [0] * 6]
    assert _steps("bidirectional", ("y_h",), [], {}, "y_h") == [
        [0] * 6 + [6], [6] + [0] * 6]
    last = [helper.make_node("Transpose", ["y"], ["turned"], perm=[2, 0, 1, 3]),
            helper.make_node("Gather", ["turned", "at"], ["one"], axis=1),
            helper.make_node("Relu", ["one"], ["end"])]
    assert _steps("forward", ("y",), last, {"at": np.array(-1)}, "end") == [[0] * 6 + [6]]
    both = _steps("bidirectional", ("y",), last, {"at": np.array(2)}, "end")
    assert both == [[0, 0, 6, 0, 0, 0, 0]] * 2
    twice = [*last, helper.make_node("Neg", ["y"], ["other"])]
    assert _steps("forward", ("y",), twice, {"at": np.array(-1)}, "end") == [[6] * 6 + [12]]
