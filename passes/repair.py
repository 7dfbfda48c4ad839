"""What real files get wrong and onnxruntime forgives, mended before the checker sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from ternc.diagnostics import Diagnostics
from ternc.passes._convert import CannotConvertError, convert_opset, introduced
from ternc.passes._graph import (
    Builder,
    graph_of,
    input_at,
    only_consumer,
    remove_dead,
    replace_value,
    scalar,
)

_MICROSOFT = "com.microsoft"
_HALF_ROOT = float(np.float32(0.5**0.5))


class Repair(ir.passes.FunctionalPass):
    """Contrib operators, Erfc → standard ones; opset := max(opset, what the operators need).

    Formula: com.microsoft::Op(x) → the same function in the default domain; a domain that nodes
    use without an import is imported; unnamed nodes take the name of their first output.

    Applies to: Gelu, BiasGelu, FastGelu, QuickGelu, FusedMatMul without transBatch, Quantize-
    and DequantizeLinear of com.microsoft; Erfc, which tf2onnx leaves as TensorFlow has it, in
    x/2 · erfc(-x/√2) = Gelu(x) or alone, 1 - Erf(x); its Expm1, Exp(x) - 1; operators newer than
    the opset the file declares (LayerNormalization under opset 17). Each repair is a warning
    TC0005 that names the node.

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
        changed |= self._replace_erfc(model)
        changed |= self._replace_expm1(model)
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
                _replace(node, new)
                changed = True
        return changed

    def _replace_erfc(self, model: ir.Model) -> bool:
        found = [node for node in model.graph.all_nodes()
                 if node.op_type == "Erfc" and node.domain == ""]
        for node in found:
            self._warn(node, "TensorFlow's Erfc, which ONNX does not have, was replaced")
            gelu = _gelu_around(node)
            if gelu is not None:
                last, x = gelu
                graph = graph_of(last)
                factors = [value.producer() for value in last.inputs if value is not None]
                _replace(last, Builder(last).node("Gelu", [x]))
                for factor in factors:
                    remove_dead(graph, factor)
            else:
                build, one = Builder(node), np.float32(1)
                erf = build.node("Erf", [node.inputs[0]])
                _replace(node, build.node(
                    "Sub", [build.constant("one", one), erf], shape=erf.shape))
        return bool(found)

    def _replace_expm1(self, model: ir.Model) -> bool:
        found = [node for node in model.graph.all_nodes()
                 if node.op_type == "Expm1" and node.domain == ""]
        for node in found:
            self._warn(node, "TensorFlow's Expm1, which ONNX does not have, was replaced")
            build = Builder(node)
            power = build.node("Exp", [node.inputs[0]])
            _replace(node, build.node("Sub", [power, build.constant("one", np.float32(1))]))
        return bool(found)

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


def _replace(node: ir.Node, new: ir.Value) -> None:
    replace_value(node.outputs[0], new)
    graph_of(node).remove(node, safe=True)


def _gelu_around(erfc: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """The last node and the x of (0.5 x) erfc(-x / √2), as TensorFlow computes Gelu."""
    last = only_consumer(erfc.outputs[0])
    negated, root = _scaled(erfc.inputs[0])
    if last is None or last.op_type != "Mul" or negated is None or root != _HALF_ROOT:
        return None
    negation = negated.producer()
    half = next((value for value in last.inputs if value is not erfc.outputs[0]), None)
    x, factor = _scaled(half)
    if factor != 0.5 or negation is None or negation.op_type != "Neg" or (
            negation.inputs[0] is not x or x is None):
        return None
    return last, x


def _scaled(value: ir.Value | None) -> tuple[ir.Value | None, float | None]:
    """The other operand and the constant of a product with a number."""
    node = value.producer() if value is not None else None
    if node is not None and node.op_type == "Mul":
        for index, operand in enumerate(node.inputs):
            number = scalar(operand)
            if number is not None:
                return node.inputs[1 - index], number
    return None, None


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
