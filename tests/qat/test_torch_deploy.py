"""Deployed layers: packed weights, the trained layer's output, and the compiled kernel."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.quantize import SCHEMES, pack_ternary, unpack_ternary

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

from torch import nn  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402
from ternc.qat.torch import kernel  # noqa: E402

torch.set_num_threads(1)

LAYERS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "linear": (lambda **k: qat.BitLinear(13, 7, **k), (2, 5, 13)),
    "no_bias": (lambda **k: qat.BitLinear(16, 7, bias=False, **k), (16,)),
    "conv1d": (lambda **k: qat.TernaryConv1d(4, 6, 3, padding="same", **k), (2, 4, 10)),
    "conv2d": (lambda **k: qat.TernaryConv2d(4, 6, 3, 2, 1, groups=2, padding_mode="reflect", **k),
               (2, 4, 9, 8)),
    "lstm": (lambda **k: qat.TernaryLSTM(5, 6, 2, bidirectional=True, **k), (7, 2, 5)),
    "lstm_proj": (
        lambda **k: qat.TernaryLSTM(5, 6, batch_first=True, proj_size=3, **k), (2, 7, 5)),
    "gru": (lambda **k: qat.TernaryGRU(5, 6, bias=False, **k), (7, 2, 5)),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)
needs_extension = pytest.mark.skipif(
    kernel.compiled() is None, reason="the extension ternc._ternary_cpu is not built")


@pytest.fixture(params=["compiled", "plain"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the compiled extension, and as if it were not there."""
    if request.param == "plain":
        monkeypatch.setattr(kernel, "compiled", lambda: None)
    elif kernel.compiled() is None:
        pytest.skip("the extension ternc._ternary_cpu is not built")
    return str(request.param)


def made(kind: str, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(2)
    build, shape = LAYERS[kind]
    layer, x = build(**options), torch.randn(shape)
    layer(x)  # sets a static step
    return layer.eval(), x


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def close(result: Any, expected: Any) -> None:
    error = (result - expected).abs().max() / expected.abs().max()
    assert error <= 1e-5


@every_layer
class TestLayers:
    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_same_output(self, kind: str, scheme: str, form: str) -> None:
        layer, x = made(kind, scheme=scheme)
        close(first(layer.deploy()(x)), first(layer(x)))

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_learned_scale(self, kind: str, scheme: str, form: str) -> None:
        """Scales elsewhere than where they began, one below eps: the layer uses eps then."""
        layer, x = made(kind, scheme=scheme, learn_scale=True)
        before = first(layer(x)).detach()
        with torch.no_grad():
            for name in layer.ternary_names():
                scale = getattr(layer, f"{name}_scale")
                scale.mul_(torch.empty_like(scale).uniform_(0.4, 1.6))
                if scale.dim() == 1:
                    scale[-1] = -0.1
        trained = first(layer(x))
        assert not torch.allclose(trained, before, rtol=0.01)
        close(first(layer.deploy()(x)), trained)

    @pytest.mark.parametrize("activations", ["dynamic", "static"])
    def test_quantized_activations(self, kind: str, activations: str, form: str) -> None:
        layer, x = made(kind, activations=activations)
        close(first(layer.deploy()(x)), first(layer(x)))

    def test_packed_weights_are_the_only_copy(self, kind: str) -> None:
        layer, _ = made(kind)
        deployed = layer.deploy()
        assert not [name for name, p in deployed.named_parameters()]
        for name in layer.ternary_names():
            codes, _ = layer.ternary(name)
            rows = codes.flatten(1).numpy()
            packed = getattr(deployed, f"{name}_packed").numpy()
            assert packed.shape == (len(rows), -(-rows.shape[1] // 4))
            for row, data in zip(rows, packed, strict=True):
                assert data.tobytes() == pack_ternary(row)
                np.testing.assert_array_equal(unpack_ternary(data.tobytes(), row.shape), row)
        biggest = max(b.element_size() * b.numel() for b in deployed.buffers())
        weight = max(getattr(layer, name).numel() for name in layer.ternary_names())
        assert biggest < 4 * weight

    def test_copies_and_moves(self, kind: str) -> None:
        layer, x = made(kind)
        deployed = layer.deploy()
        expected = first(deployed(x))
        assert torch.equal(first(copy.deepcopy(deployed)(x)), expected)
        stored = io.BytesIO()
        torch.save(deployed, stored)
        stored.seek(0)
        assert torch.equal(first(torch.load(stored, weights_only=False)(x)), expected)
        fresh = LAYERS[kind][0]().deploy()
        fresh.load_state_dict(deployed.state_dict())
        assert torch.equal(first(fresh(x)), expected)
        assert first(deployed.to("meta")(x.to("meta"))).device.type == "meta"

    def test_compile(self, kind: str, form: str) -> None:
        layer, x = made(kind)
        deployed = layer.deploy()
        fast = torch.compile(
            deployed, backend="aot_eager", fullgraph="lstm" not in kind and kind != "gru")
        with torch.no_grad():
            torch.testing.assert_close(first(fast(x)), first(deployed(x)))

    def test_refuses(self, kind: str) -> None:
        deployed = made(kind)[0].deploy()
        with pytest.raises(ValueError, match="deployed already"):
            deployed.deploy()
        with pytest.raises(RuntimeError, match="float weights are gone"):
            deployed.train()
        assert not deployed.training


class TestModels:
    def model(self) -> nn.Sequential:
        torch.manual_seed(0)
        shared = nn.Linear(16, 16)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 16), nn.ReLU(),
            shared, nn.ReLU(), shared, nn.Linear(16, 3))
        qat.ternarize(model, skip="0")
        return model

    def test_deploy(self, form: str) -> None:
        model = self.model().eval()
        x = torch.randn(2, 1, 6, 6)
        expected = model(x)
        assert qat.deploy(model) is model
        assert not any(isinstance(module, qat.TernaryLayer) for module in model.modules())
        assert model[5] is model[7]
        close(model(x), expected)

    def test_gradients_reach_what_is_before(self) -> None:
        model = qat.deploy(self.model())
        x = torch.randn(2, 1, 6, 6, requires_grad=True)
        model(x).sum().backward()
        assert x.grad.any()

    def test_memory_falls(self) -> None:
        model = nn.Sequential(qat.BitLinear(512, 512, bias=False))
        before = sum(p.numel() * p.element_size() for p in model.parameters())
        stored = io.BytesIO()
        torch.save(qat.deploy(model).state_dict(), stored)
        after = sum(b.numel() * b.element_size() for b in model.buffers())
        assert after <= before / 16 + 4
        assert len(stored.getvalue()) < before / 12

    def test_single_layer(self) -> None:
        assert isinstance(qat.deploy(qat.BitLinear(4, 4)), qat.DeployedLinear)

    def test_refuses(self) -> None:
        model = qat.deploy(self.model())
        with pytest.raises(ValueError, match="deployed already"):
            qat.deploy(model)
        with pytest.raises(ValueError, match="is deployed"):
            qat.ternarize(model)
        with pytest.raises(RuntimeError, match="float weights are gone"):
            model.train()
        with pytest.raises(ValueError, match="no ternary layer"):
            qat.deploy(nn.Sequential(nn.Linear(2, 2)))

    def test_a_subclass_is_refused_before_anything_changes(self) -> None:
        class Own(qat.BitLinear):
            pass

        model = nn.Sequential(qat.BitLinear(4, 4), Own(4, 4))
        with pytest.raises(TypeError, match="Own has no deployed form"):
            qat.deploy(model)
        assert type(model[0]) is qat.BitLinear


@needs_extension
class TestKernel:
    @settings(max_examples=60, deadline=None)
    @given(
        rows=st.integers(1, 9), columns=st.integers(1, 70), samples=st.integers(0, 9),
        per_row=st.booleans(), with_bias=st.booleans(), portable=st.booleans(),
        seed=st.integers(0, 2**32 - 1))
    def test_linear(self, rows: int, columns: int, samples: int, per_row: bool, with_bias: bool,
                    portable: bool, seed: int) -> None:
        random = np.random.default_rng(seed)
        codes = random.integers(-1, 2, (rows, columns))
        packed = np.stack([np.frombuffer(pack_ternary(row), np.uint8) for row in codes])
        x = random.normal(size=(samples, columns)).astype(np.float32)
        scale = random.uniform(0.1, 1, rows if per_row else 1).astype(np.float32)
        bias = random.normal(size=rows).astype(np.float32) if with_bias else None
        out = np.full((samples, rows), np.nan, np.float32)
        module = kernel.compiled()
        assert module is not None
        compute = module.linear_portable if portable else module.linear
        half = rows // 2
        compute(packed, x, scale, bias, out, columns, half, rows)
        assert np.isnan(out[:, :half]).all()
        compute(packed, x, scale, bias, out, columns, 0, half)
        expected = x.astype(np.float64) @ (codes * scale.reshape(-1, 1)).T
        expected += 0 if bias is None else bias
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
        weights = np.empty((rows - half, columns), np.float32)
        module.unpack(packed, scale, weights, columns, half, rows)
        np.testing.assert_array_equal(
            weights, (codes * scale.reshape(-1, 1)).astype(np.float32)[half:])

    @pytest.mark.parametrize("change", [
        {"columns": 0}, {"columns": 9}, {"end": 3}, {"begin": -1}, {"begin": 2, "end": 1},
        {"packed": np.zeros((2, 3), np.uint8)}, {"x": np.zeros((1, 7), np.float32)},
        {"x": np.zeros((1, 8), np.float64)}, {"scale": np.zeros(3, np.float32)},
        {"bias": np.zeros(1, np.float32)}, {"out": np.zeros((2, 2), np.float32)},
        {"scale": np.zeros(0, np.float32)}, {"packed": np.zeros((2, 1), np.uint16)},
    ])
    def test_sizes_are_checked(self, change: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {
            "packed": np.zeros((2, 2), np.uint8), "x": np.zeros((1, 8), np.float32),
            "scale": np.zeros(1, np.float32), "bias": None, "out": np.zeros((1, 2), np.float32),
            "columns": 8, "begin": 0, "end": 2}
        module = kernel.compiled()
        assert module is not None
        module.linear(*arguments.values())
        with pytest.raises(ValueError, match=r"fit together|not float32|not uint8|no columns"):
            module.linear(*(arguments | change).values())

    def test_threads_give_the_same(self) -> None:
        layer = qat.BitLinear(1024, 1030).deploy()
        x = torch.randn(1, 1024)
        alone = layer(x)
        try:
            torch.set_num_threads(3)
            assert torch.equal(layer(x), alone)
        finally:
            torch.set_num_threads(1)

    def test_many_samples(self) -> None:
        layer = qat.BitLinear(1024, 1500, scheme="twn").eval()
        x = torch.randn(40, 1024)
        close(layer.deploy()(x), layer(x))

    def test_faster_than_float(self) -> None:
        module = kernel.compiled()
        assert module is not None
        if not module.avx2:
            pytest.skip("this CPU has no AVX2: the portable form is not fast")
        layer = qat.BitLinear(4096, 4096, bias=False)
        weight, x, deployed = layer.weight.detach().clone(), torch.randn(1, 4096), layer.deploy()

        def best(function: Callable[[], Any]) -> float:
            times = []
            for _ in range(12):
                start = time.perf_counter()
                function()
                times.append(time.perf_counter() - start)
            return min(times)

        # One thread of a 2-core x86-64 machine with AVX-512, torch 2.13: 3.2 ms float, 1.2 here.
        with torch.no_grad():
            plain = best(lambda: nn.functional.linear(x, weight))
            packed = best(lambda: deployed(x))
        assert packed < plain
