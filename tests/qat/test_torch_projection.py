"""An LSTM with `proj_size`, which torch.onnx.export writes as one without."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (pip install 'ternc[torch]')")
pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")

from torch import nn  # noqa: E402

import ternc.qat.torch as qat  # noqa: E402
from ternc.compiler import compile as ternc_compile  # noqa: E402

torch.set_num_threads(1)


class States(nn.Module):  # type: ignore[misc, unused-ignore]
    """An LSTM with all that it returns."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8, **options)

    def forward(self, x: Any, h: Any = None, c: Any = None) -> tuple[Any, Any, Any]:
        out, (h, c) = self.lstm(x, None if h is None else (h, c))
        return out, h, c


def check(model: nn.Module, *inputs: Any) -> dict[str, Any]:
    """What the compiled model reports; it answers as the model does."""
    model.eval()
    with torch.no_grad():
        expected = [result.numpy() for result in model(*inputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = ternc_compile(model, "esp32", example_inputs=inputs)
    report = compiled.report()
    names = [port["name"] for port in report["inputs"]]
    results = compiled.run({name: x.numpy() for name, x in zip(names, inputs, strict=True)})
    for result, value in zip(results.values(), expected, strict=True):
        assert result.shape == value.shape
        assert np.abs(result - value).max() <= 1e-5 * np.abs(value).max()
    return dict(report["weights"])


@pytest.mark.parametrize("options", [
    {"proj_size": 3, "bias": False, "batch_first": True},
    {"proj_size": 3, "num_layers": 2, "bidirectional": True},
], ids=lambda options: "-".join(options))
def test_plain_ternary_and_deployed(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = States(**options)
    x = torch.randn((1, 3, 5) if options.get("batch_first") else (3, 1, 5))
    count = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    assert check(model, x)["float32"]["count"] == count
    qat.ternarize(model, "bitnet_channel")
    assert check(model, x)["ternary"]["count"] == count
    assert check(qat.deploy(model), x)["ternary"]["count"] == count


def test_without_batch_and_with_initial_states() -> None:
    torch.manual_seed(0)
    before = nn.LSTM.forward
    check(States(proj_size=3, batch_first=True), torch.randn(3, 5))
    check(States(proj_size=3), torch.randn(2, 5), torch.randn(1, 3), torch.randn(1, 8))
    assert nn.LSTM.forward is before  # which is another one during the export
