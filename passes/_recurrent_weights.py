"""Weights of LSTM, GRU and RNN with one scale per gate row, under a DequantizeLinear."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Array, constant, fresh_name, graph_of, initializer
from ternc.passes._linear import RECURRENT, weight_slots
from ternc.quantize import quantize_weights


def quantize_gate_rows(node: ir.Node, only: AbstractSet[str] | None = None) -> bool:
    """Makes the float W and R of a recurrent node int8; False when there are none.

    A row of one magnitude gets the codes -1, 0 and 1, which lose nothing. `only`, if given, names
    the nodes to look at, or n.W and n.R.
    """
    if node.op_type not in RECURRENT:
        return False
    modified = False
    for slot in weight_slots(node):
        array = constant(slot.weight)
        if array is None or array.dtype != np.float32 or array.ndim != 3 or not slot.is_in(
                only, frozenset()):
            continue
        codes, scale = _quantized_rows(array.reshape(-1, array.shape[-1]))
        real = gate_row_weights(
            slot.weight.name or "weight", node, codes.reshape(array.shape), scale)
        old = slot.weight
        node.replace_input_with(slot.index, real)
        if old.is_initializer() and not old.uses() and not old.is_graph_output():
            assert old.name is not None
            graph_of(node).initializers.pop(old.name, None)
        modified = True
    return modified


def _quantized_rows(rows: Array) -> tuple[Array, Array]:
    """int8 codes of `rows`, and a scale for each."""
    quantized = quantize_weights(rows, 0)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    ternary = ((rows == 0) | (np.abs(rows) == largest)).all(axis=1) & (largest[:, 0] > 0)
    codes = np.where(ternary[:, None], np.sign(rows), quantized.codes).astype(np.int8)
    return codes, np.where(ternary, largest[:, 0], quantized.scale).astype(np.float32)


def gate_row_weights(name: str, node: ir.Node, codes: Array, scale: Array) -> ir.Value:
    """`codes` [directions, rows, columns] times `scale`, one number for each direction and row.

    Of one direction the scale lies along axis 1; of two, which no single axis covers, the blocks
    of a blocked DequantizeLinear are whole rows.
    """
    graph = graph_of(node)
    attributes = {"axis": 1}
    if codes.shape[0] > 1:
        scale = scale.reshape(*codes.shape[:2], 1)
        attributes = {"axis": 2, "block_size": codes.shape[2]}
    inputs = [
        initializer(graph, f"{name}_{codes.dtype.name}", codes),
        initializer(graph, f"{name}_scale", scale),
    ]
    real = ir.Value(
        name=fresh_name(graph, f"{name}_dequantized"), shape=ir.Shape(codes.shape),
        type=ir.TensorType(ir.DataType.FLOAT),
    )
    graph.insert_before(node, ir.node(
        "DequantizeLinear", inputs, attributes, outputs=[real], name=real.name,
        metadata_props=dict(node.metadata_props),
    ))
    return real
