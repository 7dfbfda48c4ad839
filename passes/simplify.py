"""What exporters leave and nobody needs."""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules import common as rules

from ternc.passes._graph import constant, input_at, scalar, static_shape

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand")

_RULES = RewriteRuleSet([
    rules.no_op_cast_rule, rules.no_op_expand_rule, rules.no_op_transpose_rule,
    rules.add_0_rule, rules.sub_0_rule, rules.mul_by_1_rule, rules.div_by_1_rule,
    rules.transpose_transpose_rule, rules.reshape_reshape_rule, rules.unsqueeze_unsqueeze_rule,
    rules.successive_relu_rule, rules.successive_relu_clip_rule, rules.successive_clip_relu_rule,
    rules.successive_clip_rule, rules.collapse_slice_rule, rules.collapse_slice2_rule,
    rules.min_min_rule, rules.max_max_rule, rules.min_max_rule, rules.max_min_rule,
])


class Simplify(ir.passes.InPlacePass):
    """f(x) → x where f is the identity; f(g(x)) → h(x) where one layout or clip op does both.

    Applies to Dropout, Identity, Cast to the same type, Expand, Reshape, Flatten, Squeeze and
    Unsqueeze to the same shape, Transpose that moves nothing, x+0, x-0, x*1, x/1, Where that
    always takes x, pairs of Transpose, Reshape, Unsqueeze, Relu and Clip, mostly with
    onnxscript's rules; then removes nodes, initializers and opset imports that nothing uses.

    Must not remove inputs or outputs of the model: an input that nothing reads any more stays.
    """

    name: ClassVar[str] = "simplify"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Runs the rules and onnx_ir's clean-up passes."""
        modified = _RULES.apply_to_model(model) > 0
        modified |= _remove_no_ops(model.graph)
        clean_up = (
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.RemoveUnusedNodesPass(), common.RemoveUnusedOpsetsPass(),
        )
        for clean in clean_up:
            modified |= bool(clean(model).modified)
        return ir.passes.PassResult(model, modified)


def _remove_no_ops(graph: ir.Graph) -> bool:
    modified = False
    for node in list(graph):
        x, y = _passed_through(node), node.outputs[0]
        if x is None:
            continue
        if y.is_graph_output() and (
                x.is_graph_input() or x.is_initializer() or x.is_graph_output()
                or (len(list(x.uses())) > 1 and not _is_identity(node))):
            continue
        name = y.name if y.is_graph_output() else x.name
        ir.convenience.replace_all_uses_with(y, x, replace_graph_outputs=True)
        y.name, x.name = None, name
        graph.remove(node, safe=True)
        modified = True
    return modified


def _passed_through(node: ir.Node) -> ir.Value | None:
    """The input that the node's output equals, if there is one."""
    if not node.inputs:
        return None
    if _is_identity(node) or _keeps_shape(node) or _idle_dropout(node):
        return node.inputs[0]
    if node.op_type != "Where" or node.domain:
        return None
    condition = constant(node.inputs[0])
    if condition is None or not condition.size or condition.min() != condition.max():
        return None
    chosen = node.inputs[1 if condition.flat[0] else 2]
    shape = static_shape(chosen)
    return chosen if shape is not None and shape == static_shape(node.outputs[0]) else None


def _is_identity(node: ir.Node) -> bool:
    # onnx_ir's IdentityEliminationPass would merge two outputs of the model into one.
    return node.domain == "" and node.op_type == "Identity"


def _keeps_shape(node: ir.Node) -> bool:
    shape = static_shape(node.inputs[0])
    return (node.domain == "" and node.op_type in _RESHAPES and shape is not None
            and shape == static_shape(node.outputs[0]))


def _idle_dropout(node: ir.Node) -> bool:
    """A Dropout that passes its input through, and whose mask nobody reads."""
    if node.domain or node.op_type != "Dropout":
        return False
    training = input_at(node, 2)
    mask = node.outputs[1] if len(node.outputs) > 1 else None
    return (training is None or scalar(training) == 0.0) and (
        mask is None or not (mask.uses() or mask.is_graph_output()))
