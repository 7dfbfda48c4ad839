"""Exports small BitNet-style models from PyTorch, with inputs and PyTorch's own outputs.

    python tests/models/bitlinear/export_bitlinear.py        (torch 2.13, onnxscript 0.7)

Per-token absmax activations and absmean ternary weights, as Microsoft's BitNet b1.58 notes have
them. Each model differs in where the scales are: see `VARIANTS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).parent


def weight_codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes -1, 0, 1 and the factor that was multiplied with, 1 / mean|w|."""
    scale = 1.0 / weight.abs().mean().clamp(min=1e-5)
    return (weight * scale).round().clamp(-1, 1), scale


class TrainingLinear(nn.Linear):
    """Quantized and dequantized in front of the product, straight-through: q(x) and q(w)."""

    def forward(self, x: Tensor) -> Tensor:
        """The layer as it is trained."""
        scale = 127.0 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
        quantized = (x * scale).round().clamp(-128, 127) / scale
        codes, factor = weight_codes(self.weight)
        x = x + (quantized - x).detach()
        weight = self.weight + (codes / factor - self.weight).detach()
        return functional.linear(x, weight, self.bias)


class InferenceLinear(nn.Linear):
    """Codes times codes, both scales divided out behind the product."""

    def forward(self, x: Tensor) -> Tensor:
        """The layer as inference kernels compute it."""
        scale = 127.0 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
        quantized = (x * scale).round().clamp(-128, 127)
        codes, factor = weight_codes(self.weight)
        product = functional.linear(quantized, codes) / factor / scale
        return product if self.bias is None else product + self.bias


class StepLinear(nn.Linear):
    """The step d = absmax / 127 instead of its inverse: q = round(x / d), times d again."""

    def forward(self, x: Tensor) -> Tensor:
        """The layer with divisions by the step."""
        step = x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5) / 127.0
        quantized = torch.clamp(torch.round(x / step), -127, 127) * step
        codes, factor = weight_codes(self.weight)
        return functional.linear(quantized, codes / factor, self.bias)


class Mlp(nn.Module):
    """Two layers on single vectors."""

    def __init__(self, linear: type[nn.Linear], hidden: int = 24) -> None:
        super().__init__()
        self.up, self.down = linear(16, hidden), linear(hidden, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Up, ReLU, down."""
        return self.down(torch.relu(self.up(x)))


class Block(nn.Module):
    """A gated feed-forward block on tokens, with normalization in front as BitNet has it."""

    def __init__(self, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.gate, self.up, self.down = (
            linear(16, 24, bias=False), linear(16, 24, bias=False), linear(24, 16, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """x + down(relu(gate(n))^2 * up(n)), n being x normalized."""
        n = self.norm(x)
        gate = torch.relu(self.gate(n))
        return x + self.down(gate * gate * self.up(n))


VARIANTS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "training": (Mlp(TrainingLinear), (1, 16)),
    "inference": (Mlp(InferenceLinear), (1, 16)),
    "step": (Mlp(StepLinear), (1, 16)),
    "block": (Block(TrainingLinear), (1, 6, 16)),
    "block_inference": (Block(InferenceLinear), (1, 6, 16)),
}


def main() -> None:
    """Writes <variant>.onnx and expected.npz."""
    arrays: dict[str, Any] = {}
    for seed, (name, (model, shape)) in enumerate(VARIANTS.items()):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        model.eval()
        x = torch.randn((8, *shape), generator=generator)
        program = torch.onnx.export(model, (x[0],), dynamo=True, input_names=["x"],
                                    output_names=["y"], verbose=False)
        for node in program.model.graph:
            for key in list(node.metadata_props):
                if key != "pkg.torch.onnx.name_scopes":  # stack traces name this machine's paths
                    del node.metadata_props[key]
        program.save(str(HERE / f"{name}.onnx"), external_data=False)
        with torch.no_grad():
            arrays[f"{name}_x"] = x.numpy()
            arrays[f"{name}_y"] = torch.stack([model(sample) for sample in x]).numpy()
    np.savez_compressed(HERE / "expected.npz", **arrays)


if __name__ == "__main__":
    main()
