"""`TernaryLSTM` and `TernaryGRU`: the recurrent layers of `torch.nn` with ternary weights."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ternc.qat.torch.layer import TernaryLayer


class _TernaryRecurrent(TernaryLayer):
    """Input and recurrent weights of all layers and directions ternary, biases float.

    `activations` quantizes the input of the first layer; states stay float, as the fused kernels
    of torch keep them to themselves.
    """

    _flat_weights: list[Tensor]

    def ternary_names(self) -> tuple[str, ...]:
        return tuple(name for name in self._flat_weights_names if name.startswith("weight"))

    def _update_flat_weights(self) -> None:
        """Does nothing: torch would put the float weights back when parameters were exchanged."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            input = input._replace(data=self.quantized_input(input.data))
        else:
            input = self.quantized_input(input)
        ternary = set(self.ternary_names())
        kept = self._flat_weights
        # nn.LSTM and nn.GRU read their weights from this list and from nowhere else
        self._flat_weights = [
            self.used(name) if name in ternary else getattr(self, name)
            for name in self._flat_weights_names
        ]
        try:
            return super().forward(input, hx)
        finally:
            self._flat_weights = kept


class TernaryLSTM(_TernaryRecurrent, nn.LSTM):
    """`nn.LSTM` with ternary weights; `TernaryLayer` has the arguments beyond its own."""

    float_type = nn.LSTM

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: Any = None, *, eps: float = 1e-6,
        scheme: str = "bitnet", quant_type: str | None = None, learn_scale: bool | None = None,
        activations: str | None = "none",
    ) -> None:
        nn.LSTM.__init__(
            self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device=device, dtype=dtype)
        self._set_up(eps, scheme, quant_type, learn_scale, activations)

    @classmethod
    def from_lstm(cls, lstm: nn.LSTM, scheme: str = "bitnet", **options: Any) -> Self:
        """A ternary layer with the parameters of `lstm`; options as `from_float` has them."""
        return cls.from_float(lstm, scheme, **options)


class TernaryGRU(_TernaryRecurrent, nn.GRU):
    """`nn.GRU` with ternary weights; `TernaryLayer` has the arguments beyond its own."""

    float_type = nn.GRU

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Any = None, dtype: Any = None, *, eps: float = 1e-6, scheme: str = "bitnet",
        quant_type: str | None = None, learn_scale: bool | None = None,
        activations: str | None = "none",
    ) -> None:
        nn.GRU.__init__(
            self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype)
        self._set_up(eps, scheme, quant_type, learn_scale, activations)

    @classmethod
    def from_gru(cls, gru: nn.GRU, scheme: str = "bitnet", **options: Any) -> Self:
        """A ternary layer with the parameters of `gru`; options as `from_float` has them."""
        return cls.from_float(gru, scheme, **options)
