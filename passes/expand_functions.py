"""Operators that ONNX defines by others, written out."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from ternc.passes._graph import opset, static_shape

EXPANDED: Final = frozenset((
    "Attention", "CastLike", "CausalConvWithState", "MeanVarianceNormalization",
    "RMSNormalization", "RotaryEmbedding", "SwiGLU"))
"""Those without a kernel of their own. Where bodies compute with shapes, that is folded later."""

# from opset 13 on, newer definitions of these took more types, and attributes with old defaults
_WIDENED: Final = frozenset((
    "Cast", "CastLike", "Constant", "ConstantOfShape", "Identity", "Reshape", "Shape", "Size",
    "Squeeze", "Transpose", "Unsqueeze"))
_DOMAIN: Final = "ternc.expanded"


class ExpandFunctions(ir.passes.InPlacePass):
    """op(x) → the function body that the ONNX specification gives for op.

    Applies to operators in `EXPANDED`, for each of which onnx has a body that fits the model's
    opset and the types of the node's inputs.

    Does not apply to operators with kernels of their own, which also have bodies (Gelu), nor
    where the body is of an older opset whose operators have changed since.
    """

    name: ClassVar[str] = "expand_functions"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replaces nodes by calls and has these inlined, until no body holds another such."""
        modified, tried = False, set[ir.Node]()
        while nodes := [node for node in model.graph.all_nodes() if _wanted(node, tried)]:
            tried.update(nodes)
            common.ShapeInferencePass(strict_mode=False, data_prop=True)(model)
            called = [node for node in nodes if _call(model, node)]
            if called:
                modified = True
                common.InlinePass()(model)
                common.LiftConstantsToInitializersPass(
                    lift_all_constants=True, size_limit=0)(model)
        return ir.passes.PassResult(model, modified)


def _wanted(node: ir.Node, tried: set[ir.Node]) -> bool:
    return node.domain == "" and node.op_type in EXPANDED and node not in tried


def _call(model: ir.Model, node: ir.Node) -> bool:
    """Makes `node` the call of a function of the model, if there is a body for it."""
    body = _body(node, opset(model))
    if body is None:
        return False
    body.domain, body.name = _DOMAIN, f"{node.op_type}{len(model.functions)}"
    del body.output[len(node.outputs):]
    made = {name for inner in body.node for name in inner.output}
    for name in body.output:
        if name not in made:  # the node leaves it out, and asks for one behind it
            body.node.append(onnx.helper.make_node("Identity", [body.input[0]], [name]))
    for inner in body.node:
        inner.name = f"{node.name}.{inner.output[0]}"
    function = ir.from_proto(body)
    assert isinstance(function, ir.Function)
    model.functions[function.identifier()] = function
    model.graph.opset_imports[_DOMAIN] = 1
    node.domain, node.op_type = _DOMAIN, body.name
    return True


def _body(node: ir.Node, version: int) -> onnx.FunctionProto | None:
    schema: Any = onnx.defs.get_schema(node.op_type, version, "")
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            node.attributes.add(ir.from_proto(attribute.default_value))
    fixed, by_types = (
        max((known for known in versions if known <= version), default=None)
        for versions in (schema.function_opset_versions,
                         schema.context_dependent_function_opset_versions))
    if by_types is not None:
        found = schema.get_context_dependent_function_with_opset_version(
            by_types, ir.to_proto(node).SerializeToString(),
            [_type(value).SerializeToString() for value in node.inputs])
    elif fixed is not None:
        found = schema.get_function_with_opset_version(fixed)
    else:
        return None
    body = onnx.FunctionProto()
    body.ParseFromString(found)
    if not body.node:  # the types do not say enough
        return None
    for import_ in body.opset_import:
        if import_.domain == "":
            if not all(_unchanged(inner.op_type, import_.version, version) for inner in body.node):
                return None
            import_.version = version
    return body


def _type(value: ir.Value | None) -> onnx.TypeProto:
    if value is None or value.dtype is None:
        return onnx.TypeProto()
    return onnx.helper.make_tensor_type_proto(value.dtype.value, static_shape(value))


def _unchanged(op_type: str, old: int, new: int) -> bool:
    if op_type in _WIDENED and old >= 13:
        return True
    first, second = (onnx.defs.get_schema(op_type, version, "") for version in (old, new))
    return bool(first.since_version == second.since_version)
