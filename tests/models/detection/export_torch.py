"""Ternary weights as PyTorch's dynamo exporter leaves them: folded, and too large to be folded.

    python -m tests.models.detection.export_torch
    python -m tests.models.detection.strip tests/models/detection/torch_*.onnx

`torch_folded.onnx`: below onnxscript's limit of 8,192 elements the quantizer is computed, batch
normalization folded in, and the weights are floats of three levels per channel, with the rounding
noise of the straight-through estimator. `torch_unfolded.onnx`: above it, the weights are the
latent floats, and the quantizer is in the graph.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


def ternary(weight: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """Absmean over `dims`, with a straight-through estimator."""
    scale = weight.abs().mean(dim=dims, keepdim=True).clamp(min=1e-5)
    quantized = (weight / scale).round().clamp(-1, 1) * scale
    return weight + (quantized - weight).detach()


class TernaryConv(nn.Conv2d):  # type: ignore[misc, unused-ignore]
    """One scale per output channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, ternary(self.weight, (1, 2, 3)), self.bias, padding=1)


class TernaryLinear(nn.Linear):  # type: ignore[misc, unused-ignore]
    """One scale for the tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, ternary(self.weight, (0, 1)), self.bias)


def main() -> None:
    """Writes both models."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    with torch.no_grad():
        for value in (norm.weight, norm.running_var):
            value.copy_(torch.rand(6) + 0.5)
        for value in (norm.bias, norm.running_mean):
            value.copy_(torch.randn(6))
    folded = nn.Sequential(TernaryConv(3, 6, 3), norm, nn.ReLU(), nn.Flatten(),
                           TernaryLinear(6 * 5 * 5, 10))
    unfolded = TernaryLinear(130, 64)  # 8,320 elements
    for name, model, shape in (("torch_folded", folded, (1, 3, 5, 5)),
                               ("torch_unfolded", unfolded, (1, 130))):
        program = torch.onnx.export(model.eval(), (torch.zeros(shape),), dynamo=True,
                                    verbose=False)
        assert program is not None
        program.save(HERE / f"{name}.onnx", external_data=False)


if __name__ == "__main__":
    main()
