"""PyTorch and Keras models go to ONNX as they are at inference; what cannot is a diagnostic."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

import ternc
from ternc.diagnostics import CompileError, UsageError
from ternc.exporting import to_onnx

Floats = npt.NDArray[np.float32]


def noise(*shape: int) -> Floats:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def close(given: npt.ArrayLike, expected: npt.ArrayLike) -> bool:
    expected = np.asarray(expected)
    return bool(np.abs(np.asarray(given) - expected).max() <= 1e-5 * np.abs(expected).max())


class TestWrongObjects:
    @pytest.mark.parametrize("model", [None, 3, object(), {"a": 1}, int])
    def test_names_what_is_accepted(self, model: Any) -> None:
        with pytest.raises(UsageError) as caught:
            ternc.compile(model)
        (item,) = caught.value.diagnostics
        assert item.code == "TC0403"
        assert type(model).__qualname__ in item.message
        assert "torch.nn.Module" in item.help
        assert "keras.Model" in item.help

    def test_no_framework_is_imported(self) -> None:
        code = ("import sys, ternc, ternc.exporting\n"
                "try: ternc.exporting.to_onnx(1)\n"
                "except ternc.UsageError: pass\n"
                "assert not {'torch', 'keras', 'tensorflow'} & set(sys.modules)")
        subprocess.run([sys.executable, "-c", code], check=True)


class FakeModel:
    """A keras.Model whose export does what a test says."""

    name = "fake"
    built = True
    inputs = None

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error

    def _flatten_layers(self, **_options: Any) -> list[Any]:
        return []

    def export(self, path: str, **_options: Any) -> None:
        if self.error is not None:
            raise self.error
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3])
                 for name in "xy"]
        graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:])
        onnx.save(onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8), path)


@pytest.fixture
def fake_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("keras")
    module.Model = FakeModel  # type: ignore[attr-defined]
    module.layers = types.SimpleNamespace(RNN=int)  # type: ignore[attr-defined]
    module.config = types.SimpleNamespace(  # type: ignore[attr-defined]
        backend=lambda: "torch")
    monkeypatch.setitem(sys.modules, "keras", module)


@pytest.mark.usefixtures("fake_keras")
class TestExporter:
    @pytest.mark.parametrize(("package", "install"), [
        ("tf2onnx", "'ternc[keras]'"), ("jax2onnx", "jax2onnx"),
        ("tensorflow.python", "tensorflow")])
    def test_missing_package_is_named(self, package: str, install: str) -> None:
        with pytest.raises(UsageError) as caught:
            to_onnx(FakeModel(ModuleNotFoundError(f"No module named '{package}'", name=package)))
        (item,) = caught.value.diagnostics
        assert item.code == "TC0008"
        assert package in item.message
        assert item.help == f"pip install {install}"

    def test_failure_keeps_its_cause(self) -> None:
        cause = RuntimeError("no lowering of this\nfirst detail")
        with pytest.raises(CompileError) as caught:
            to_onnx(FakeModel(cause))
        (item,) = caught.value.diagnostics
        assert item.code == "TC0008"
        assert item.message.endswith("RuntimeError: no lowering of this")
        assert item.notes == ("first detail",)
        assert caught.value.__cause__ is cause

    def test_dynamic_batch_becomes_one(self) -> None:
        graph = to_onnx(FakeModel()).graph
        for port in (*graph.input, *graph.output):
            assert [dim.dim_value for dim in port.type.tensor_type.shape.dim] == [1, 3]

    def test_model_without_a_shape(self) -> None:
        model = FakeModel()
        model.built = False
        with pytest.raises(UsageError, match="no input shape yet"):
            to_onnx(model)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch (pip install 'ternc[torch]')")
class TestTorch:
    def convolutional(self) -> Any:
        import torch

        nn = torch.nn
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 4 * 4, 3))

    def test_compiles_to_the_same_answers(self) -> None:
        import torch

        model = self.convolutional()
        x = noise(5, 1, 8, 8)
        compiled = ternc.compile(model, example_inputs=(torch.zeros(1, 1, 8, 8),))
        (given,) = compiled.run(x).values()
        with torch.no_grad():
            assert close(given, model.eval()(torch.from_numpy(x)).numpy())

    def test_success_prints_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        import torch

        to_onnx(torch.nn.Linear(3, 2), torch.zeros(1, 3))
        out, err = capfd.readouterr()
        assert not out + err

    def test_training_modes_are_put_back(self) -> None:
        import torch

        model = self.convolutional().train()
        model[1].eval()  # frozen batch normalization inside a model in training
        to_onnx(model, torch.zeros(1, 1, 8, 8))
        assert model.training
        assert not model[1].training
        assert model[4].training

    def test_ternary_weights_larger_than_the_exporter_folds(self) -> None:
        """Over 8,192 weights the exporter leaves the fake quantization in the graph."""
        import torch

        nn: Any = torch.nn

        class Ternary(nn.Linear):  # type: ignore[misc]
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                scale = self.weight.abs().mean().clamp(min=1e-5)
                levels = (self.weight / scale).round().clamp(-1, 1) * scale
                weight = self.weight + (levels - self.weight).detach()
                return nn.functional.linear(x, weight, self.bias)

        torch.manual_seed(2)
        model = Ternary(130, 80)
        compiled = ternc.compile(model, example_inputs=(torch.zeros(1, 130),))
        assert compiled.report()["weights"]["ternary"]["count"] == 130 * 80
        x = noise(1, 130)
        (given,) = compiled.run(x).values()
        with torch.no_grad():
            assert close(given, model(torch.from_numpy(x)).numpy())

    def test_several_inputs_and_keywords(self) -> None:
        """One tensor given twice is still two inputs."""
        import torch

        nn: Any = torch.nn

        class Two(nn.Module):  # type: ignore[misc]
            def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
                return left * 2 - right

        zeros = torch.zeros(1, 6)
        for examples in ((zeros, zeros), {"left": zeros, "right": zeros}):
            compiled = ternc.compile(Two(), example_inputs=examples)  # type: ignore[arg-type]
            left, right = noise(1, 6), noise(1, 6) + 1
            (given,) = compiled.run({"left": left, "right": right}).values()
            assert close(given, left * 2 - right)

    def test_example_inputs_are_asked_for(self) -> None:
        with pytest.raises(UsageError) as caught:
            ternc.compile(self.convolutional())
        assert caught.value.diagnostics[0].code == "TC0403"
        assert "example_inputs=" in caught.value.diagnostics[0].help

    def test_failure_is_a_diagnostic_and_prints_nothing(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        import torch

        nn: Any = torch.nn

        class Branches(nn.Module):  # type: ignore[misc]
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x if x.sum() > 0 else -x

        model = Branches()
        with pytest.raises(CompileError) as caught:
            to_onnx(model, torch.zeros(1, 3))
        assert caught.value.diagnostics[0].code == "TC0008"
        assert model.training
        assert not capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("keras") is None or find_spec("tf2onnx") is None or find_spec("tensorflow") is None,
    reason="needs keras, tf2onnx and tensorflow (pip install 'ternc[keras]')")
class TestKeras:
    def test_compiles_to_the_same_answers(self) -> None:
        import keras

        keras.utils.set_random_seed(1)
        layers = keras.layers
        model = keras.Sequential([
            keras.Input((8, 8, 1)), layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(), layers.Dropout(0.5),
            layers.Flatten(), layers.Dense(3, activation="softmax")])
        x = noise(4, 8, 8, 1)
        (given,) = ternc.compile(model).run(x).values()
        assert close(given, model.predict(x, verbose=0))

    def test_conv1d(self) -> None:
        import keras

        keras.utils.set_random_seed(2)
        layers = keras.layers
        model = keras.Sequential([
            keras.Input((16, 3)), layers.Conv1D(5, 3, strides=2), layers.BatchNormalization(),
            layers.GlobalAveragePooling1D(), layers.Dense(2)])
        x = noise(3, 16, 3)
        (given,) = ternc.compile(model).run(x).values()
        assert close(given, model.predict(x, verbose=0))

    def test_branches_and_several_inputs(self) -> None:
        import keras

        keras.utils.set_random_seed(3)
        left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
        both = keras.layers.Concatenate()([keras.layers.Dense(5)(left), right])
        model = keras.Model([left, right], keras.layers.Dense(2)(both))
        feeds = {"left": noise(1, 4), "right": noise(1, 6)}
        (given,) = ternc.compile(model).run(feeds).values()
        assert close(given, model.predict(list(feeds.values()), verbose=0))

    def test_unbuilt_model_takes_example_inputs(self) -> None:
        import keras

        def make() -> Any:
            return keras.Sequential([keras.layers.Dense(2)])

        with pytest.raises(UsageError, match="no input shape yet"):
            ternc.compile(make())
        model = make()
        compiled = ternc.compile(model, example_inputs=noise(1, 4))  # type: ignore[arg-type]
        x = noise(1, 4)
        (given,) = compiled.run(x).values()
        assert close(given, model.predict(x, verbose=0))
