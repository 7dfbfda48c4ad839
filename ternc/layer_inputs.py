"""What a linear layer multiplies its weights with, as the rows of a matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.lower.conv import transpose_pads, window_pads
from ternc.passes._graph import constant, static_shape
from ternc.passes._linear import Slot

Array = npt.NDArray[np.float32]
Weights = npt.NDArray[np.generic]

# Of one sample's output positions at most so many are looked at: neighbours are much alike.
_POSITIONS: Final = 256


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """y[g, n] = sum over k of rows(W)[g, n, k] * columns(x)[g, position, k].

    `name` is the tensor x, `groups` and `size` the ranges of g and k; `arrange` brings weights
    into [groups, channels, inputs], and `restore` back.
    """

    name: str
    groups: int
    size: int
    arrange: Callable[[Weights], Weights]
    restore: Callable[[Weights, tuple[int, ...]], Weights]
    patches: Callable[[Array], Array]

    def rows(self, weights: Weights) -> Weights:
        """Weights as [groups, channels, inputs]."""
        return self.arrange(weights)

    def unrows(self, rows: Weights, shape: tuple[int, ...]) -> Weights:
        """The inverse of `rows`."""
        return np.ascontiguousarray(self.restore(rows, shape))

    def columns(self, x: Weights, sample: int) -> Array:
        """[groups, positions, inputs]; which positions depends on the sample's number alone."""
        found = self.patches(np.asarray(x, np.float32))
        if found.shape[1] > _POSITIONS:
            generator = np.random.default_rng(sample)
            found = found[:, generator.choice(found.shape[1], _POSITIONS, replace=False)]
        return np.ascontiguousarray(found)


def layer_inputs(slot: Slot) -> LayerInputs | None:
    """The inputs of the layer in `slot`, None for a layer without such a form."""
    value = slot.node.inputs[0]
    shape, weights = static_shape(value), constant(slot.weight)
    if value is None or value.name is None or shape is None or weights is None:
        return None
    match slot.node.op_type:
        case "Gemm" | "MatMul" if weights.ndim == 2:
            return _dense(slot, value.name)
        case "Conv" if len(shape) in (3, 4):
            return _conv(slot, value.name, shape, weights.shape)
        case "ConvTranspose" if len(shape) in (3, 4) and slot.groups == 1:
            return _conv_transpose(slot, value.name, shape, weights.shape)
    return None


def _dense(slot: Slot, name: str) -> LayerInputs:
    outer = bool(slot.axis)  # the output channels lie along the last axis
    weights = constant(slot.weight)
    assert weights is not None
    transposed = slot.node.op_type == "Gemm" and bool(slot.node.attributes.get_int("transA", 0))
    size = weights.shape[1 - slot.axis]

    def patches(x: Array) -> Array:
        return (x.T if transposed else x).reshape(1, -1, size)

    return LayerInputs(
        name, 1, size, lambda w: (w.T if outer else w)[None],
        lambda rows, _: rows[0].T if outer else rows[0], patches)


def _conv(slot: Slot, name: str, shape: tuple[int, ...], weights: tuple[int, ...]) -> LayerInputs:
    node, rank = slot.node, len(shape) - 2
    groups = node.attributes.get_int("group", 1)
    kernel = weights[2:]
    strides = _ints(node, "strides", rank)
    dilations = _ints(node, "dilations", rank)
    begin, end = window_pads(node, shape[2:], kernel, strides, dilations)
    size = int(np.prod(weights[1:]))
    return LayerInputs(
        name, groups, size, lambda w: w.reshape(groups, -1, size),
        lambda rows, original: rows.reshape(original),
        lambda x: _windows(x, kernel, strides, dilations, begin, end, groups))


def _conv_transpose(
    slot: Slot, name: str, shape: tuple[int, ...], weights: tuple[int, ...]
) -> LayerInputs:
    """A convolution of the input with zeros between its elements, the kernel turned round."""
    node, rank = slot.node, len(shape) - 2
    kernel, ones = weights[2:], (1,) * rank
    strides = _ints(node, "strides", rank)
    dilations = _ints(node, "dilations", rank)
    out = static_shape(node.outputs[0])
    assert out is not None
    pads = transpose_pads(node, shape[2:], out[2:], kernel, strides, dilations)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    stuffed = [(n - 1) * s + 1 for n, s in zip(shape[2:], strides, strict=True)]
    begin = tuple(r - p for r, p in zip(reach, pads, strict=True))
    end = tuple(o + r - n - b for o, r, n, b in zip(out[2:], reach, stuffed, begin, strict=True))
    size = int(weights[0] * np.prod(kernel))
    axes = tuple(range(2, rank + 2))

    def patches(x: Array) -> Array:
        wide = np.zeros((*x.shape[:2], *stuffed), np.float32)
        places: tuple[slice, ...] = tuple(slice(None, None, s) for s in strides)
        wide[(slice(None), slice(None), *places)] = x
        return _windows(wide, kernel, ones, dilations, begin, end, 1)

    def arrange(w: Weights) -> Weights:
        return np.flip(np.swapaxes(w, 0, 1), axes).reshape(1, weights[1], size)

    def restore(rows: Weights, original: tuple[int, ...]) -> Weights:
        turned = rows.reshape(original[1], original[0], *original[2:])
        return np.swapaxes(np.flip(turned, axes), 0, 1)

    return LayerInputs(name, 1, size, arrange, restore, patches)


def _ints(node: ir.Node, name: str, rank: int) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name, (1,) * rank))


def _windows(
    x: Array, kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...],
    begin: tuple[int, ...], end: tuple[int, ...], groups: int,
) -> Array:
    """[groups, positions, channels of a group * kernel] of an image [N, C, ...]."""
    rank = len(kernel)
    # negative padding crops
    crop: tuple[slice, ...] = tuple(slice(max(-b, 0), n - max(-e, 0))
                 for b, e, n in zip(begin, end, x.shape[2:], strict=True))
    x = x[(slice(None), slice(None), *crop)]
    x = np.pad(x, ((0, 0), (0, 0), *((max(b, 0), max(e, 0))
                                     for b, e in zip(begin, end, strict=True))))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    axes = tuple(range(2, rank + 2))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    view = view[(slice(None), slice(None), *(slice(None, None, s) for s in strides),
                 *(slice(None, None, d) for d in dilations))]
    # [N, C, out..., kernel...] -> [groups, N * out, C / groups * kernel]
    count, channels = x.shape[:2]
    out = view.shape[2 : 2 + rank]
    view = view.reshape(count, groups, channels // groups, *out, *kernel)
    order = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
    found: Array = view.transpose(order).reshape(groups, count * int(np.prod(out)), -1)
    return found
