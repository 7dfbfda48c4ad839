"""Fake quantization that was written out in float operators."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules import common as rules

from ternc.passes._fake_quant import Grid, constant_codes, quantize_dequantize
from ternc.passes._graph import (
    Array,
    Builder,
    constant,
    input_at,
    only_consumer,
    remove_dead,
    replace_value,
    scalar,
)
from ternc.passes._layout_chain import transpose_behind_rounding

# TensorFlow's clip_by_value
_CLIPS = RewriteRuleSet([rules.min_max_rule, rules.max_min_rule])


class ImportFakeQuant(ir.passes.InPlacePass):
    """Mul(Sub(Clip(Round(Add(Div(x, s), z)), low, high), z), s) → DQ(Clip(Q(x, s, z)), s, z).

    Applies when s, z, low and high are constants, low and high integers at most 16 bits apart,
    s positive; Add/Sub may be missing (z = 0), Div and Mul may be missing together (s = 1), Clip
    may stand before Round or be Min and Max, Div may be Mul by 1/s; a Transpose among them goes
    behind the chain. A constant x becomes an
    integer initializer, where s may vary along one axis.

    Must not touch: a chain whose inside is read elsewhere or is a graph output, Round without
    Clip, a scale that is computed at run time (the dynamic quantization of BitLinear), an
    activation with one scale per channel. Exact ties of x/s round to the neighbour when z is
    odd, as in `ImportQonnx`.
    """

    name: ClassVar[str] = "import_fake_quant"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Looks at every Round and grows the chain from there in both directions."""
        modified = _CLIPS.apply_to_model(model) > 0
        modified |= transpose_behind_rounding(model.graph)
        for node in list(model.graph):
            if node.domain == "" and node.op_type == "Round" and node.graph is model.graph:
                chain = _Chain.around(node)
                modified |= chain is not None and chain.rewrite()
        return ir.passes.PassResult(model, modified)


class _Chain:
    """A matched chain: its input, its last node, scale, zero point and bounds."""

    def __init__(self, x: ir.Value, last: ir.Node, scale: Array, grid: tuple[int, int, int]):
        self.x, self.last, self.scale = x, last, scale
        self.zero, self.low, self.high = grid

    @classmethod
    def around(cls, rounding: ir.Node) -> _Chain | None:
        """The chain that `rounding` is in the middle of, None when it is no fake quantization."""
        source, last, bounds = rounding.inputs[0], rounding, None
        assert source is not None
        before = _inner_producer(source, "Clip")
        if before is not None:
            bounds, source = _bounds(before), before.inputs[0]
        zero = 0.0
        after = only_consumer(last.outputs[0])
        step = _inner_producer(source, "Add")
        if step is not None and (offset := _operand(step)) is not None:
            zero, source = offset[1], offset[0]
        elif after is not None and after.op_type == "Add" and bounds is None:
            offset = _operand(after)
            if offset is None:
                return None
            zero, last, after = offset[1], after, only_consumer(after.outputs[0])
        if bounds is None:
            if after is None or after.op_type != "Clip":
                return None
            bounds, last, after = _bounds(after), after, only_consumer(after.outputs[0])
        if bounds is None or source is None:
            return None
        if zero:
            if after is None or after.op_type != "Sub" or after.inputs[0] is not last.outputs[0] \
                    or scalar(after.inputs[1]) != zero:
                return None
            last, after = after, only_consumer(after.outputs[0])
        numbers = (zero, *bounds)
        if not all(number.is_integer() for number in numbers) or bounds[1] - bounds[0] > 65535:
            return None
        grid = (int(zero), int(bounds[0]), int(bounds[1]))
        return cls._scaled(source, last, after, grid)

    @classmethod
    def _scaled(
        cls, source: ir.Value, last: ir.Node, after: ir.Node | None, grid: tuple[int, int, int]
    ) -> _Chain | None:
        division = _inner_producer(source, "Div") or _inner_producer(source, "Mul")
        if _computed_scale(division, None) or _computed_scale(after, last.outputs[0]):
            return None
        scale, x = (None, None) if division is None else _scale_of(division)
        closing = None if after is None else _factor(after, last.outputs[0])
        if scale is None or x is None or closing is None or not _close(scale, closing):
            return cls(source, last, np.ones((), np.float32), grid)
        assert after is not None
        return cls(x, after, closing, grid)

    def rewrite(self) -> bool:
        """Puts the standard form in place of the chain; False when there is none."""
        build, value = Builder(self.last), constant(self.x)
        if not np.all(self.scale > 0) or not np.all(np.isfinite(self.scale)):
            return False
        if value is not None:
            codes = np.clip(np.round(value / self.scale) + self.zero, self.low, self.high)
            if codes.shape != value.shape:
                return False
            new = constant_codes(build, codes, self.scale, np.array(self.zero, np.float32),
                                 self.low, self.high)
        elif self.scale.size == 1:
            grid = Grid(float(self.scale.reshape(())), self.zero, self.low, self.high)
            new = quantize_dequantize(build, self.x, grid)
        else:
            new = None
        if new is None:
            return False
        replace_value(self.last.outputs[0], new)
        remove_dead(build.graph, self.last)
        return True


def _inner_producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node of type `op_type` that makes `value` for one reader only."""
    node = value.producer() if value is not None else None
    if node is None or value is None or node.op_type != op_type or only_consumer(value) is None:
        return None
    return node


def _operand(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The computed and the constant operand of a commutative node."""
    for index in (0, 1):
        number, other = scalar(node.inputs[index]), node.inputs[1 - index]
        if number is not None and other is not None and constant(other) is None:
            return other, number
    first = node.inputs[0]
    number = scalar(node.inputs[1])
    return (first, number) if first is not None and number is not None else None


def _bounds(clip: ir.Node) -> tuple[float, float] | None:
    low, high = scalar(input_at(clip, 1)), scalar(input_at(clip, 2))
    return (low, high) if low is not None and high is not None else None


def _scale_of(node: ir.Node) -> tuple[Array | None, ir.Value | None]:
    """(s, x) of Div(x, s) or of Mul(x, 1/s)."""
    if node.op_type == "Div":
        return constant(node.inputs[1]), node.inputs[0]
    for index in (1, 0):
        inverse = constant(node.inputs[index])
        if inverse is not None and np.all(inverse):
            return (1 / inverse.astype(np.float64)).astype(np.float32), node.inputs[1 - index]
    return None, None


def _computed_scale(node: ir.Node | None, value: ir.Value | None) -> bool:
    """Whether `node` scales, `value` if given, by something that is not a constant yet."""
    if node is None or node.op_type not in ("Mul", "Div"):
        return False
    others = [operand for operand in node.inputs if operand is not value]
    if node.op_type == "Div" and value is None:
        others = others[1:]
    if value is None and node.op_type == "Mul":
        return all(constant(operand) is None for operand in others)
    return any(constant(operand) is None for operand in others)


def _factor(node: ir.Node, value: ir.Value) -> Array | None:
    """What `node` multiplies `value` with, None when it does something else."""
    index = 0 if node.inputs and node.inputs[0] is value else 1
    if node.op_type == "Mul":
        return constant(node.inputs[1 - index])
    divisor = constant(input_at(node, 1)) if node.op_type == "Div" and index == 0 else None
    if divisor is None or not np.all(divisor):
        return None
    return (1 / divisor.astype(np.float64)).astype(np.float32)


def _close(one: Array, other: Array) -> bool:
    """Equal up to the rounding of a reciprocal."""
    return one.size == other.size and bool(
        np.all(np.abs(one.reshape(-1) - other.reshape(-1)) <= 2 * np.spacing(other.reshape(-1))))
