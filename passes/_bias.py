"""Adding a constant for each output channel to what a linear layer gives."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import (
    Array,
    constant,
    fresh_name,
    graph_of,
    initializer,
    input_at,
    only_consumer,
)


def add_to_bias(node: ir.Node, amount: Array) -> None:
    """Adds amount[channel] in the bias of Conv, ConvTranspose or Gemm, or behind a MatMul.

    Channels are axis 1 of a convolution's output, the last axis otherwise.
    """
    if not np.any(amount):
        return
    if node.op_type == "MatMul":
        _behind(node, amount.astype(np.float32))
        return
    bias = input_at(node, 2)
    old = constant(bias)
    if bias is not None and old is None:
        return  # computed at run time
    beta = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
    if bias is None or beta == 0.0:
        old, beta = np.zeros(amount.shape, np.float32), 1.0
        if node.op_type == "Gemm":
            node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    assert old is not None
    name = bias.name if bias is not None else f"{node.name or node.op_type}_bias"
    new = initializer(graph_of(node), f"{name}_corrected",
                      (old + (amount / beta)).astype(np.float32))
    _set_input(node, 2, new)
    _drop(bias)


def _behind(node: ir.Node, amount: Array) -> None:
    graph, product = graph_of(node), node.outputs[0]
    following = only_consumer(product)
    if following is not None and following.op_type == "Add":
        place = 1 if following.inputs[0] is product else 0
        other = following.inputs[place]
        old = constant(other)
        if old is not None and old.shape in ((), (1,), amount.shape):
            new = initializer(graph, f"{other.name}_corrected",  # type: ignore[union-attr]
                              (old + amount).astype(np.float32))
            following.replace_input_with(place, new)
            _drop(other)
            return
    bias = initializer(graph, f"{node.name or product.name}_bias", amount)
    name = product.name
    product.name = fresh_name(graph, f"{name}_product")
    total = ir.Value(name=name, shape=product.shape, type=product.type)
    ir.convenience.replace_all_uses_with(product, total, replace_graph_outputs=True)
    graph.insert_after(node, ir.node("Add", [product, bias], outputs=[total],
                                     name=f"{node.name or name}_bias"))


def _set_input(node: ir.Node, index: int, value: ir.Value) -> None:
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)


def _drop(value: ir.Value | None) -> None:
    if value is not None and value.is_initializer() and not value.uses() \
            and not value.is_graph_output() and value.graph is not None:
        value.graph.initializers.pop(value.name or "", None)
