"""LSTM, GRU and RNN: what the node asks for, in the terms of the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Codes, Constant, FloatArray, IntArray, WideArray
from ternc.backends.esp32.lower.kernel_layouts import ternary_rows
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.nodes import (
    attr_int,
    attr_str,
    optional_input,
    required_input,
)

GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}
_BIASES: Final = {"LSTM": 4, "GRU": 4, "RNN": 1}
_ACTIVATIONS: Final = {
    "LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",),
}
_HELP: Final = "use the layer's default settings, or write it with Gemm, Sigmoid and Tanh"


@dataclass(frozen=True, eq=False, slots=True)
class Matrix:
    """W or R, [directions, rows, columns]: `real`, or codes with a scale per gate row."""

    real: FloatArray
    codes: IntArray | None = None
    scale: WideArray | None = None  # [directions, rows]

    @property
    def is_ternary(self) -> bool:
        """Whether every code is -1, 0 or +1."""
        return self.codes is not None and bool(ternary_rows(self.codes).all())


@dataclass(frozen=True, eq=False, slots=True)
class Recurrence:
    """A recurrent node: every input but x and the states is constant.

    `bias` is [directions, blocks, hidden]: one block per gate, and for GRU a fourth with what h
    adds to the candidate, which the reset gate multiplies when `linear_before_reset`.
    """

    node: ir.Node
    steps: int
    batch: int
    inputs: int
    hidden: int
    directions: int
    reverse: bool
    batch_first: bool
    linear_before_reset: bool
    relu: bool
    w: Matrix
    r: Matrix
    bias: WideArray

    @property
    def kernel(self) -> str:
        """The first part of the instruction's name."""
        return self.node.op_type.lower()

    @property
    def is_lstm(self) -> bool:
        return self.node.op_type == "LSTM"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        rows = GATES[self.node.op_type] * self.hidden * self.directions
        return self.steps * self.batch * rows * (self.inputs + self.hidden)

    @property
    def x_layout(self) -> Layout:
        """Of x: held as [steps, batch, inputs]."""
        sizes = (self.steps, self.batch, self.inputs)
        return _held(sizes, (1, 0, 2) if self.batch_first else (0, 1, 2))

    @property
    def y_layout(self) -> Layout:
        """Of Y: held as [steps, batch, directions, hidden]."""
        sizes = (self.steps, self.batch, self.directions, self.hidden)
        return _held(sizes, (1, 0, 2, 3) if self.batch_first else (0, 2, 1, 3))

    @property
    def state_layout(self) -> Layout:
        """Of the states: held as [batch, directions, hidden]."""
        sizes = (self.batch, self.directions, self.hidden)
        return _held(sizes, (0, 1, 2) if self.batch_first else (1, 0, 2))

    @property
    def state_sizes(self) -> Shape:
        """The physical dims of a state."""
        return (self.batch, self.directions, self.hidden)

    def initial(self, index: int) -> ir.Value | None:
        """The initial h (5) or c (6), if the node has one."""
        return optional_input(self.node, index)

    def output(self, index: int) -> ir.Value | None:
        """Output Y (0), Y_h (1) or Y_c (2), if anything reads it."""
        if index >= len(self.node.outputs):
            return None
        value = self.node.outputs[index]
        return value if value.uses() or value.is_graph_output() else None


def _held(sizes: Shape, axes: Shape) -> Layout:
    """The layout of a logical shape whose axis i is axis `axes[i]` of `sizes`, held as `sizes`."""
    shape = tuple(sizes[axis] for axis in axes)
    return Layout.permuted(shape, tuple(axes.index(axis) for axis in range(len(axes))))


def recurrence(ctx: Lowering, node: ir.Node) -> Recurrence:
    """The node's meaning; raises `Unsupported` for what no kernel computes."""
    direction = attr_str(node, "direction", "forward")
    directions = 2 if direction == "bidirectional" else 1
    relu = _check_attributes(node, directions)
    batch_first = bool(attr_int(node, "layout", 0))
    shape = ctx.shape(required_input(node, 0))
    steps, batch = (shape[1], shape[0]) if batch_first else (shape[0], shape[1])
    w, r = (_matrix(ctx, node, index) for index in (1, 2))
    hidden = int(r.real.shape[2])
    gates = GATES[node.op_type]
    expected = (directions, gates * hidden, shape[2]), (directions, gates * hidden, hidden)
    if (w.real.shape, r.real.shape) != expected:
        raise Unsupported(f"W of shape {list(w.real.shape)} and R of shape {list(r.real.shape)} "
                          f"where {list(expected[0])} and {list(expected[1])} are needed")
    _check_lengths(ctx, node, steps)
    return Recurrence(
        node, steps, batch, shape[2], hidden, directions, direction == "reverse", batch_first,
        bool(attr_int(node, "linear_before_reset", 0)), relu, w, r,
        _bias(ctx, node, directions, hidden),
    )


def _check_attributes(node: ir.Node, directions: int) -> bool:
    """Refuses what has no kernel; returns whether an RNN's activation is Relu."""
    if "clip" in node.attributes and node.attributes["clip"].as_float() > 0:
        raise Unsupported(f"{node.op_type} with a clipped cell input", help=_HELP)
    if attr_int(node, "input_forget", 0):
        raise Unsupported("LSTM with coupled input and forget gates", help=_HELP)
    if optional_input(node, 7) is not None:
        raise Unsupported("LSTM with peepholes",
                          help="train the layer without peephole connections")
    default = _ACTIVATIONS[node.op_type]
    attribute = node.attributes.get("activations")
    names = tuple(name.lower() for name in attribute.as_strings()) if attribute else ()
    if node.op_type == "RNN" and names == ("relu",) * directions:
        return True
    if names not in ((), default * directions):
        assert attribute is not None
        raise Unsupported(f"{node.op_type} with the activations {list(attribute.as_strings())}",
                          help=_HELP)
    return False


def _check_lengths(ctx: Lowering, node: ir.Node, steps: int) -> None:
    lengths = optional_input(node, 4)
    if lengths is None:
        return
    array = ctx.constant(lengths)
    if array is None or not bool((array == steps).all()):
        raise Unsupported(
            f"{node.op_type} with sequence lengths other than the full {steps} steps",
            help="fix the length of the sequence, and pad or cut the input to it",
        )


def _matrix(ctx: Lowering, node: ir.Node, index: int) -> Matrix:
    """W or R. Codes under a DequantizeLinear stay codes when every gate row has one scale."""
    value = required_input(node, index)
    real = ctx.constant(value)
    if real is None or real.dtype != np.float32 or real.ndim != 3:
        raise Unsupported(f"{node.op_type} whose {'WR'[index - 1]} is not a float32 constant",
                          help="export the model with its weights inside")
    floats = real.astype(np.float32)
    dequantize = value.producer()
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return Matrix(floats)
    codes = ctx.constant(required_input(dequantize, 0))
    scale = ctx.constant(required_input(dequantize, 1))
    assert codes is not None
    assert scale is not None
    spread = _spreader(codes.shape, dequantize)
    zero_value = optional_input(dequantize, 2)
    zero = None if zero_value is None else ctx.constant(zero_value)
    centred = codes.astype(np.int64)
    if zero is not None:
        centred = centred - spread(zero.astype(np.int64))
    scales = spread(scale.astype(np.float64))
    fits = centred.min() >= -128 and centred.max() <= 127
    if not fits or not bool((scales == scales[..., :1]).all()):
        return Matrix(floats)
    return Matrix(floats, centred, np.ascontiguousarray(scales[..., 0]))


def _spreader(shape: Shape, node: ir.Node) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """How a parameter of a DequantizeLinear lies over codes of `shape`."""
    axis, block = attr_int(node, "axis", 1) % len(shape), attr_int(node, "block_size", 0)

    def spread(parameter: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if parameter.size == 1:
            parameter = parameter.reshape((1,) * len(shape))
        elif parameter.ndim == 1:
            parameter = parameter.reshape([-1 if d == axis else 1 for d in range(len(shape))])
        else:
            size = block or -(-shape[axis] // parameter.shape[axis])
            parameter = np.take(np.repeat(parameter, size, axis), range(shape[axis]), axis)
        return np.broadcast_to(parameter, shape)

    return spread


def _bias(ctx: Lowering, node: ir.Node, directions: int, hidden: int) -> WideArray:
    gates, blocks = GATES[node.op_type], _BIASES[node.op_type]
    value = optional_input(node, 3)
    if value is None:
        return np.zeros((directions, blocks, hidden))
    array = ctx.constant(value)
    if array is None:
        raise Unsupported(f"{node.op_type} with a bias computed at run time")
    both = array.astype(np.float64).reshape(directions, 2, gates, hidden)
    if node.op_type != "GRU":
        return np.asarray(both.sum(axis=1))
    from_x, from_h = both[:, 0], both[:, 1]
    gated = from_x[:, :2] + from_h[:, :2]
    return np.concatenate([gated, from_x[:, 2:], from_h[:, 2:]], axis=1)


def constant_state(ctx: Lowering, layer: Recurrence, value: ir.Value | None) -> FloatArray | None:
    """An initial state that is known (zeros when absent), held as the kernel has it."""
    if value is None:
        return np.zeros(layer.state_sizes, np.float32)
    if not isinstance(ctx.form(value), (Constant, Codes)):
        return None
    array = ctx.constant(value)
    assert array is not None
    return array.astype(np.float32).transpose((0, 1, 2) if layer.batch_first else (1, 0, 2))
