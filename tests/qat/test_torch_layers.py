"""The layers stand in for those of torch.nn wherever these go."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

from torch import nn  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402

torch.set_num_threads(1)

LAYERS: dict[str, tuple[Callable[..., Any], Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda **k: qat.BitLinear(12, 7, **k), lambda: nn.Linear(12, 7), (5, 12)),
    "conv1d": (lambda **k: qat.TernaryConv1d(4, 6, 3, padding="same", **k),
               lambda: nn.Conv1d(4, 6, 3, padding="same"), (2, 4, 10)),
    "conv2d": (
        lambda **k: qat.TernaryConv2d(4, 6, 3, 2, 1, groups=2, padding_mode="circular", **k),
        lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2, padding_mode="circular"), (2, 4, 9, 8)),
    "lstm": (lambda **k: qat.TernaryLSTM(5, 6, 2, bidirectional=True, **k),
             lambda: nn.LSTM(5, 6, 2, bidirectional=True), (7, 2, 5)),
    "lstm_proj": (lambda **k: qat.TernaryLSTM(5, 6, batch_first=True, proj_size=3, **k),
                  lambda: nn.LSTM(5, 6, batch_first=True, proj_size=3), (2, 7, 5)),
    "gru": (lambda **k: qat.TernaryGRU(5, 6, bias=False, **k),
            lambda: nn.GRU(5, 6, bias=False), (7, 2, 5)),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)


def made(kind: str, **options: Any) -> tuple[Any, Any, Any]:
    """A ternary layer, its float counterpart with ternary weights, an input."""
    torch.manual_seed(1)
    ternary, plain, shape = LAYERS[kind]
    layer, other = ternary(**options), plain()
    other.load_state_dict({
        name: layer.used(name).detach() if name in layer.ternary_names() else value
        for name, value in layer.state_dict().items() if not name.endswith("_scale")})
    return layer, other, torch.randn(shape)


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@every_layer
class TestDropIn:
    def test_is_one(self, kind: str) -> None:
        layer, other, _ = made(kind)
        assert isinstance(layer, type(other))
        assert list(layer.state_dict()) == list(other.state_dict())

    def test_computes_with_ternary_weights(self, kind: str) -> None:
        layer, other, x = made(kind, scheme="bitnet_channel")
        assert torch.equal(first(layer(x)), first(other(x)))

    def test_every_parameter_gets_a_gradient(self, kind: str) -> None:
        layer, _, x = made(kind, learn_scale=True)
        first(layer(x)).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())

    def test_from_float_shares_parameters(self, kind: str) -> None:
        layer, other, x = made(kind)
        calls = []
        other.register_forward_hook(lambda *_: calls.append(1))
        taken = type(layer).from_float(other.eval(), "twn")
        assert taken.weight is other.weight if hasattr(other, "weight") else True
        assert not taken.training
        taken(x)
        assert calls == [1]
        assert "activation" not in other.__dict__
        assert not hasattr(other, "blend")

    def test_float_checkpoint_loads(self, kind: str) -> None:
        layer, other, _ = made(kind, scheme="lsq")
        before = dict(layer.state_dict())
        layer.load_state_dict(other.state_dict())
        name = layer.ternary_names()[0]
        assert f"{name}_scale" in before
        fresh = type(layer).from_float(other, "lsq")
        assert torch.equal(getattr(layer, f"{name}_scale"), getattr(fresh, f"{name}_scale"))

    def test_copies(self, kind: str) -> None:
        layer, _, x = made(kind, learn_scale=True, activations="dynamic")
        layer.eval()
        expected = first(layer(x))
        clone = copy.deepcopy(layer)
        assert torch.equal(first(clone(x)), expected)
        stored = io.BytesIO()
        torch.save(layer, stored)
        stored.seek(0)
        loaded = torch.load(stored, weights_only=False)
        assert torch.equal(first(loaded(x)), expected)
        with torch.no_grad():
            getattr(clone, clone.ternary_names()[0]).zero_()
        assert torch.equal(first(layer(x)), expected)

    def test_double_and_meta(self, kind: str) -> None:
        layer, _, x = made(kind)
        assert first(layer.double()(x.double())).dtype == torch.float64
        assert first(layer.to("meta")(x.double().to("meta"))).device.type == "meta"

    def test_autocast(self, kind: str) -> None:
        layer, other, x = made(kind)
        with torch.autocast("cpu", torch.bfloat16):
            mine, plain = first(layer(x)), first(other(x))
        assert mine.dtype == plain.dtype
        torch.testing.assert_close(mine, plain)

    def test_compile(self, kind: str) -> None:
        layer, _, x = made(kind, learn_scale=True)
        whole = not isinstance(layer, nn.RNNBase)  # torch breaks the graph at its own, too
        fast = torch.compile(layer, backend="aot_eager", fullgraph=whole)
        torch.testing.assert_close(first(fast(x)), first(layer(x)))
        first(fast(x)).sum().backward()
        assert getattr(layer, layer.ternary_names()[0]).grad is not None

    def test_functional_call(self, kind: str) -> None:
        layer, _, x = made(kind)
        layer.eval()
        zeros = {name: torch.zeros_like(p) for name, p in layer.named_parameters()}
        changed = first(torch.func.functional_call(layer, zeros, (x,)))
        assert not changed.any()
        assert first(layer(x)).any()


class TestLinear:
    @pytest.mark.parametrize("shape", [(12,), (3, 12), (2, 3, 12), (2, 1, 3, 12), (0, 12)])
    def test_leading_dimensions(self, shape: tuple[int, ...]) -> None:
        layer = qat.BitLinear(12, 7, activations="dynamic")
        assert layer(torch.randn(shape)).shape == (*shape[:-1], 7)

    def test_positional_arguments(self) -> None:
        layer = qat.BitLinear(4, 3, False, 1e-5, "twn")
        assert layer.bias is None
        assert (layer.eps, layer.scheme) == (1e-5, "twn")
        assert "scheme=twn" in repr(layer)

    def test_from_linear_refuses(self) -> None:
        with pytest.raises(ValueError, match="ternary already"):
            qat.BitLinear.from_linear(qat.BitLinear(2, 2))
        with pytest.raises(TypeError, match="replaces Linear, not Conv1d"):
            qat.BitLinear.from_linear(nn.Conv1d(1, 1, 1))

    def test_data_parallel(self) -> None:
        layer = qat.BitLinear(4, 3, learn_scale=True)
        x = torch.randn(2, 4)
        assert torch.equal(nn.DataParallel(layer)(x), layer(x))
        replica = layer._replicate_for_data_parallel()
        assert replica.scheme == layer.scheme


def test_packed_sequences() -> None:
    layer, other, x = made("gru")
    lengths = torch.tensor([7, 4])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths)
    assert torch.equal(layer(packed)[0].data, other(packed)[0].data)


def test_eval_mode_trains_too() -> None:
    layer = qat.BitLinear(6, 2).eval()
    layer(torch.randn(3, 6)).sum().backward()
    assert layer.weight.grad is not None


def test_reset_scales() -> None:
    layer = qat.BitLinear(6, 2, scheme="lsq")
    with torch.no_grad():
        layer.weight.mul_(10)
    layer.reset_scales()
    torch.testing.assert_close(layer.weight_scale.detach(), 2 * layer.weight.abs().mean().detach())
