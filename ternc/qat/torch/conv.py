"""`TernaryConv1d` and `TernaryConv2d`: the convolutions of `torch.nn` with ternary weights."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from ternc.qat.torch.layer import TernaryLayer


class _TernaryConv(TernaryLayer):
    """The constructor, which both share, and the convolution of a quantized input."""

    sample_activations = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None, *, eps: float = 1e-6,
        scheme: str = "bitnet", quant_type: str | None = None, learn_scale: bool | None = None,
        activations: str | None = "none",
    ) -> None:
        self.float_type.__init__(
            self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype)
        self._set_up(eps, scheme, quant_type, learn_scale, activations)

    @classmethod
    def from_conv(cls, conv: nn.Module, scheme: str = "bitnet", **options: Any) -> Self:
        """A ternary layer with the parameters of `conv`; options as `from_float` has them."""
        return cls.from_float(conv, scheme, **options)

    def forward(self, input: Tensor) -> Tensor:
        # `_conv_forward` is the hook that torch's own quantized convolutions use
        result: Tensor = self._conv_forward(self.quantized_input(input), self.used(), self.bias)
        return result


class TernaryConv1d(_TernaryConv, nn.Conv1d):
    """`nn.Conv1d` with ternary weights; `TernaryLayer` has the arguments beyond its own."""

    float_type = nn.Conv1d


class TernaryConv2d(_TernaryConv, nn.Conv2d):
    """`nn.Conv2d` with ternary weights; `TernaryLayer` has the arguments beyond its own."""

    float_type = nn.Conv2d
