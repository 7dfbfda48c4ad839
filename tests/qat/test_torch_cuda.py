"""What a CUDA device adds: the Triton kernel, moves, autocast, replicas."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from torch import nn  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402
from ternc.qat.torch import kernel  # noqa: E402


def close(result: Any, expected: Any) -> None:
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("triton", [True, False])
@pytest.mark.parametrize("scheme", ["bitnet", "twn"])
@pytest.mark.parametrize("shape", [
    (13, 7, (2, 5)), (4096, 1001, (1,)), (1030, 300, (16,)), (1030, 64, (40,))])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_linear(
    triton: bool, scheme: str, shape: tuple[int, int, tuple[int, ...]], bias: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if triton and not kernel._TRITON:
        pytest.skip("needs Triton")
    monkeypatch.setattr(kernel, "_TRITON", triton)
    monkeypatch.setitem(kernel._BLOCK, "cuda", 1 << 16)  # the larger ones are done in parts
    inputs, outputs, leading = shape
    layer = qat.BitLinear(inputs, outputs, bias, scheme=scheme).cuda().eval()
    x = torch.randn(*leading, inputs, device="cuda")
    with torch.no_grad():
        close(layer.deploy()(x), layer(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: Any) -> None:
    layer = qat.BitLinear(128, 30).cuda().to(dtype).eval()
    x = torch.randn(2, 128, device="cuda", dtype=dtype)
    with torch.no_grad():
        torch.testing.assert_close(layer.deploy()(x), layer(x), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("build", [
    lambda: qat.BitLinear(10, 16, learn_scale=True, activations="static"),
    lambda: qat.TernaryConv1d(5, 6, 3, scheme="paretoq", activations="dynamic"),
    lambda: qat.TernaryLSTM(10, 16, 2, bidirectional=True),
    lambda: qat.TernaryGRU(10, 16, scheme="lsq")])
def test_layers_train_and_deploy(build: Any) -> None:
    torch.manual_seed(0)
    layer = build()
    x = torch.randn(3, 5, 10)
    clone = copy.deepcopy(layer).cuda()

    def first(output: Any) -> Any:
        return output[0] if isinstance(output, tuple) else output

    expected = first(layer(x))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        result = first(clone(x.cuda()))
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-4, atol=1e-5)
        with torch.autocast("cuda", torch.float16):
            first(clone(x.cuda())).float().square().sum().backward()
        assert all(p.grad.isfinite().all() for p in clone.parameters())
        clone.eval()
        with torch.no_grad():
            close(first(clone.deploy()(x.cuda())), first(clone(x.cuda())))


def test_data_parallel_and_compile() -> None:
    devices = list(range(torch.cuda.device_count()))
    model = nn.Sequential(
        qat.BitLinear(8, 16, scheme="lsq", activations="static"), nn.ReLU(), qat.BitLinear(16, 4))
    model.cuda()
    x = torch.randn(4 * len(devices), 8, device="cuda")
    model(x)
    expected = model(x)
    torch.testing.assert_close(nn.DataParallel(model, devices)(x), expected)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), expected)
