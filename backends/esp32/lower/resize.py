"""Resize: nearest as a map of indices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import FloatArray, IntArray
from ternc.backends.esp32.lower.index_map import emit_index_map
from ternc.backends.esp32.lower.moving import moved
from ternc.backends.esp32.lower.nodes import (
    attr_ints,
    attr_str,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator

_TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric",
               "align_corners")


@operator("Resize", int8="moves bytes", note="nearest, constant sizes or scales")
def lower_resize(ctx: Lowering, node: ir.Node) -> None:
    """Resize to static sizes, nearest."""
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
    raise Unsupported(f"Resize in mode {mode}", help="use mode nearest")


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
    i: FloatArray = np.arange(out[axis], dtype=np.float32)
    at = i
    mode = attr_str(node, "coordinate_transformation_mode", "half_pixel")
    if mode not in _TRANSFORMS:
        raise Unsupported(f"Resize with coordinate_transformation_mode {mode}",
                          help="crop with Slice, then use half_pixel or align_corners")
    if scale == 1 and size == count:
        return i
    if mode == "asymmetric":
        at = i / scale
    elif mode == "align_corners":
        at = i * (size - one) / max(count - one, one)
    elif mode == "pytorch_half_pixel" and count == 1:
        at = np.zeros_like(i)
    else:
        at = (i + half) / scale - half
    if mode == "half_pixel_symmetric":
        at = at + size / np.float32(2) * (one - count / (scale * size))
    return at


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
