"""Layers for inference: packed ternary weights, and what they compute from them."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ternc.qat.torch.conv import TernaryConv1d, TernaryConv2d
from ternc.qat.torch.kernel import packed_linear, unpack
from ternc.qat.torch.layer import TernaryLayer
from ternc.qat.torch.linear import BitLinear
from ternc.qat.torch.recurrent import TernaryGRU, TernaryLSTM
from ternc.quantize import pack_ternary


class Deployed(nn.Module):
    """A layer whose ternary weights are packed: `<weight>_packed` and `<weight>_scale`.

    `packed` holds each output channel's weights as `ternc.quantize.pack_ternary` does, channels
    beginning on a byte; `scale` is one float32, or one per channel.
    """

    shapes: dict[str, tuple[int, ...]]

    @torch.no_grad()
    def _pack(self, layer: TernaryLayer) -> None:
        self.scheme = layer.scheme
        self.shapes = {}
        for hook in layer._forward_pre_hooks.values():
            if isinstance(hook, (WeightNorm, SpectralNorm, BasePruningMethod)):
                hook(layer, ())  # writes the weight, which is that of the last forward pass
        for name in layer.ternary_names():
            codes, scale = layer.ternary(name)
            self.shapes[name] = tuple(codes.shape)
            rows = codes.flatten(1).cpu().numpy()
            padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
            data = np.frombuffer(pack_ternary(padded), np.uint8).reshape(len(rows), -1)
            packed = torch.from_numpy(data.copy()).to(codes.device)
            self.register_buffer(f"{name}_packed", packed)
            self.register_buffer(f"{name}_scale", scale.detach().clone())
        self.activation = _frozen(layer.activation)

    def _freeze(self, name: str, value: Tensor | None) -> None:
        self.register_buffer(name, None if value is None else value.detach().clone())

    def unpacked(self, name: str = "weight") -> Tensor:
        """The weight as float32, made anew at each call."""
        return unpack(
            getattr(self, f"{name}_packed"), getattr(self, f"{name}_scale"), self.shapes[name])

    def quantized_input(self, x: Tensor) -> Tensor:
        """The input as the layer's arithmetic sees it."""
        return x if self.activation is None else self.activation(x)

    def train(self, mode: bool = True) -> Self:
        """Eval mode is the only one there is.

        Raises:
            RuntimeError: Training is asked for: the float weights are gone.
        """
        if mode:
            raise RuntimeError("the layer is deployed: its float weights are gone; train the "
                               "model that was deployed, and deploy that again")
        super().train(False)
        return self

    def deploy(self) -> NoReturn:
        """Refuses: the layer is deployed.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"the {type(self).__name__} is deployed already")


def _frozen(activation: nn.Module | None) -> nn.Module | None:
    if activation is None:
        return None
    kept = copy.deepcopy(activation).eval()
    return kept.requires_grad_(False)


class DeployedLinear(Deployed):
    """`BitLinear` for inference; on a CPU with the compiled kernel where that is installed."""

    def __init__(self, layer: BitLinear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._pack(layer)
        self._freeze("bias", layer.bias)
        super().train(False)

    def forward(self, input: Tensor) -> Tensor:
        return packed_linear(
            self.quantized_input(input), self.weight_packed, self.weight_scale, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class _DeployedConv(Deployed):
    float_type: ClassVar[type[nn.Module]]

    def __init__(self, layer: TernaryConv1d | TernaryConv2d) -> None:
        super().__init__()
        for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
                     "groups", "padding_mode", "_reversed_padding_repeated_twice"):
            setattr(self, name, getattr(layer, name))
        self._pack(layer)
        self._freeze("bias", layer.bias)
        super().train(False)

    def forward(self, input: Tensor) -> Tensor:
        x = self.quantized_input(input)
        result: Tensor = self.float_type._conv_forward(
            self, x, self.unpacked().to(x.dtype), self.bias)
        return result

    def extra_repr(self) -> str:
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}")


class DeployedConv1d(_DeployedConv):
    """`TernaryConv1d` for inference."""

    float_type = nn.Conv1d


class DeployedConv2d(_DeployedConv):
    """`TernaryConv2d` for inference."""

    float_type = nn.Conv2d


class _DeployedRecurrent(Deployed):
    """Holds a layer of torch.nn without weights, which are handed to it at each call."""

    def __init__(self, layer: TernaryLSTM | TernaryGRU) -> None:
        super().__init__()
        self._pack(layer)
        self.weight_names = tuple(layer._flat_weights_names)
        for name in self.weight_names:
            if name not in self.shapes:
                self._freeze(name, getattr(layer, name))
        bare = layer.float_type.__new__(layer.float_type)
        nn.Module.__init__(bare)
        for key, value in layer.__dict__.items():
            if key in _RECURRENT_ATTRIBUTES:
                bare.__dict__[key] = value
        bare._init_flat_weights()
        self.bare = bare
        super().train(False)

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, nn.utils.rnn.PackedSequence):
            input = input._replace(data=self.quantized_input(input.data))
            dtype = input.data.dtype
        else:
            input = self.quantized_input(input)
            dtype = input.dtype
        kept = self.bare._flat_weights
        self.bare._flat_weights = [
            (self.unpacked(name) if name in self.shapes else getattr(self, name)).to(dtype)
            for name in self.weight_names
        ]
        try:
            return self.bare(input, hx)
        finally:
            self.bare._flat_weights = kept


_RECURRENT_ATTRIBUTES = frozenset({
    "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
    "bidirectional", "proj_size", "_flat_weights_names", "_all_weights",
})


class DeployedLSTM(_DeployedRecurrent):
    """`TernaryLSTM` for inference."""


class DeployedGRU(_DeployedRecurrent):
    """`TernaryGRU` for inference."""


_FORMS: dict[type[TernaryLayer], type[Deployed]] = {
    BitLinear: DeployedLinear, TernaryConv1d: DeployedConv1d, TernaryConv2d: DeployedConv2d,
    TernaryLSTM: DeployedLSTM, TernaryGRU: DeployedGRU,
}


def deployed(layer: TernaryLayer) -> Deployed:
    """The deployed form of a ternary layer.

    Raises:
        TypeError: The layer is of a subclass, whose forward could compute anything, or has a
            parametrization.
    """
    if parametrize.is_parametrized(layer):
        names = ", ".join(layer.parametrizations)
        raise TypeError(
            f"a {type(layer).__mro__[1].__name__} has a parametrization of {names}: make it "
            "permanent first, with torch.nn.utils.parametrize.remove_parametrizations")
    form: Any = _FORMS.get(type(layer))
    if form is None:
        raise TypeError(f"{type(layer).__name__} has no deployed form: its own forward would be "
                        "lost; deploy the layers that it is made of")
    made: Deployed = form(layer)
    return made
