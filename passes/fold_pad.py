"""Padding that a convolution or a pooling can do itself."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import constant, input_at, only_consumer, remove_dead, scalar

_NEVER_NEGATIVE = ("Relu", "Sigmoid", "Softmax", "Abs", "Exp", "Sqrt")


class FoldPad(ir.passes.InPlacePass):
    """window(Pad(x, p, 0), pads=q) → window(x, pads=q+p).

    Applies to a constant Pad of the spatial axes only, none negative, in front of Conv (value
    0), AveragePool without ceil_mode that does not pad yet or counts its padding (value 0; it
    counts it afterwards), and MaxPool (value -inf, or 0 behind an operator that is never
    negative), with `auto_pad` NOTSET.

    Must not apply when the padded tensor is read elsewhere or is an output, or when a pooling
    window would lie in the padding entirely.
    """

    name: ClassVar[str] = "fold_pad"

    def __init__(self, folded: dict[str, str] | None = None) -> None:
        self.folded = folded if folded is not None else {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Folds every Pad that its only reader can absorb."""
        modified = False
        for node in list(model.graph):
            if node.domain == "" and node.op_type == "Pad" and self._fold(model.graph, node):
                modified = True
        return ir.passes.PassResult(model, modified)

    def _fold(self, graph: ir.Graph, pad: ir.Node) -> bool:
        reader, amounts = only_consumer(pad.outputs[0]), _amounts(pad)
        if reader is None or reader.domain or amounts is None \
                or reader.inputs[0] is not pad.outputs[0]:
            return False
        begin, end = amounts
        if any((*begin[:2], *end[:2])) or min((*begin, *end)) < 0 \
                or reader.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
            return False
        spatial = len(begin) - 2
        old = reader.attributes.get_ints("pads", [0] * (2 * spatial))
        if not _absorbs(reader, pad, [*begin[2:], *end[2:]], list(old)):
            return False
        reader.attributes["pads"] = ir.AttrInt64s(
            "pads", [a + b for a, b in zip(old, (*begin[2:], *end[2:]), strict=True)])
        if reader.op_type == "AveragePool":
            reader.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
        self.folded[pad.outputs[0].name or ""] = reader.name or ""
        reader.replace_input_with(0, pad.inputs[0])
        remove_dead(graph, pad)
        return True


def _amounts(pad: ir.Node) -> tuple[list[int], list[int]] | None:
    pads, axes = constant(input_at(pad, 1)), constant(input_at(pad, 3))
    x = pad.inputs[0]
    if pads is None or x is None or x.shape is None or len(x.shape) < 3 \
            or (input_at(pad, 3) is not None and axes is None) \
            or pad.attributes.get_string("mode", "constant") != "constant":
        return None
    rank = len(x.shape)
    where = [int(axis) % rank for axis in axes] if axes is not None else list(range(rank))
    begin, end = [0] * rank, [0] * rank
    for position, axis in enumerate(where):
        begin[axis], end[axis] = int(pads[position]), int(pads[position + len(where)])
    return begin, end


def _absorbs(reader: ir.Node, pad: ir.Node, extra: list[int], old: list[int]) -> bool:
    fill = input_at(pad, 2)
    value = 0.0 if fill is None else scalar(fill)
    if reader.op_type == "Conv":
        return value == 0.0
    kernel = reader.attributes.get_ints("kernel_shape", [])
    fits = len(kernel) * 2 == len(extra) and all(
        a + b < k for a, b, k in zip(old, extra, (*kernel, *kernel), strict=True))
    if not fits or reader.attributes.get_int("ceil_mode", 0) > 0:
        return False
    if reader.op_type == "AveragePool":
        counted = reader.attributes.get_int("count_include_pad", 0)
        return value == 0.0 and bool(counted or not any(old))
    if reader.op_type != "MaxPool" or len(reader.outputs) > 1:
        return False
    source = pad.inputs[0].producer() if pad.inputs[0] is not None else None
    positive = source is not None and source.op_type in _NEVER_NEGATIVE
    lowest = value is not None and value <= float(np.finfo(np.float32).min)
    return lowest or (value == 0.0 and positive)
