"""LSTM with a projection of its state, which ONNX's LSTM has not, in operators that ONNX has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def written_out(model: Any) -> Iterator[None]:
    """While the context lasts, `nn.LSTM` with `proj_size` computes step by step.

    PyTorch's exporter writes such a layer as an ONNX LSTM and drops the projection without a
    word. Written out, its weights stay what they are, ternary ones ternary; the program grows
    with the number of steps.
    """
    from torch import nn

    if not any(isinstance(m, nn.LSTM) and m.proj_size for m in model.modules()):
        yield
        return
    original = nn.LSTM.forward

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        return _steps(self, input, hx) if self.proj_size else original(self, input, hx)

    # of the class, because ternary layers call it as their base's, with their own weights in place
    nn.LSTM.forward = forward
    try:
        yield
    finally:
        nn.LSTM.forward = original


def _steps(lstm: Any, input: Any, hx: Any) -> Any:
    """h_t = W_hr (o * tanh(c_t)), the gates as in `nn.LSTM`; arguments and results as there."""
    import torch

    batched = input.dim() == 3
    x = input if batched else input.unsqueeze(0 if lstm.batch_first else 1)
    x = x.transpose(0, 1) if lstm.batch_first else x
    if hx is None:
        count = lstm.num_layers * (2 if lstm.bidirectional else 1)
        hx = (x.new_zeros(count, x.shape[1], lstm.proj_size),
              x.new_zeros(count, x.shape[1], lstm.hidden_size))
    elif not batched:
        hx = tuple(state.unsqueeze(1) for state in hx)
    directions = (False, True) if lstm.bidirectional else (False,)
    weights = iter(lstm._flat_weights)
    last_h: list[Any] = []
    last_c: list[Any] = []
    for _ in range(lstm.num_layers):
        outputs = []
        for backwards in directions:
            layer = [next(weights) for _ in range(5 if lstm.bias else 3)]
            index = len(last_h)
            out, h, c = _direction(x, layer, hx[0][index], hx[1][index], backwards)
            outputs.append(out)
            last_h.append(h)
            last_c.append(c)
        x = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
    out = x.transpose(0, 1) if lstm.batch_first else x
    h, c = torch.stack(last_h), torch.stack(last_c)
    if batched:
        return out, (h, c)
    return out.squeeze(0 if lstm.batch_first else 1), (h.squeeze(1), c.squeeze(1))


def _direction(x: Any, layer: list[Any], h: Any, c: Any, backwards: bool) -> tuple[Any, Any, Any]:
    """One direction of one layer over x [steps, batch, inputs]: outputs and last states."""
    import torch
    from torch.nn.functional import linear

    given, recurrent, *biases, projection = layer
    fed = linear(x, given, sum(biases) if biases else None)
    steps = range(x.shape[0])
    outputs = []
    for step in reversed(steps) if backwards else steps:
        i, f, g, o = (fed[step] + linear(h, recurrent)).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = linear(o.sigmoid() * c.tanh(), projection)
        outputs.append(h)
    return torch.stack(outputs[::-1] if backwards else outputs), h, c
