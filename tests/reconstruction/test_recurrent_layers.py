"""Ternary W and R fitted to the gates: the simulated cells, and what the fit is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
import pytest

import ternc
from ternc.diagnostics import Diagnostics
from ternc.oracle import Oracle
from ternc.passes._graph import constant
from ternc.passes.ternarize import Ternarize
from ternc.quality import accuracy, sqnr
from ternc.reconstruction.cells import Cell, simulate
from ternc.reconstruction.reconstruct import reconstruct
from ternc.reconstruction.recurrent import _cells
from tests.models.synthetic import gestures
from tests.recurrent_graphs import Layer

MODELS = Path(__file__).parents[1] / "models"
CELLS = [("LSTM", {}), ("GRU", {"linear_before_reset": 0}), ("GRU", {"linear_before_reset": 1}),
         ("RNN", {})]
IDS = ["LSTM", "GRU", "GRU-after", "RNN"]
ACTIVATIONS: list[Literal["int8", "int16"]] = ["int8", "int16"]
RNG = np.random.default_rng(0)


def _model(layer: Layer) -> ir.Model:
    model = ir.from_proto(layer.model())
    for index, node in enumerate(model.graph):
        node.name = f"n{index}"
    return model


def _node(model: ir.Model) -> ir.Node:
    (node,) = [node for node in model.graph if node.op_type in ("LSTM", "GRU", "RNN")]
    return node


def _simulated(op_type: str, attributes: dict[str, int]) -> tuple[Cell, Layer]:
    layer = Layer(op_type, outputs=("y",), attributes=attributes)
    (cell,) = _cells(_node(_model(layer))) or []
    return cell, layer


@pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=IDS)
class TestCells:
    def test_states_are_onnxruntimes(self, op_type: str, attributes: dict[str, int]) -> None:
        cell, layer = _simulated(op_type, attributes)
        x = layer.feeds(1)["x"]
        zero = np.zeros((1, cell.hidden))
        got = simulate(cell, x.astype(np.float64), zero, zero).states
        wanted = Oracle(layer.model()).run({"x": x})["y"][:, 0]
        np.testing.assert_allclose(got, wanted, atol=1e-5)

    def test_rows_are_products_of_what_they_read(
        self, op_type: str, attributes: dict[str, int]
    ) -> None:
        cell, layer = _simulated(op_type, attributes)
        x = layer.feeds(1)["x"].astype(np.float64)
        trace = simulate(cell, x, *RNG.uniform(-1, 1, (2, 1, cell.hidden)))
        for row in range(len(cell.r)):
            resets = op_type == "GRU" and row >= 2 * cell.hidden and trace.reset is not None
            hidden = trace.reset if resets else trace.previous
            assert hidden is not None
            factor = trace.factor[:, :, row]
            value = (x @ cell.w[row] + cell.w_bias[row]
                     + factor * (hidden @ cell.r[row] + cell.r_bias[row]))
            np.testing.assert_allclose(value, trace.before[:, :, row], atol=1e-9)

    def test_slope_is_the_derivative(self, op_type: str, attributes: dict[str, int]) -> None:
        """Of the state after one step by the bias, which shifts the value before the gate."""
        cell, layer = _simulated(op_type, attributes)
        x = layer.feeds(1)["x"][:1].astype(np.float64)
        h, c = RNG.uniform(-1, 1, (2, 1, cell.hidden))
        slope = simulate(cell, x, h, c).slope[0, 0]
        output = slice(cell.hidden, 2 * cell.hidden)
        for row in range(len(cell.r)):
            if op_type == "LSTM" and row not in range(*output.indices(len(cell.r))):
                continue  # the slope is the cell's
            ends = []
            for step in (-1e-6, 1e-6):
                bias = cell.w_bias.copy()
                bias[row] += step
                ends.append(simulate(replace(cell, w_bias=bias), x, h, c).states[0, 0])
            unit = row % cell.hidden
            if op_type == "GRU" and cell.hidden <= row < 2 * cell.hidden \
                    and not cell.reset_after:
                continue  # there a reset gate moves every unit
            assert (ends[1] - ends[0])[unit] / 2e-6 == pytest.approx(slope[row], abs=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=IDS)
def test_beats_thresholds_on_new_samples(
    op_type: str, attributes: dict[str, int], direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ternc.reconstruction.descent._STEPS", 200)
    layer = Layer(op_type, direction, steps=8, outputs=("y",), attributes=attributes, seed=3,
                  initial="constant")
    feeds = [_smooth(layer, seed) for seed in range(48)]
    check = [_smooth(layer, seed) for seed in range(100, 124)]
    reference = Oracle(layer.model())
    wanted = [reference.run(feed)["y"] for feed in check]

    def quality(model: ir.Model) -> float:
        oracle = Oracle(model)
        return sqnr(wanted, [oracle.run(feed)["y"] for feed in check])

    fitted = _model(layer)
    diagnostics = Diagnostics()
    reconstruct(fitted, feeds, diagnostics)
    assert [item.notes[0] for item in diagnostics] == [
        "by the error of the states on the calibration data"] * 2
    others = []
    for scheme in ("median", "twn", "bitnet", "optimal"):
        plain = _model(layer)
        Ternarize(Diagnostics(), scheme)(plain)
        others.append(quality(plain))
    assert quality(fitted) > max(others)


def _smooth(layer: Layer, seed: int) -> dict[str, np.ndarray]:
    """Correlated over time and inputs, as sensors are: what thresholds ignore."""
    rng = np.random.default_rng(seed)
    hidden = np.cumsum(rng.standard_normal((layer.steps, layer.batch, 2)), axis=0) / 2
    mixing = np.random.default_rng(5).standard_normal((2, layer.inputs))
    noise = 0.1 * rng.standard_normal((layer.steps, layer.batch, layer.inputs))
    return {"x": (hidden @ mixing + noise).astype(np.float32)}


@pytest.mark.parametrize("form", [
    {"peepholes": True}, {"attributes": {"activations": ["Relu", "Tanh", "Tanh"]}},
    {"lengths": [5]}])
def test_other_forms_fall_back_to_weight_error(form: dict[str, Any]) -> None:
    layer = Layer("LSTM", outputs=("y",), **form)
    diagnostics = Diagnostics()
    reconstruct(_model(layer), [layer.feeds(0)], diagnostics)
    assert [item.notes[0] for item in diagnostics] == ["scheme optimal"] * 2


@pytest.mark.parametrize("activations", ACTIVATIONS)
@pytest.mark.parametrize(("keep", "ternary"), [
    ({"rnn.R": "ternary"}, 400), ({"rnn.W": "ternary"}, 60),
    ({"rnn": "int8", "rnn.R": "ternary"}, 400),
    ({"rnn": "ternary", "rnn.R": "int8"}, 60), ({"rnn": "ternary"}, 460)])
def test_weights_are_named_by_themselves(
    keep: dict[str, str], ternary: int, activations: Literal["int8", "int16"],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    """In the program, in its report, and in the quantized model, which compiles to the same."""
    monkeypatch.setattr("ternc.reconstruction.descent._STEPS", 50)
    motion = gestures(32, seed=9)[0][:, :, ::2].transpose(0, 2, 1).copy()
    compiled = ternc.compile(MODELS / "sequence_rnn.onnx", "host", calibration_data=motion,
                             keep=keep, activations=activations)
    assert compiled.report()["weights"]["ternary"]["count"] == ternary
    assert compiled.report()["weights"]["int8"]["count"] == 460 - ternary + 80
    assert compiled.report()["weights"]["float32"]["count"] == 0
    form = "mixed" if ternary < 460 else "t2"
    bits = "i8" if activations == "int8" else "i16"
    names = [item.opcode.name for item in compiled.program.instructions]
    assert any(name.startswith(f"rnn_{bits}_{form}") for name in names), names
    compiled.save(tmp_path / "quantized.onnx")
    again = ternc.compile(tmp_path / "quantized.onnx", "host")
    assert again.report()["weights"] == compiled.report()["weights"]
    for sample in motion[:4]:
        np.testing.assert_array_equal(again.run(sample[None])["scores"],
                                      compiled.run(sample[None])["scores"])


def test_everything_but_one_matrix() -> None:
    compiled = ternc.compile(
        MODELS / "sequence_rnn.onnx", "host", ternarize="optimal", keep={"rnn.R": "int8"})
    found = compiled.report()["weights"]
    assert found["int8"]["count"] == 460  # W has ternary codes, in one byte each
    assert found["ternary"]["count"] == 80


def test_rows_that_lose_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """n.R[:k] are k rows, one magnitude each; the others are not."""
    monkeypatch.setattr("ternc.reconstruction.descent._STEPS", 50)
    layer = Layer("GRU", "bidirectional", steps=8, outputs=("y",))
    model, diagnostics = _model(layer), Diagnostics()
    name = _node(model).name
    reconstruct(model, [_smooth(layer, seed) for seed in range(16)], diagnostics,
                nodes={f"{name}.R[:10]"})
    weights = constant(_node(model).inputs[2])
    assert weights is not None
    sizes = np.abs(weights)
    ternary = ((sizes == 0) | (sizes == sizes.max(axis=2, keepdims=True))).all(axis=2)
    assert ternary.sum() == 10
    (warning,) = diagnostics
    assert warning.code == "TC0207"
    assert "10 of the 36 rows" in warning.message


@pytest.mark.parametrize(("keep", "text"), [
    ({"rnn.R": "float32"}, "cannot be kept"), ({"rnn.B": "int8"}, "no node is named"),
    ({"head.W": "int8"}, "no node is named")])
def test_names_that_are_none(keep: dict[str, str], text: str) -> None:
    with pytest.raises(ternc.UsageError, match=text):
        ternc.compile(MODELS / "sequence_rnn.onnx", "host", keep=keep)


def test_names_of_weights_are_suggested() -> None:
    with pytest.raises(ternc.UsageError) as caught:
        ternc.compile(MODELS / "sequence_rnn.onnx", "host", keep={"rnn.r": "int8"})
    assert "rnn.R" in caught.value.diagnostics[0].help


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_trained_models(name: str) -> None:
    """Compiled, on samples that the fit has not seen: more accurate than every threshold."""
    path = MODELS / f"sequence_{name}.onnx"
    x, labels = gestures(464, seed=9)
    motion = x[:, :, ::2].transpose(0, 2, 1).copy()

    def quality(ternarize: str | bool) -> float:
        compiled = ternc.compile(path, "host", calibration_data=motion[:64], ternarize=ternarize)
        return accuracy([compiled.run(m[None])["scores"] for m in motion[64:]], labels[64:])

    best = max(quality(scheme) for scheme in ("median", "twn", "bitnet", "optimal"))
    assert quality(ternarize=True) > best + 5.0
