"""What real files get wrong and onnxruntime forgives, mended before the checker sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes._convert import CannotConvertError, convert_opset, introduced
from ternc.passes._graph import Builder, input_at, replace_value

_MICROSOFT = "com.microsoft"


class Repair(ir.passes.FunctionalPass):
    """Contrib operators → standard ones; opset := max(opset, what the operators need).

    Formula: com.microsoft::Op(x) → the same function in the default domain; a domain that nodes
    use without an import is imported; unnamed nodes take the name of their first output.

    Applies to: Gelu, BiasGelu, FastGelu, QuickGelu, FusedMatMul without transBatch, Quantize-
    and DequantizeLinear of com.microsoft; operators newer than the opset the file declares
    (LayerNormalization under opset 17). Each repair is a warning TC0005 that names the node.

    Does not apply to: contrib operators with no standard form, which lowering reports.
    """

    name: ClassVar[str] = "repair"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Repairs a copy of `model`."""
        model = model.clone()
        changed = self._name_nodes(model)
        changed |= self._import_domains(model)
        changed |= self._replace_contrib(model)
        raised = self._raise_opset(model)
        return ir.passes.PassResult(raised or model, changed or raised is not None)

    def _warn(self, node: ir.Node, message: str) -> None:
        self.diagnostics.warning("TC0005", message, node=node.name or "", op_type=node.op_type)

    @staticmethod
    def _name_nodes(model: ir.Model) -> bool:
        unnamed = [node for node in model.graph.all_nodes() if not node.name]
        for node in unnamed:
            outputs = [value.name for value in node.outputs if value.name]
            node.name = outputs[0] if outputs else node.op_type
        return bool(unnamed)

    def _import_domains(self, model: ir.Model) -> bool:
        changed, imports = False, model.graph.opset_imports
        for node in model.graph.all_nodes():
            if node.domain not in imports:
                imports[node.domain] = 1 if node.domain else 13
                self._warn(node, f"no opset import for domain {node.domain or 'ai.onnx'!r}: "
                                 f"version {imports[node.domain]} was assumed")
                changed = True
        if "" not in imports:
            imports[""], changed = 13, True
        return changed

    def _replace_contrib(self, model: ir.Model) -> bool:
        changed = False
        for node in list(model.graph.all_nodes()):
            rewrite = _CONTRIB.get(node.op_type) if node.domain == _MICROSOFT else None
            new = rewrite(node) if rewrite is not None else None
            if new is not None:
                self._warn(node, f"{_MICROSOFT}::{node.op_type} was replaced by its standard form")
                replace_value(node.outputs[0], new)
                graph = node.graph
                assert graph is not None
                graph.remove(node, safe=True)
                changed = True
        return changed

    def _raise_opset(self, model: ir.Model) -> ir.Model | None:
        current, needed = model.graph.opset_imports[""], 0
        for node in model.graph.all_nodes():
            version = introduced(node.op_type) if node.domain == "" else None
            if version is not None and version > current:
                self._warn(node, f"{node.op_type} needs opset {version} but the model declares "
                                 f"{current}: the model was raised")
                needed = max(needed, version)
        if not needed:
            return None
        if model.functions:
            common.InlinePass()(model)  # the converter loses functions
        try:
            return convert_opset(model, needed)
        except CannotConvertError as error:
            self.diagnostics.error("TC0003", f"the opset cannot be raised to {needed}: {error}",
                                   help="export the model again with opset 17 or newer")
            return None


def _gelu(node: ir.Node) -> ir.Value:
    return Builder(node).node("Gelu", [node.inputs[0]])


def _biased_gelu(node: ir.Node) -> ir.Value:
    build, x, bias = Builder(node), node.inputs[0], input_at(node, 1)
    shifted = build.node("Add", [x, bias]) if bias is not None else x
    fast = {"approximate": "tanh"} if node.op_type == "FastGelu" else {}
    return build.node("Gelu", [shifted], fast)


def _quick_gelu(node: ir.Node) -> ir.Value:
    build, x = Builder(node), node.inputs[0]
    alpha = build.constant("alpha", np.float32(node.attributes.get_float("alpha", 1.702)))
    return build.node("Mul", [x, build.node("Sigmoid", [build.node("Mul", [x, alpha])])])


def _fused_matmul(node: ir.Node) -> ir.Value | None:
    attributes = node.attributes
    if attributes.get_int("transBatchA", 0) or attributes.get_int("transBatchB", 0):
        return None
    build, operands = Builder(node), []
    for value, flag in zip(node.inputs, ("transA", "transB"), strict=True):
        if attributes.get_int(flag, 0):
            if value is None or value.shape is None or len(value.shape) < 2:
                return None
            rank = len(value.shape)
            dims = [*range(rank - 2), rank - 1, rank - 2]
            value = build.node("Transpose", [value], {"perm": dims},
                               shape=[value.shape[d] for d in dims])
        operands.append(value)
    product = build.node("MatMul", operands, shape=node.outputs[0].shape)
    alpha = attributes.get_float("alpha", 1.0)
    if alpha == 1.0:
        return product
    return build.node("Mul", [product, build.constant("alpha", np.float32(alpha))])


def _same(node: ir.Node) -> ir.Value:
    axis = {"axis": node.attributes.get_int("axis", 1)}
    return Builder(node).node(node.op_type, node.inputs, axis, dtype=node.outputs[0].dtype)


_CONTRIB: dict[str, Callable[[ir.Node], ir.Value | None]] = {
    "Gelu": _gelu, "BiasGelu": _biased_gelu, "FastGelu": _biased_gelu,
    "QuickGelu": _quick_gelu, "FusedMatMul": _fused_matmul,
    "QuantizeLinear": _same, "DequantizeLinear": _same,
}
