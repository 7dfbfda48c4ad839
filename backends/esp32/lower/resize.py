"""Resize: nearest as a map of indices, else weighted sums along each axis."""

from __future__ import annotations

from math import ceil, floor, prod

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.along_axis import split_at
from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, FloatArray, IntArray, WideArray
from ternc.backends.esp32.lower.index_map import emit_index_map
from ternc.backends.esp32.lower.layout import Layout
from ternc.backends.esp32.lower.moving import moved
from ternc.backends.esp32.lower.nodes import (
    attr_float,
    attr_int,
    attr_ints,
    attr_str,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.program import DType

_TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric",
               "align_corners")


@operator("Resize", int8="nearest: moves bytes; else in float32",
          note="constant sizes or scales")
def lower_resize(ctx: Lowering, node: ir.Node) -> None:
    """Resize to static sizes: nearest, linear and cubic."""
    mode = attr_str(node, "mode", "nearest")
    value = required_input(node, 0)
    shape = ctx.shape(value)
    positions = [_positions(ctx, node, axis) for axis in range(len(shape))]
    if mode == "nearest":
        index = np.arange(int(np.prod(shape))).reshape(shape)
        for axis, at in enumerate(positions):
            index = np.take(index, _nearest(node, at, shape[axis]), axis)
        source, wrap = moved(ctx, value)
        ctx.bind(node.outputs[0], wrap(emit_index_map(ctx, node, source, index)))
        return
    buffer = ctx.floats(value, node)
    # What shrinks comes first: the other axes then have less to do.
    out = ctx.shape(node.outputs[0])
    for axis in sorted(range(len(shape)), key=lambda axis: out[axis] / shape[axis]):
        weights = _weights(node, positions[axis], shape[axis], _scales(ctx, node)[axis])
        if not np.array_equal(weights, np.eye(shape[axis])):
            buffer = _resample(ctx, node, buffer, axis, weights)
    ctx.bind(node.outputs[0], buffer)


def _scales(ctx: Lowering, node: ir.Node) -> FloatArray:
    """Size of the result over that of the operand along each axis, as float32."""
    shape = ctx.shape(required_input(node, 0))
    axes = [axis % len(shape) for axis in attr_ints(node, "axes", tuple(range(len(shape))))]
    scales = np.ones(len(shape), np.float32)
    given, sizes = (ctx.constant(optional_input(node, place)) for place in (2, 3))
    if sizes is not None and sizes.size:
        before = np.array([shape[axis] for axis in axes])
        ratios = (sizes.astype(np.float64) / before).astype(np.float32)
        policy = attr_str(node, "keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios[:] = ratios.min() if policy == "not_larger" else ratios.max()
        scales[axes] = ratios
    elif given is not None and given.size:
        scales[axes] = given.astype(np.float32)
    else:
        raise Unsupported("Resize with sizes or scales computed at run time",
                          help="export the model with constant sizes")
    return scales


def _positions(ctx: Lowering, node: ir.Node, axis: int) -> FloatArray:
    """Where along the operand's axis each element of the result lies, as onnxruntime has it."""
    shape, out = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    size, count = np.float32(shape[axis]), np.float32(out[axis])
    scale, one, half = _scales(ctx, node)[axis], np.float32(1), np.float32(0.5)
    i = np.arange(out[axis], dtype=np.float32)
    mode = attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if mode not in _TRANSFORMS:
        raise Unsupported(f"Resize with coordinate_transformation_mode {mode}",
                          help="crop with Slice, then use half_pixel or align_corners")
    if scale == 1 and size == count:
        return i
    if mode == "asymmetric":
        at = i / scale
    elif mode == "align_corners":
        if abs(scale * size - count) > 1e-3:
            raise Unsupported("Resize with align_corners and scales that give no whole size",
                              help="give sizes instead of scales: what this means is disputed")
        at = i * (size - one) / max(count - one, one)
    elif mode == "pytorch_half_pixel" and count == 1:
        at = np.zeros_like(i)
    else:
        at = (i + half) / scale - half
    if mode == "half_pixel_symmetric":
        at = at + size / np.float32(2) * (one - count / (scale * size))
    positions: FloatArray = np.asarray(at, np.float32)
    return positions


def _nearest(node: ir.Node, at: FloatArray, size: int) -> IntArray:
    """The element that each position takes."""
    mode = attr_str(node, "nearest_mode", "round_prefer_floor")
    if mode == "floor":
        rounded = np.floor(at)
    elif mode == "ceil":
        rounded = np.ceil(at)
    elif mode == "round_prefer_ceil":
        rounded = np.floor(at + np.float32(0.5))
    else:
        rounded = np.ceil(at - np.float32(0.5))
    return np.clip(rounded.astype(np.int64), 0, size - 1)


def _weights(node: ir.Node, at: FloatArray, size: int, scale: np.float32) -> WideArray:
    """How much of each element of the operand goes into each of the result, [out][size]."""
    cubic = attr_str(node, "mode", "nearest") == "cubic"
    if attr_int(node, "antialias", 0) and scale < 1:
        raise Unsupported("Resize to a smaller size with antialias",
                          help="export the model without antialias, or pool before it")
    reach = 2 if cubic else 1
    a = attr_float(node, "cubic_coeff_a", -0.75)
    weights = np.zeros((at.size, size))
    for row, position in zip(weights, at.astype(np.float64), strict=True):
        taps = np.arange(floor(position - reach) + 1, ceil(position + reach))
        parts = (_cubic if cubic else _linear)(np.abs(taps - position), a)
        inside = (taps >= 0) & (taps < size)
        if attr_int(node, "exclude_outside", 0):
            parts = np.where(inside, parts, 0.0)
        np.add.at(row, np.clip(taps, 0, size - 1), parts / parts.sum())
    return weights


def _linear(distance: WideArray, a: float) -> WideArray:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance: WideArray, a: float) -> WideArray:
    """Keys' piecewise cubic with the coefficient a."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * a * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _resample(
    ctx: Lowering, node: ir.Node, source: Buffer, axis: int, weights: WideArray
) -> Buffer:
    """The weighted sums along one axis, each over the fewest neighbours that have weights."""
    count, size = weights.shape
    source, outer, _, inner = split_at(source, axis, node, ctx)
    layout = source.layout.with_axis(axis, count)
    if layout is None:  # an axis of one element, to which no place in memory belongs
        source = ctx.row_major(source, node)
        shape = source.layout.shape
        outer, inner = prod(shape[:axis]), prod(shape[axis + 1:])
        layout = Layout.row_major((*shape[:axis], count, *shape[axis + 1:]))
    used = weights != 0
    taps = int(max((size - np.argmax(used[:, ::-1], 1) - np.argmax(used, 1)).max(), 1))
    first = np.minimum(np.argmax(used, 1), size - taps)
    chosen = np.take_along_axis(weights, first[:, None] + np.arange(taps), 1)
    target = ctx.new(node.outputs[0].name or "y", DType.F32, layout)
    ctx.emit("resample_f32", node, x=source.tensor, y=target.tensor,
             first=ctx.data(f"{node.name}:first", first, DType.I32),
             w=ctx.data(f"{node.name}:weights", chosen, DType.F32),
             outer=outer, axis=size, inner=inner, n=count, taps=taps)
    return target
