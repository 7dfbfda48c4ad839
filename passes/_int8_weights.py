"""Float weights of linear operators to int8, one scale per output channel."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import constant, fresh_name, initializer
from ternc.passes._linear import RECURRENT
from ternc.passes._quantization_plan import LINEAR
from ternc.passes._recurrent_weights import quantize_gate_rows
from ternc.quantize import quantize_weights


def quantize_weights_of(
    graph: ir.Graph, kept: AbstractSet[ir.Node], only: AbstractSet[str] | None = None
) -> bool:
    """Makes the float weights of linear operators int8; whether there were any.

    Nodes in `kept` keep theirs; `only`, if given, names those to look at, or n.W and n.R of a
    recurrent node n.
    """
    done: dict[tuple[ir.Value, int | None], ir.Value] = {}
    modified = False
    for node in list(graph):
        if node.op_type not in (*LINEAR, *RECURRENT) or node in kept:
            continue
        if node.domain not in ("", "ai.onnx"):
            continue
        if quantize_gate_rows(node, only):
            modified = True
            continue
        if only is not None and (node.name or "") not in only:
            continue
        for index, weight in enumerate(node.inputs[:2] if node.op_type in LINEAR else ()):
            array = constant(weight)
            if weight is None or array is None or array.dtype != np.float32:
                continue
            axis = _channel_axis(node, index, array.ndim)
            if (weight, axis) not in done:
                done[weight, axis] = _dequantized_weight(graph, node, weight, array, axis)
            node.replace_input_with(index, done[weight, axis])
            drop_unused(graph, weight)
    return modified or bool(done)


def _channel_axis(node: ir.Node, index: int, rank: int) -> int | None:
    """The output channel of a weight that is input `index`; None: one scale for all of it."""
    if node.op_type == "Conv" and index == 1:
        return 0
    if node.op_type == "ConvTranspose" and index == 1:
        return 1
    if node.op_type == "Gemm":
        transposed = bool(node.attributes.get_int("transB" if index else "transA", 0))
        return int(not transposed) if index else int(transposed)
    if node.op_type == "MatMul" and rank >= 2:
        return rank - 1 if index else rank - 2
    return None


def _dequantized_weight(
    graph: ir.Graph, node: ir.Node, weight: ir.Value, array: np.ndarray, axis: int | None
) -> ir.Value:
    quantized = quantize_weights(array, axis)
    name = weight.name or "weight"
    inputs = [
        initializer(graph, f"{name}_int8", quantized.codes),
        initializer(graph, f"{name}_scale", quantized.scale),
    ]
    real = ir.Value(
        name=fresh_name(graph, f"{name}_dequantized"), shape=weight.shape,
        type=ir.TensorType(ir.DataType.FLOAT),
    )
    graph.insert_before(node, ir.node(
        "DequantizeLinear", inputs, {} if axis is None else {"axis": axis}, outputs=[real],
        name=real.name,
    ))
    return real


def drop_unused(graph: ir.Graph, value: ir.Value) -> None:
    """Removes an initializer that nothing reads."""
    if value.is_initializer() and not value.uses() and not value.is_graph_output():
        assert value.name is not None
        graph.initializers.pop(value.name, None)
