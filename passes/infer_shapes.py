"""Shapes of all tensors, and a report of those that stay dynamic."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import static_shape


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
        for value in noted:
            value.shape = None  # one wrong shape in the file would make the inference give up
        common.ShapeInferencePass(strict_mode=False, data_prop=True)(model)
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


def _dynamic(value: ir.Value) -> bool:
    return static_shape(value) is None and not value.is_initializer()
