"""PyTorch's activations compile as its exporter writes them, and answer as PyTorch does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import ternc

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed (pip install 'ternc[torch]')")

nn = torch.nn

ACTIVATIONS = {
    "elu": nn.ELU(0.7), "selu": nn.SELU(), "celu": nn.CELU(0.6), "softsign": nn.Softsign(),
    "mish": nn.Mish(), "silu": nn.SiLU(), "logsigmoid": nn.LogSigmoid(),
    "tanhshrink": nn.Tanhshrink(), "hardtanh": nn.Hardtanh(), "gelu": nn.GELU(),
    "hardswish": nn.Hardswish(), "softplus": nn.Softplus(), "hardshrink": nn.Hardshrink(0.4),
    "softshrink": nn.Softshrink(0.4),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), ACTIVATIONS[name], nn.Linear(16, 4)).eval()
    x = torch.randn(1, 6) * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = ternc.compile(model, "host", example_inputs=(x,))
    (given,) = compiled.run(x.numpy()).values()
    wanted = model(x).detach().numpy()
    assert np.abs(given - wanted).max() <= 1e-5 * np.abs(wanted).max()
