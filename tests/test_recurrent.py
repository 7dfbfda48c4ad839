"""Recurrent layers compiled and run: against onnxruntime, in float32 and in integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.program import Region
from ternc.compiled import CompiledModel
from ternc.compiler import compile
from ternc.diagnostics import CompileError, Diagnostics
from ternc.layerwise import check_layers
from tests.recurrent_graphs import Layer

Array = npt.NDArray[Any]
MODELS = Path(__file__).parent / "models"
FIXTURES = sorted((MODELS / "recurrent").glob("*.onnx"))
DIRECTIONS = ("forward", "reverse", "bidirectional")
CELLS: list[tuple[str, dict[str, int]]] = [
    ("LSTM", {}), ("GRU", {"linear_before_reset": 0}), ("GRU", {"linear_before_reset": 1}),
    ("RNN", {})]
CELL_IDS = ["lstm", "gru", "gru-before-reset", "rnn"]


def oracle(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options)


def answers(session: onnxruntime.InferenceSession, feeds: dict[str, Array]) -> dict[str, Array]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def assert_close(found: dict[str, Array], wanted: dict[str, Array], limit: float = 1e-5) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        assert np.abs(found[name] - value).max() <= limit * max(np.abs(value).max(), 1e-6), name


def sqnr(found: Array, wanted: Array) -> float:
    noise = float(((found.astype(np.float64) - wanted) ** 2).sum())
    signal = float((wanted.astype(np.float64) ** 2).sum())
    return float(10 * np.log10(signal / max(noise, 1e-30)))


def opcodes(compiled: CompiledModel) -> list[str]:
    return [item.opcode.name for item in compiled.program.instructions]


def check_float(layer: Layer) -> CompiledModel:
    model = layer.model()
    compiled = compile(model, target="host")
    session = oracle(model)
    for seed in range(2):
        feeds = layer.feeds(seed)
        assert_close(compiled.run(feeds), answers(session, feeds))
    return compiled


class TestFloat:
    @pytest.mark.parametrize("weights", ["float", "int8", "ternary"])
    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_cells(self, op_type: str, attributes: dict[str, int], direction: str,
                   weights: str) -> None:
        compiled = check_float(Layer(op_type, direction, weights=weights, attributes=attributes))
        suffix = {"float": "", "int8": "_w8", "ternary": "_t2"}[weights]
        assert f"{op_type.lower()}_f32{suffix}" in opcodes(compiled)

    @pytest.mark.parametrize("initial", ["zero", "constant", "input"])
    @pytest.mark.parametrize("batch", [1, 3])
    @pytest.mark.parametrize("direction", ["forward", "bidirectional"])
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_initial_states(self, op_type: str, attributes: dict[str, int], direction: str,
                            batch: int, initial: str) -> None:
        check_float(Layer(op_type, direction, batch=batch, initial=initial, attributes=attributes))

    @pytest.mark.parametrize("outputs", [("y",), ("y_h",), ("y_c",), ("y", "y_c")])
    def test_some_outputs(self, outputs: tuple[str, ...]) -> None:
        check_float(Layer("LSTM", outputs=outputs))

    def test_no_bias(self) -> None:
        check_float(Layer("GRU", bias=False, attributes={"linear_before_reset": 1}))

    def test_full_lengths(self) -> None:
        check_float(Layer("LSTM", batch=2, lengths=(7, 7)))

    def test_relu(self) -> None:
        check_float(Layer("RNN", attributes={"activations": ["Relu"]}))

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_batch_first(self, direction: str) -> None:
        """onnxruntime has no layout 1: the transposed model is the oracle."""
        plain = Layer("LSTM", direction, batch=2, initial="input")
        first = replace(plain, attributes={"layout": 1})
        feeds = plain.feeds(0)
        wanted = answers(oracle(plain.model()), feeds)
        turned = {name: array.swapaxes(0, 1) for name, array in feeds.items()}
        found = compile(first.model(), target="host").run(turned)
        back = {"y": found["y"].transpose(1, 2, 0, 3)}
        assert_close(back | {k: found[k].swapaxes(0, 1) for k in ("y_h", "y_c")}, wanted)


class TestExports:
    """What Keras and PyTorch write (models/recurrent/make_recurrent.py)."""

    @pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
    def test_float(self, path: Path) -> None:
        compiled = compile(path, target="host")
        session, rng = oracle(path), np.random.default_rng(0)
        for _ in range(2):
            feeds = {i.name: rng.normal(0, 1, [d if isinstance(d, int) else 1 for d in i.shape])
                     .astype(np.float32) for i in session.get_inputs()}
            assert_close(compiled.run(feeds), answers(session, feeds))
        names = opcodes(compiled)
        assert any(name.startswith(("lstm", "gru", "rnn")) for name in names)

    @pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
    def test_integer(self, path: Path) -> None:
        session, rng = oracle(path), np.random.default_rng(0)
        shapes = {i.name: [d if isinstance(d, int) else 1 for d in i.shape]
                  for i in session.get_inputs()}
        samples = {k: rng.uniform(-1, 1, (32, *s)).astype(np.float32) for k, s in shapes.items()}
        compiled = compile(path, target="esp32c3", calibration_data=samples)
        names = opcodes(compiled)
        if "relu" not in path.stem:
            assert not [name for name in names if "f32" in name], names
        found, wanted = [], []
        for index in range(32):
            feeds = {name: array[index] for name, array in samples.items()}
            wanted.append(np.concatenate([v.ravel() for v in answers(session, feeds).values()]))
            found.append(np.concatenate([v.ravel() for v in compiled.run(feeds).values()]))
        assert sqnr(np.stack(found), np.stack(wanted)) >= 25


class TestInteger:
    @pytest.mark.parametrize("weights", ["float", "ternary", "mixed"])
    @pytest.mark.parametrize("batch", [1, 2])
    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_within_one(self, op_type: str, attributes: dict[str, int], direction: str,
                        batch: int, weights: str) -> None:
        """The layer gives the integers that onnxruntime makes of the quantized model, within 1."""
        layer = Layer(op_type, direction, batch=batch, initial="input", steps=12, weights=weights,
                      attributes=attributes)
        samples = [layer.feeds(seed) for seed in range(16)]
        compiled = compile(layer.model(), target="host", calibration_data=samples)
        suffix = {"float": "_blocked", "ternary": "_t2_lut", "mixed": "_mixed"}[weights]
        assert f"{op_type.lower()}_i8{suffix}" in opcodes(compiled)
        assert not [name for name in opcodes(compiled) if "f32" in name]
        import onnx_ir

        session = oracle(onnx_ir.to_proto(compiled.model))
        scales = {port.name: port.scale for port in compiled.program.outputs}
        for feeds in samples:
            found, wanted = compiled.run(feeds), answers(session, feeds)
            for name, value in wanted.items():
                scale = scales[name]
                assert scale is not None
                assert np.abs(found[name] - value).max() <= 1.01 * scale, name

    def test_counts_of_mixed_rows(self) -> None:
        """The report counts ternary rows as ternary, the others as int8."""
        layer = Layer("LSTM", "bidirectional", inputs=9, hidden=21, weights="mixed")
        samples = [layer.feeds(seed) for seed in range(4)]
        compiled = compile(layer.model(), target="host", calibration_data=samples)
        codes = [onnx.numpy_helper.to_array(t) for t in layer.model().graph.initializer
                 if t.name.endswith("_codes")]
        ternary = [np.isin(c, (-1, 0, 1)).all(-1) for c in codes]
        counts = [int(t.sum()) for t in ternary]
        found = compiled.report()["weights"]
        assert found["ternary"] == {"count": counts[0] * 9 + counts[1] * 21,
                                    "bytes": counts[0] * 3 + counts[1] * 6}
        assert found["int8"]["count"] == (168 - counts[0]) * 9 + (168 - counts[1]) * 21

    def test_float_activations_take_mixed_rows(self) -> None:
        compiled = check_float(Layer("GRU", weights="mixed"))
        assert "gru_f32_w8" in opcodes(compiled)

    @pytest.mark.parametrize(("weights", "fast_form", "plain_form"), [
        ("ternary", "i8_t2_lut", "i8_t2"), ("float", "i8_blocked", "i8")])
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_same_bytes_without_room(self, op_type: str, attributes: dict[str, int],
                                     weights: str, fast_form: str, plain_form: str) -> None:
        """Of tables, or of what goes into all gates."""
        layer = Layer(op_type, weights=weights, inputs=9, hidden=13, steps=3, outputs=("y",),
                      attributes=attributes)
        samples = [layer.feeds(seed) for seed in range(8)]
        fast = compile(layer.model(), target="host", calibration_data=samples)
        plain = compile(layer.model(), target="host", calibration_data=samples,
                        ram=fast.plan.arena_bytes - 4)
        assert f"{op_type.lower()}_{fast_form}" in opcodes(fast)
        assert f"{op_type.lower()}_{plain_form}" in opcodes(plain)
        for feeds in samples:
            found, wanted = fast.run(feeds), plain.run(feeds)
            for name, value in wanted.items():
                np.testing.assert_array_equal(found[name], value)

    @pytest.mark.parametrize(("weights", "plain_form"), [("ternary", "i8_t2"), ("float", "i8")])
    def test_the_kernel_that_takes_the_least(self, weights: str, plain_form: str) -> None:
        """What the smallest arena is found with, however much room there is."""
        layer = Layer("LSTM", weights=weights, inputs=9, hidden=13, outputs=("y",))
        model = compile(layer.model(), target="host",
                        calibration_data=[layer.feeds(seed) for seed in range(4)]).model
        program, _ = lower(model, Diagnostics(), room=lambda _: Room(1 << 20, least=True))
        assert [item.opcode.name for item in program.instructions] == [f"lstm_{plain_form}"]

    def test_size_takes_look_up_tables_where_they_are_small(self) -> None:
        """Of -O size, they may take as much again as the rest, or 1 KB."""
        forms = {}
        for hidden in (3, 13):
            layer = Layer("LSTM", weights="ternary", inputs=9, hidden=hidden, outputs=("y",))
            forms[hidden] = opcodes(compile(
                layer.model(), target="host", optimize="size",
                calibration_data=[layer.feeds(seed) for seed in range(4)]))
        assert forms == {3: ["lstm_i8_t2_lut"], 13: ["lstm_i8_t2"]}

    @pytest.mark.parametrize("weights", ["int8", "ternary", "mixed"])
    @pytest.mark.parametrize(("direction", "batch"), [
        ("forward", 1), ("reverse", 1), ("bidirectional", 2)])
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_int16(self, op_type: str, attributes: dict[str, int], direction: str, batch: int,
                   weights: str) -> None:
        """onnxruntime's integers within the limit of int16, from states given as inputs on."""
        layer = Layer(op_type, direction, batch=batch, initial="input", steps=12, weights=weights,
                      attributes=attributes)
        samples = [layer.feeds(seed) for seed in range(16)]
        compiled = compile(layer.model(), target="host", calibration_data=samples,
                           activations="int16")
        names = opcodes(compiled)
        suffix = {"int8": "", "ternary": "_t2", "mixed": "_mixed"}[weights]
        assert f"{op_type.lower()}_i16{suffix}" in names
        assert compiled.float_instructions() == 0
        for result in check_layers(compiled.model, samples):
            assert result.passed, result
            assert result.sqnr_db > (64 if "y_c" in result.tensor else 70), result

    @pytest.mark.parametrize("name", ["lstm", "lstm_ternary", "gru", "rnn"])
    def test_int16_trained(self, name: str) -> None:
        """Against the model with the same weights, int16 gains 35 dB over int8."""
        import onnx_ir

        from tests.models.synthetic import gestures

        path = MODELS / f"sequence_{name}.onnx"
        motion = gestures(160, seed=9)[0][:, :, ::2].transpose(0, 2, 1).copy()
        weights = compile(path, target="host", weights="int8").model
        session = oracle(onnx_ir.to_proto(weights))
        wanted = np.stack([answers(session, {"motion": m[None]})["scores"] for m in motion[96:]])
        gained = []
        for activations in ("int8", "int16"):
            compiled = compile(path, target="esp32c3", calibration_data=motion[:96],
                               activations=activations)
            assert compiled.float_instructions() == 0
            found = np.stack([compiled.run(m[None])["scores"] for m in motion[96:]])
            gained.append(sqnr(found, wanted))
        assert gained[1] > max(78, gained[0] + 35), gained

    @pytest.mark.parametrize("name", ["lstm", "lstm_ternary", "gru", "rnn"])
    def test_trained(self, name: str) -> None:
        """The trained models (models/train_sequence.py): at least 25 dB."""
        from tests.models.synthetic import gestures

        path = MODELS / f"sequence_{name}.onnx"
        motion = gestures(160, seed=9)[0][:, :, ::2].transpose(0, 2, 1).copy()
        compiled = compile(path, target="esp32c3", calibration_data=motion[:96])
        names = opcodes(compiled)
        assert not [n for n in names if "f32" in n], names
        form = "_i8_t2_lut" if name == "lstm_ternary" else "_i8_blocked"
        assert any(n.endswith(form) for n in names)
        session = oracle(path)
        wanted = np.stack([answers(session, {"motion": m[None]})["scores"] for m in motion[96:]])
        found = np.stack([compiled.run(m[None])["scores"] for m in motion[96:]])
        assert sqnr(found, wanted) >= 25

    def test_large_state_runs_in_float(self) -> None:
        """An initial h beyond 1 does not fit 15 fraction bits: the layer says that it is float."""
        layer = Layer("GRU", initial="constant", outputs=("y",))
        model = layer.model()
        for tensor in model.graph.initializer:
            if tensor.name == "h0":
                tensor.CopyFrom(onnx.numpy_helper.from_array(
                    np.full((1, 1, 6), 3, np.float32), "h0"))
        samples = [layer.feeds(seed) for seed in range(8)]
        compiled = compile(model, target="host", calibration_data=samples)
        assert "gru_f32_w8" in opcodes(compiled)
        assert any(d.code == "TC0203" for d in compiled.diagnostics)


class TestRefused:
    @pytest.mark.parametrize(("layer", "text"), [
        (Layer("LSTM", peepholes=True), "peephole"),
        (Layer("GRU", attributes={"clip": 3.0}), "clipped"),
        (Layer("LSTM", attributes={"input_forget": 1}), "coupled"),
        (Layer("RNN", attributes={"activations": ["Softsign"]}), "Softsign"),
        (Layer("LSTM", lengths=(4,)), "sequence lengths"),
    ], ids=["peepholes", "clip", "input-forget", "activation", "lengths"])
    def test_says_why(self, layer: Layer, text: str) -> None:
        with pytest.raises(CompileError) as caught:
            compile(layer.model(), target="host")
        errors = [d for d in caught.value.diagnostics if d.node == "recurrent"]
        assert any(text in d.message and d.help for d in errors), caught.value.diagnostics

    def test_weights_from_an_input(self) -> None:
        model = Layer("RNN").model()
        kept = [t for t in model.graph.initializer if t.name != "W"]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        model.graph.input.append(onnx.helper.make_tensor_value_info(
            "W", onnx.TensorProto.FLOAT, [1, 6, 5]))
        with pytest.raises(CompileError, match="not a float32 constant"):
            compile(model, target="host")


class TestStateful:
    """The state kept between runs equals the state fed back through inputs and outputs."""

    @pytest.mark.parametrize("outputs", [("y",), ("y", "y_h", "y_c"), ("y_h",)])
    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_float(self, op_type: str, attributes: dict[str, int],
                   outputs: tuple[str, ...]) -> None:
        layer = Layer(op_type, steps=2, outputs=outputs, attributes=attributes)
        compiled = compile(layer.model(), target="host", stateful=True)
        everything = replace(layer, initial="input", outputs=("y", "y_h", "y_c"))
        session = oracle(everything.model())
        for _ in range(2):  # a reset starts anew
            states = {k: v * 0 for k, v in everything.feeds(0).items() if k != "x"}
            for seed in range(6):
                x = layer.feeds(seed)["x"]
                wanted = answers(session, {"x": x, **states})
                states = {name: wanted[f"y_{name[0]}"] for name in states}
                found = compiled.run({"x": x})
                assert_close(found, {name: wanted[name] for name in found})
            compiled.reset()

    def test_integer(self) -> None:
        layer = Layer("LSTM", steps=1, outputs=("y",))
        samples = [layer.feeds(seed) for seed in range(40)]
        plain = replace(layer, steps=40)
        long = np.concatenate([feeds["x"] for feeds in samples])
        wanted = answers(oracle(plain.model()), {"x": long})["y"]
        model = layer.model()
        # Calibrated on one step: its range is what a longer run may leave.
        compiled = compile(model, target="esp32c3", calibration_data=samples, stateful=True)
        assert "lstm_i8_blocked" in opcodes(compiled)
        found = np.concatenate([compiled.run(feeds)["y"] for feeds in samples])
        low, high = found.min(), found.max()
        assert np.abs(found - np.clip(wanted, low, high)).max() < 0.03

    @pytest.mark.parametrize(("op_type", "attributes"), CELLS, ids=CELL_IDS)
    def test_int16(self, op_type: str, attributes: dict[str, int]) -> None:
        layer = Layer(op_type, steps=1, outputs=("y",), attributes=attributes)
        samples = [layer.feeds(seed) for seed in range(40)]
        long = np.concatenate([feeds["x"] for feeds in samples])
        plain = compile(replace(layer, steps=40).model(), target="host", weights="int8")
        # The same weights: what is left is the error of the activations.
        wanted = plain.run({"x": long})["y"]
        compiled = compile(layer.model(), target="esp32c3", calibration_data=samples,
                           activations="int16", stateful=True)
        assert f"{op_type.lower()}_i16" in opcodes(compiled)
        for _ in range(2):
            found = np.concatenate([compiled.run(feeds)["y"] for feeds in samples])
            low, high = 1.02 * found.min(), 1.02 * found.max()
            assert np.abs(found - np.clip(wanted, low, high)).max() < 0.02 * np.abs(found).max()
            compiled.reset()

    def test_state_is_in_its_region(self) -> None:
        layer = Layer("LSTM")
        kept = compile(layer.model(), target="host", stateful=True)
        assert kept.program.region_bytes[Region.STATE] == 2 * 6 * 4  # h and c
        assert kept.report()["weights"]["float32"]["count"] == 24 * (5 + 6)

    @pytest.mark.parametrize(("layer", "text"), [
        (Layer("GRU", initial="constant"), "other than zero"),
        (Layer("GRU", initial="input"), "takes as an input"),
        (Layer("LSTM", "bidirectional"), "backwards"),
    ])
    def test_refused(self, layer: Layer, text: str) -> None:
        with pytest.raises(CompileError) as caught:
            compile(layer.model(), target="host", stateful=True)
        assert any(text in d.message and d.help for d in caught.value.diagnostics)
