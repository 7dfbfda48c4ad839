"""Conv and ConvTranspose, one and two spatial dimensions, as one windowed instruction."""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.context import Lowering, Unsupported
from ternc.backends.esp32.lower.forms import Buffer, Scaled
from ternc.backends.esp32.lower.layout import Layout, Shape
from ternc.backends.esp32.lower.nodes import (
    attr_int,
    attr_ints,
    attr_str,
    optional_input,
    required_input,
)
from ternc.backends.esp32.lower.registry import operator
from ternc.backends.esp32.lower.weights import (
    Layer,
    Weights,
    emit_layer,
    has_integer_form,
    weights,
)


def spatial_pair(values: Shape, fill: int) -> tuple[int, int]:
    """(height, width) of one or two spatial values; one dimension is a row of height `fill`."""
    if len(values) == 1:
        return fill, values[0]
    if len(values) == 2:
        return values[0], values[1]
    raise Unsupported(f"{len(values)} spatial dimensions (1 and 2 are supported)",
                      help="reshape the model to 2-D, or split the layer")


def window_pads(node: ir.Node, size: Shape, kernel: Shape, strides: Shape,
                dilations: Shape) -> tuple[Shape, Shape]:
    """(begin, end) padding per spatial dimension, with auto_pad resolved."""
    rank = len(kernel)
    auto = attr_str(node, "auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = attr_ints(node, "pads", (0,) * (2 * rank))
        return pads[:rank], pads[rank:]
    if auto == "VALID":
        return (0,) * rank, (0,) * rank
    begin, end = [], []
    for dim, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((ceil(dim / s) - 1) * s + d * (k - 1) + 1 - dim, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if auto == "SAME_UPPER" else large)
        end.append(large if auto == "SAME_UPPER" else small)
    return tuple(begin), tuple(end)


@operator("Conv", int8="ternary or int8 weights per output channel")
def lower_conv(ctx: Lowering, node: ir.Node) -> None:
    """Conv: groups, dilations, strides and every padding form."""
    x_shape, y_shape = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    rank = len(x_shape) - 2
    w = weights(ctx, required_input(node, 1), tuple(range(rank + 2)))
    if w is None:
        raise Unsupported("the weights are not constant")
    groups = attr_int(node, "group", 1)
    kernel = w.shape[2:]
    strides = attr_ints(node, "strides", (1,) * rank)
    dilations = attr_ints(node, "dilations", (1,) * rank)
    begin, _ = window_pads(node, x_shape[2:], kernel, strides, dilations)
    w = w.map(lambda array: np.moveaxis(array, 1, -1))
    _emit_conv(
        ctx, node, w, x_shape, y_shape, kernel, strides, dilations, begin, (1,) * rank, groups
    )


@operator("ConvTranspose", int8="ternary or int8 weights per output channel")
def lower_conv_transpose(ctx: Lowering, node: ir.Node) -> None:
    """ConvTranspose as a convolution of the zero-stuffed input with the flipped kernel."""
    x_shape, y_shape = ctx.shape(required_input(node, 0)), ctx.shape(node.outputs[0])
    rank = len(x_shape) - 2
    groups = attr_int(node, "group", 1)
    per_group = ctx.shape(required_input(node, 1))[1]
    # [C, M/g, k...] with the output channel first; a per-channel scale repeats for each group.
    w = weights(ctx, required_input(node, 1), (1, 0, *range(2, rank + 2)))
    if w is None:
        raise Unsupported("the weights are not constant")
    kernel = w.shape[2:]

    def arrange(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        grouped = array.reshape(per_group, groups, x_shape[1] // groups, *kernel)
        grouped = np.moveaxis(grouped, 1, 0).reshape(
            groups * per_group, x_shape[1] // groups, *kernel
        )
        return np.moveaxis(np.flip(grouped, axis=tuple(range(2, rank + 2))), 1, -1)

    w = w.map(arrange)
    if w.codes is not None and w.scale is not None and w.zero is not None:
        w = Weights(
            w.shape, codes=w.codes, scale=np.tile(w.scale, groups), zero=np.tile(w.zero, groups)
        )
    strides = attr_ints(node, "strides", (1,) * rank)
    dilations = attr_ints(node, "dilations", (1,) * rank)
    begin = transpose_pads(node, x_shape[2:], y_shape[2:], kernel, strides, dilations)
    pads = tuple(d * (k - 1) - p for d, k, p in zip(dilations, kernel, begin, strict=True))
    _emit_conv(
        ctx, node, w, x_shape, y_shape, kernel, (1,) * rank, dilations, pads, strides, groups
    )


def transpose_pads(node: ir.Node, size: Shape, out: Shape, kernel: Shape, strides: Shape,
                   dilations: Shape) -> Shape:
    """Padding at the begin of each spatial dimension of a ConvTranspose's output."""
    rank = len(kernel)
    auto = attr_str(node, "auto_pad", "NOTSET")
    explicit = attr_ints(node, "output_shape", ())
    if auto in ("NOTSET", "") and not explicit:
        return attr_ints(node, "pads", (0,) * (2 * rank))[:rank]
    extra = attr_ints(node, "output_padding", (0,) * rank)
    begin = []
    for i, s, k, d, o, e in zip(size, strides, kernel, dilations, out, extra, strict=True):
        total = s * (i - 1) + e + (k - 1) * d + 1 - o
        total = max(total, 0)
        begin.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    if auto == "VALID" and not explicit:
        return (0,) * rank
    return tuple(begin)


def _emit_conv(ctx: Lowering, node: ir.Node, w: Weights, x_shape: Shape, y_shape: Shape,
               kernel: Shape, strides: Shape, dilations: Shape, begin: Shape, up: Shape,
               groups: int) -> None:
    in_h, in_w = spatial_pair(x_shape[2:], 1)
    out_h, out_w = spatial_pair(y_shape[2:], 1)
    kernel_h, kernel_w = spatial_pair(kernel, 1)
    stride_h, stride_w = spatial_pair(strides, 1)
    dilation_h, dilation_w = spatial_pair(dilations, 1)
    pad_top, pad_left = spatial_pair(begin, 0)
    up_h, up_w = spatial_pair(up, 1)
    bias_value = optional_input(node, 2)
    bias = None if bias_value is None else ctx.constant(bias_value)
    if bias_value is not None and bias is None:
        raise Unsupported("the bias is not constant")
    out_c = y_shape[1]
    form = ctx.form(required_input(node, 0))
    epilogue = ctx.epilogue(node.outputs[0])
    x = form if has_integer_form(form, w, epilogue) else ctx.floats(required_input(node, 0), node)
    assert isinstance(x, (Scaled, Buffer))
    emit_layer(ctx, Layer(
        node, "conv2d", x, w,
        np.zeros(out_c) if bias is None else bias.astype(np.float64).reshape(-1), bias is not None,
        Layout.channels_last(y_shape), int(np.prod(y_shape)) * int(np.prod(w.shape[1:])),
        {
            "n": x_shape[0], "in_h": in_h, "in_w": in_w, "in_c": x_shape[1],
            "out_h": out_h, "out_w": out_w, "out_c": out_c, "kernel_h": kernel_h,
            "kernel_w": kernel_w, "stride_h": stride_h, "stride_w": stride_w,
            "dilation_h": dilation_h, "dilation_w": dilation_w, "pad_top": pad_top,
            "pad_left": pad_left, "up_h": up_h, "up_w": up_w, "groups": groups,
        },
        Layout.channels_last(x_shape), epilogue,
    ))
