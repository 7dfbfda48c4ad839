"""The Triton kernels against plain torch, on CUDA or interpreted (TRITON_INTERPRET=1)."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")
pytest.importorskip("triton", reason="needs Triton (pip install triton)")
if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("needs a CUDA device, or TRITON_INTERPRET=1", allow_module_level=True)

import ternc.qat.torch as qat  # noqa: E402
from ternc.qat.torch import kernel, kernel_triton  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("scheme", ["bitnet", "twn"])
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (13, 7), (257, 33), (1030, 64)])
@pytest.mark.parametrize("bias", [True, False])
def test_as_plain_torch(
    monkeypatch: pytest.MonkeyPatch, scheme: str, shape: tuple[int, int], bias: bool,
) -> None:
    monkeypatch.setattr(kernel, "_COMPILED", None)
    monkeypatch.setattr(kernel, "_TRITON", False)
    inputs, outputs = shape
    layer = qat.BitLinear(inputs, outputs, bias, scheme=scheme).to(DEVICE).deploy()
    codes, scale = layer.weight_packed, layer.weight_scale
    weights = kernel.unpack(codes, scale, (outputs, inputs))
    assert torch.equal(kernel_triton.unpack(codes, scale, inputs), weights)
    for samples in (1, 2, 16, 21):
        x = torch.randn(samples, inputs, device=DEVICE)
        expected = layer(x)
        result = kernel_triton.packed_linear(x, codes, scale, layer.bias)
        assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_nothing() -> None:
    layer = qat.BitLinear(8, 4).to(DEVICE).deploy()
    result = kernel_triton.packed_linear(
        torch.empty(0, 8, device=DEVICE), layer.weight_packed, layer.weight_scale, None)
    assert result.shape == (0, 4)
