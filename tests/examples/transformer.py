"""A small vision transformer in plain PyTorch; `ternarize` makes its linear layers BitLinear."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class _Block(nn.Module):  # type: ignore[misc, unused-ignore]
    """Attention, then two linear layers, each behind a normalization and beside an identity."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.mix = nn.Linear(size, size)
        self.norm2 = nn.LayerNorm(size)
        self.up = nn.Linear(size, 2 * size)
        self.down = nn.Linear(2 * size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, tokens, size = x.shape
        head = size // self.heads
        queries, keys, values = (
            self.queries_keys_values(self.norm1(x))
            .reshape(count, tokens, 3, self.heads, head).permute(2, 0, 3, 1, 4).unbind())
        scores = queries @ keys.transpose(-2, -1) * head**-0.5
        mixed = torch.softmax(scores, -1) @ values
        x = x + self.mix(mixed.transpose(1, 2).reshape(count, tokens, size))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):  # type: ignore[misc, unused-ignore]
    """Patches of an image as tokens, four blocks, the mean over tokens, a linear layer."""

    def __init__(
        self, width: float = 1.0, *, image: int = 28, channels: int = 1, patch: int = 4,
        size: int = 64, depth: int = 4, heads: int = 4,
    ) -> None:
        super().__init__()
        size = round(size * width)
        self.first = nn.Conv2d(channels, size, patch, patch)
        self.place = nn.Parameter(0.02 * torch.randn(1, (image // patch) ** 2, size))
        self.blocks = nn.Sequential(*(_Block(size, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(size)
        self.last = nn.Linear(size, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).flatten(2).transpose(1, 2) + self.place
        return self.last(self.norm(self.blocks(x)).mean(1))
