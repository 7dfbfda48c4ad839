"""LSTM, GRU and RNN: in integers where the model is, else in float32."""

from __future__ import annotations

import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering
from ternc.backends.esp32.lower.recurrence import recurrence
from ternc.backends.esp32.lower.recurrent_f32 import emit_float
from ternc.backends.esp32.lower.recurrent_i8 import emit_integer
from ternc.backends.esp32.lower.registry import operator

_INT8 = "ternary or int8 W and R per gate row, states in 16 bits"


@operator("LSTM", "GRU", int8=_INT8, int16="states in 32 bits from step to step")
@operator("RNN", int8=_INT8, note="with Relu in float32")
def lower_recurrent(ctx: Lowering, node: ir.Node) -> None:
    """A recurrent layer: in integers when x and every output are quantized, else in float32."""
    layer = recurrence(ctx, node)
    if not emit_integer(ctx, layer):
        emit_float(ctx, layer)
