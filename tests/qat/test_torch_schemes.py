"""The schemes on tensors: the numbers of ternc.quantize, and each paper's gradient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.quantize import SCHEMES
from ternc.quantize import ternarize as reference

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")

import ternc.qat.torch as qat  # noqa: E402

torch.set_num_threads(1)


def layer(weights: np.ndarray, scheme: str, learn_scale: bool | None = None) -> qat.BitLinear:
    made = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weights))
    return qat.BitLinear.from_linear(made, scheme, learn_scale=learn_scale)


class TestSameNumbers:
    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("learn_scale", [None, False, True])
    @settings(max_examples=25, deadline=None)
    @given(shape=st.tuples(st.integers(1, 9), st.integers(1, 40)), seed=st.integers(0, 2**32 - 1))
    def test_random(self, scheme: str, learn_scale: bool | None, shape: tuple[int, int],
                    seed: int) -> None:
        weights = np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)
        codes, scale = layer(weights, scheme, learn_scale).ternary()
        expected = reference(weights, scheme)
        np.testing.assert_array_equal(codes.numpy(), expected.codes)
        # compared as weights: where all codes are 0 the scale has no effect
        np.testing.assert_allclose(
            codes.numpy() * scale.reshape(-1, 1).numpy(), expected.dequantize(), rtol=2e-7)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_ties_and_zeros(self, scheme: str) -> None:
        weights = np.array(
            [[1, 1, 1, 1], [0, 0, 0, 0], [4, 2, -2, 0], [-1, 0, 0, 0]], np.float32) / 8
        codes, _ = layer(weights, scheme, False).ternary()
        np.testing.assert_array_equal(codes.numpy(), reference(weights, scheme).codes)

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_convolution(self, scheme: str) -> None:
        conv = qat.TernaryConv2d(3, 5, 3, scheme=scheme)
        expected = reference(conv.weight.detach().numpy(), scheme)
        np.testing.assert_array_equal(conv.ternary()[0].numpy(), expected.codes)
        np.testing.assert_allclose(
            conv.used().detach().numpy(), expected.dequantize(), rtol=2e-7)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("training", [False, True])
    def test_the_weight_in_use_is_exactly_ternary(self, scheme: str, training: bool) -> None:
        made = qat.BitLinear(30, 8, scheme=scheme).train(training)
        codes, scale = made.ternary()
        expected = codes * scale.reshape(-1, 1)
        assert torch.equal(made.used(), expected)


class TestGradients:
    weights = np.array([[0.9, -0.4, 0.1, 0.35], [0.05, -1.2, 0.7, -0.2]], np.float32)
    upstream = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 2.0, 7.0]])

    @pytest.mark.parametrize("scheme", ["bitnet", "bitnet_channel", "twn", "median", "optimal"])
    def test_straight_through(self, scheme: str) -> None:
        made = layer(self.weights, scheme)
        made.used().backward(self.upstream)
        assert torch.equal(made.weight.grad, self.upstream)

    @pytest.mark.parametrize("scheme", ["bitnet", "bitnet_channel", "twn", "median", "optimal"])
    def test_learned_scale(self, scheme: str) -> None:
        made = layer(self.weights, scheme, True)
        made.used().backward(self.upstream)
        codes, _ = made.ternary()
        sums = (codes * self.upstream).sum(1)
        expected = sums / 4**0.5 if SCHEMES[scheme].per_channel else sums.sum() / 8**0.5
        torch.testing.assert_close(made.weight_scale.grad, expected)

    def test_lsq(self) -> None:
        """Equations 3 and 5 of the paper, and its g = 1 / sqrt(N · Qp)."""
        made = layer(self.weights, "lsq")
        made.used().backward(self.upstream)
        step = 2 * np.abs(self.weights).mean()
        ratio = torch.from_numpy(self.weights / step)
        inside = ratio.abs() < 1
        torch.testing.assert_close(made.weight.grad, self.upstream * inside)
        slope = torch.where(inside, ratio.round() - ratio, ratio.sign())
        torch.testing.assert_close(
            made.weight_scale.grad, (slope * self.upstream).sum() / 8**0.5)

    def test_paretoq(self) -> None:
        made = layer(self.weights, "paretoq")
        made.used().backward(self.upstream)
        ratio = torch.from_numpy(self.weights / np.abs(self.weights).max(1, keepdims=True))
        inside = ratio.abs() < 0.99
        torch.testing.assert_close(made.weight.grad, self.upstream * inside)
        slope = torch.where(inside, (ratio * 1.5).round() / 1.5 - ratio, ratio.sign())
        torch.testing.assert_close(
            made.weight_scale.grad, (slope * self.upstream).sum(1) / 4**0.5)

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("learn_scale", [False, True])
    def test_learns(self, scheme: str, learn_scale: bool) -> None:
        torch.manual_seed(0)
        made = qat.BitLinear(16, 4, scheme=scheme, learn_scale=learn_scale)
        x = torch.randn(64, 16)
        target = x @ torch.randint(-1, 2, (4, 16)).float().T * 0.3
        optimizer = torch.optim.Adam(made.parameters(), 0.02)
        losses = []
        for _ in range(60):
            loss = (made(x) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert min(losses[-10:]) < losses[0] / 2


class TestBadInput:
    def test_unknown_scheme_names_the_known(self) -> None:
        with pytest.raises(ValueError, match=r"unknown scheme 'absmax'.*bitnet.*paretoq"):
            qat.BitLinear(4, 4, scheme="absmax")

    def test_quant_type(self) -> None:
        assert qat.BitLinear(4, 4, quant_type="twn").scheme == "twn"
        with pytest.raises(ValueError, match="contradict"):
            qat.BitLinear(4, 4, scheme="lsq", quant_type="twn")

    def test_eps(self) -> None:
        with pytest.raises(ValueError, match="eps"):
            qat.BitLinear(4, 4, eps=0.0)
