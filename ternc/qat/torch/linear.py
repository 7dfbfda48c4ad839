"""`BitLinear`: `nn.Linear` with ternary weights."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn
from torch.nn import functional

from ternc.qat.torch.layer import TernaryLayer


class BitLinear(TernaryLayer, nn.Linear):
    """`nn.Linear` with ternary weights; `TernaryLayer` has the arguments beyond its own.

    Any number of leading dimensions. There is no normalization inside: put one before the layer
    where the network wants one.
    """

    float_type = nn.Linear

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, eps: float = 1e-6,
        scheme: str = "bitnet", *, quant_type: str | None = None,
        learn_scale: bool | None = None, activations: str | None = "none", device: Any = None,
        dtype: Any = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device=device, dtype=dtype)
        self._set_up(eps, scheme, quant_type, learn_scale, activations)

    @classmethod
    def from_linear(cls, linear: nn.Linear, scheme: str = "bitnet", **options: Any) -> Self:
        """A ternary layer with the parameters of `linear`; options as `from_float` has them."""
        return cls.from_float(linear, scheme, **options)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(self.quantized_input(input), self.used(), self.bias)

    def _set_up(self, *arguments: Any) -> None:
        super()._set_up(*arguments)
        if _keeps_forward not in self._forward_pre_hooks.values():
            self.register_forward_pre_hook(_keeps_forward)


def _keeps_forward(layer: nn.Module, arguments: Any) -> None:
    """Does nothing; that there is a hook makes `nn.TransformerEncoderLayer` call the layer.

    In eval mode it would otherwise compute in one fused function with `linear1.weight`, which is
    float.
    """
