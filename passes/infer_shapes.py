"""Shapes of all tensors, and a report of those that stay dynamic."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import input_at, static_shape


class InferShapes(ir.passes.InPlacePass):
    """shape(node output) := onnx shape inference with data propagation.

    Applies to every tensor; afterwards all are static. The first tensor that is not, along each
    path from the inputs, is TC0103; those computed from it are not reported again.
    """

    name: ClassVar[str] = "infer_shapes"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Runs onnx's inference and reports what it could not find."""
        noted = {value: value.shape for node in model.graph.all_nodes() if node.domain == ""
                 for value in node.outputs}
        changed = True
        while changed:
            for value in noted:
                value.shape = None  # one wrong shape in the file would make the inference give up
            common.ShapeInferencePass(strict_mode=False, data_prop=True)(model)
            changed = _drop_ceil_mode(model.graph)
        for node in model.graph:
            if any(_dynamic(value) for value in node.inputs if value is not None):
                continue
            bad = [value.name for value in node.outputs if value.name and _dynamic(value)]
            if bad and node.domain == "":
                self.diagnostics.error(
                    "TC0103", f"the shape of {', '.join(map(repr, bad))} depends on data or "
                              "cannot be inferred",
                    node=node.name or "", op_type=node.op_type,
                    help="export the model with fixed shapes, or name them with --shape")
        modified = any(value.shape != shape for value, shape in noted.items())
        return ir.passes.PassResult(model, modified)


def _drop_ceil_mode(graph: ir.Graph) -> bool:
    """Makes explicit how many windows a pool with ceil_mode has, where onnx counts one too many.

    onnxruntime leaves out a last window that would start in the padding behind; onnx's inference
    counts it. Returns whether a pool changed: the shapes behind it then follow from the smaller
    one. A mean that counts the padding keeps its form unless rounding down is all there is to do.
    """
    changed = False
    for node in graph:
        ceil, rank = node.attributes.get("ceil_mode"), _spatial_rank(node)
        if node.domain or ceil is None or not ceil.as_int() or rank is None:
            continue
        size, out = (static_shape(value) for value in (node.inputs[0], node.outputs[0]))
        kernel = _numbers(node, "kernel_shape", [1] * rank)
        strides = _numbers(node, "strides", [1] * rank)
        dilations = _numbers(node, "dilations", [1] * rank)
        pads = _numbers(node, "pads", [0] * (2 * rank))
        if size is None or out is None:
            continue
        surplus, needed = [], []
        for i in range(rank):
            reach = size[2 + i] + pads[i]
            surplus.append((out[2 + i] - 1) * strides[i] >= reach)
            last = (out[2 + i] - 1 - surplus[-1]) * strides[i]
            needed.append(max(pads[rank + i], last + dilations[i] * (kernel[i] - 1) + 1 - reach))
        counts = "count_include_pad" in node.attributes and needed != pads[rank:]
        if not any(surplus) or counts:
            continue
        node.attributes["ceil_mode"] = ir.AttrInt64("ceil_mode", 0)
        node.attributes["pads"] = ir.AttrInt64s("pads", [*pads[:rank], *needed])
        changed = True
    return changed


def _spatial_rank(node: ir.Node) -> int | None:
    shape = static_shape(input_at(node, 0))
    return None if shape is None else len(shape) - 2


def _numbers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    return default if attribute is None else [int(i) for i in attribute.as_ints()]


def _dynamic(value: ir.Value) -> bool:
    return static_shape(value) is None and not value.is_initializer()
