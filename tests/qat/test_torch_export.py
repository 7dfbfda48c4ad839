"""Every layer goes through torch.onnx.export and the compiler, and stays exactly ternary."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ternc.diagnostics import CompileError, UsageError
from ternc.quantize import SCHEMES

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")
pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")

from torch import nn  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402
from ternc.compiler import compile as ternc_compile  # noqa: E402

torch.set_num_threads(1)


class First(nn.Module):  # type: ignore[misc, unused-ignore]
    """A recurrent layer's sequence, without its states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x)[0]


# 100 · 200 and 64 · 16 · 9 weights are more than torch folds
MODELS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "linear": (lambda **k: qat.BitLinear(40, 24, **k), (1, 40)),
    "large_linear": (lambda **k: qat.BitLinear(200, 100, **k), (1, 200)),
    "tokens": (lambda **k: qat.BitLinear(40, 24, **k), (1, 5, 40)),
    "conv1d": (lambda **k: qat.TernaryConv1d(6, 12, 3, padding=1, **k), (1, 6, 20)),
    "depthwise": (lambda **k: qat.TernaryConv2d(8, 8, 3, padding=1, groups=8, **k), (1, 8, 8, 8)),
    "conv_norm": (lambda **k: nn.Sequential(
        qat.TernaryConv2d(16, 64, 3, padding=1, **k), nn.BatchNorm2d(64), nn.ReLU()),
        (1, 16, 6, 6)),
    "lstm": (lambda **k: First(qat.TernaryLSTM(10, 16, batch_first=True, **k)), (1, 7, 10)),
    "two_way_lstm": (lambda **k: First(
        qat.TernaryLSTM(10, 16, 2, bidirectional=True, batch_first=True, **k)), (1, 7, 10)),
    "gru": (lambda **k: First(qat.TernaryGRU(10, 16, batch_first=True, **k)), (1, 7, 10)),
}
RECURRENT = ("lstm", "two_way_lstm", "gru")


def trained(kind: str, **options: Any) -> tuple[nn.Module, Any]:
    torch.manual_seed(3)
    build, shape = MODELS[kind]
    model = build(**options)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(2):
        model(torch.randn(shape)).square().mean().backward()
        optimizer.step()
    return model.eval(), torch.randn(shape)


def check(model: nn.Module, x: Any, **options: Any) -> None:
    with torch.no_grad():
        expected = model(x).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = ternc_compile(model, "esp32", example_inputs=(x,), **options)
    (result,) = compiled.run(x.numpy()).values()
    assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
    used = [item.opcode.name for item in compiled.program.instructions]
    heavy = [name for name in used if name.startswith(("dense", "conv", "matmul", "lstm", "gru"))]
    assert heavy
    assert all(name.endswith("_t2") for name in heavy), used


class TestCompiles:
    @pytest.mark.parametrize("kind", MODELS)
    def test_default(self, kind: str) -> None:
        check(*trained(kind))

    @pytest.mark.parametrize(("kind", "scheme"), [
        *(("large_linear", scheme) for scheme in SCHEMES if scheme != "bitnet"),
        ("conv_norm", "median"), ("conv_norm", "lsq"), ("gru", "optimal"), ("gru", "paretoq")])
    def test_schemes(self, kind: str, scheme: str) -> None:
        check(*trained(kind, scheme=scheme))

    @pytest.mark.parametrize("kind", ["large_linear", "lstm"])
    def test_learned_scale(self, kind: str) -> None:
        check(*trained(kind, scheme="twn", learn_scale=True))

    @pytest.mark.parametrize("activations", ["dynamic", "static"])
    @pytest.mark.parametrize("kind", [kind for kind in MODELS if kind not in RECURRENT])
    def test_activations(self, kind: str, activations: str) -> None:
        check(*trained(kind, activations=activations))

    @pytest.mark.parametrize("kind", ["lstm", "gru"])
    def test_static_input_of_recurrent_layers(self, kind: str) -> None:
        check(*trained(kind, activations="static"))

    @pytest.mark.parametrize("kind", ["lstm", "gru"])
    def test_dynamic_input_of_recurrent_layers(self, kind: str) -> None:
        model, x = trained(kind, activations="dynamic")
        try:
            check(model, x)
        except CompileError as error:
            if "operator not supported: ReduceMax" not in str(error):
                raise
            pytest.skip("the compiler takes a dynamic quantization in front of Gemm, MatMul and "
                        "Conv only")

    @pytest.mark.parametrize("kind", MODELS)
    def test_deployed(self, kind: str) -> None:
        model, x = trained(kind)
        check(qat.deploy(model), x)


class TestPlainExport:
    """torch.onnx.export as a user calls it, without ternc.export around it."""

    def proto(self, model: nn.Module, x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.onnx.export(model, (x,), dynamo=True, verbose=False).model_proto

    def ternary(self, model: nn.Module, x: Any) -> list[str]:
        with torch.no_grad():
            expected = model(x).numpy()
        compiled = ternc_compile(self.proto(model, x), "esp32")
        (result,) = compiled.run(x.numpy()).values()
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()
        return [item.opcode.name for item in compiled.program.instructions]

    def test_eval(self) -> None:
        assert self.ternary(*trained("large_linear")) == ["dense_f32_t2"]

    def test_weights_loaded_in_eval_mode(self) -> None:
        model, x = trained("large_linear", scheme="lsq")
        model.load_state_dict(qat.BitLinear(200, 100, scheme="lsq").state_dict())
        assert self.ternary(model, x) == ["dense_f32_t2"]

    def test_weights_changed_in_eval_mode(self) -> None:
        model, x = trained("large_linear")
        with torch.no_grad():
            model.weight.copy_(torch.randn(100, 200))
        proto = self.proto(model, x)
        (result,) = ternc_compile(proto, "esp32").run(x.numpy()).values()
        expected = model(x).detach().numpy()
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()

    def test_weights_replaced_in_eval_mode(self) -> None:
        model, x = trained("large_linear")
        model.weight = nn.Parameter(torch.randn(100, 200))
        assert self.ternary(model, x) == ["dense_f32_t2"]

    def test_a_copy(self) -> None:
        import copy

        model, x = trained("large_linear", scheme="median")
        clone = copy.deepcopy(model)
        with torch.no_grad():
            clone.weight.copy_(torch.randn(100, 200))
        assert self.ternary(model, x) == ["dense_f32_t2"]


@pytest.mark.parametrize(("inputs", "given"), [
    ((torch.zeros(1, 5),), r"\(1, 5\)"),
    ({"input": torch.zeros(1, 4, dtype=torch.float64)}, r"\(1, 4\)"),
    ((torch.zeros(1, 4), torch.zeros(1)), r"\(1, 4\).*"),
])
def test_example_input_that_does_not_fit(
    inputs: Any, given: str, capfd: pytest.CaptureFixture[str],
) -> None:
    model = qat.BitLinear(4, 3)
    with pytest.raises(UsageError, match=rf"example inputs of shape {given}: \w+Error"):
        ternc_compile(model, "esp32", example_inputs=inputs)
    assert model.training
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_in_another_precision(dtype: Any) -> None:
    model = qat.BitLinear(4, 3, dtype=dtype)
    with pytest.raises(CompileError, match=r"(?s)TC0104.*model\.float\(\)"):
        ternc_compile(model, "esp32", example_inputs=(torch.zeros(1, 4, dtype=dtype),))
    check(model.float().eval(), torch.randn(1, 4))


def test_an_encoder_with_ternary_layers_put_in_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    layer.linear1 = qat.BitLinear.from_linear(layer.linear1)
    compiled = ternc_compile(layer, "esp32", example_inputs=(torch.randn(1, 5, 16),))
    assert compiled.report()["weights"]["ternary"]["count"] == 16 * 32
    assert capfd.readouterr() == ("", "")


class Attention(nn.Module):  # type: ignore[misc, unused-ignore]
    """With a ternary projection, put in by hand, whose weight is all that is read."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 2, batch_first=True)
        self.inner.out_proj = qat.BitLinear(16, 16)
        self.last = qat.BitLinear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.last(self.inner(x, x, x, need_weights=False)[0].to(self.last.weight.dtype))


class TestLayersThatAreNotCalled:
    def test_the_weight_is_read(self) -> None:
        expected = r"(?s)BitLinear 'inner\.out_proj' is never called.*nn\.Linear"
        with pytest.raises(CompileError, match=expected) as caught:
            ternc_compile(Attention(), "esp32", example_inputs=(torch.randn(1, 5, 16),))
        assert len(caught.value.diagnostics) == 1

    def test_the_weight_is_looked_at(self) -> None:
        class Skipping(nn.Module):  # type: ignore[misc, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.used, self.unused = qat.BitLinear(8, 4), qat.BitLinear(8, 4)

            def forward(self, x: Any) -> Any:
                return self.used(x.to(self.unused.weight.dtype))

        compiled = ternc_compile(Skipping(), "esp32", example_inputs=(torch.randn(1, 8),))
        assert compiled.report()["weights"]["ternary"]["count"] == 32


def test_what_only_the_exporter_cannot_do() -> None:
    class Branches(nn.Module):  # type: ignore[misc, unused-ignore]
        def forward(self, x: Any) -> Any:
            return x + 1 if float(x.sum()) > 0 else x

    with pytest.raises(CompileError, match="PyTorch cannot export the model"):
        ternc_compile(Branches(), "esp32", example_inputs=(torch.zeros(1, 5),))
