"""State that outlives a run (`--stateful`): tensors that only a reset sets to zero."""

from __future__ import annotations

import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, FloatArray
from ternc.backends.esp32.lower.nodes import label
from ternc.backends.esp32.lower.recurrence import Recurrence
from ternc.backends.esp32.program import DType, Region, Tensor


def kept_state(ctx: Lowering, layer: Recurrence, letter: str, known: FloatArray | None,
               dtype: DType) -> Tensor:
    """The persistent tensor of state `letter`, which must start from zero."""
    if known is None:
        raise Unsupported(
            "a state that the model takes as an input cannot also be kept between runs",
            help="compile without stateful and feed the state back, or remove the input",
        )
    if known.any():
        raise Unsupported(
            "a state that starts from values other than zero cannot be kept between runs: a "
            "reset sets it to zero",
            help="start the layer from a zero state, or compile without stateful",
        )
    if layer.reverse or layer.directions == 2:
        raise Unsupported("a layer that runs backwards has no state to keep between runs",
                          help="use forward layers for a stateful model")
    return Tensor(ctx.unique(f"{label(layer.node)}:{letter}"), dtype, layer.state_sizes,
                  Region.STATE)


def show_state(ctx: Lowering, layer: Recurrence, value: ir.Value, state: Tensor) -> None:
    """Copies a kept state to the output that shows it."""
    buffer = ctx.new(value.name or "state", state.dtype, layer.state_layout)
    ctx.copy(layer.node, Buffer(state, layer.state_layout), buffer, layer.state_layout.shape)
    ctx.bind(value, buffer)
