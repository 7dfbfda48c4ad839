"""Fake quantization as standard ONNX: QuantizeLinear, an integer Clip, DequantizeLinear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Array, Builder

_STORAGE = (np.int8, np.uint8, np.int16, np.uint16)  # int8 first: every kernel reads it


@dataclass(frozen=True, slots=True)
class Grid:
    """The integers `low`..`high` that a tensor is rounded to; it is (q - zero) * scale."""

    scale: float
    zero: int
    low: int
    high: int

    @property
    def storage(self) -> np.dtype[np.integer] | None:
        """The narrowest ONNX type that holds the grid, None above 16 bits."""
        for kind in _STORAGE:
            info = np.iinfo(kind)
            if info.min <= min(self.low, self.zero) and max(self.high, self.zero) <= info.max:
                return np.dtype(kind)
        return None


def quantize_dequantize(build: Builder, x: ir.Value, grid: Grid) -> ir.Value | None:
    """`x` rounded to `grid`, or None when ONNX has no integer type for it.

    8-bit storage is clipped as integers, where the grid is narrower. onnxruntime has no Clip for
    16 bits: there the float is clipped first, to bounds that round to `low` and `high`.
    """
    storage = grid.storage
    if storage is None or grid.scale <= 0.0 or grid.low > grid.high:
        return None
    info = np.iinfo(storage)
    narrow = grid.low > info.min or grid.high < info.max
    scale = build.constant("scale", np.float32(grid.scale))
    zero = build.constant("zero_point", np.array(grid.zero, storage))
    if narrow and storage.itemsize > 1:
        bounds = (np.float32((edge - grid.zero) * grid.scale) for edge in (grid.low, grid.high))
        low, high = bounds
        x = build.node("Clip", [x, build.constant("low", low), build.constant("high", high)])
        narrow = False
    integers = build.node("QuantizeLinear", [x, scale, zero],
                          dtype=ir.DataType.from_numpy(storage))
    if narrow:
        integers = build.node("Clip", [
            integers, build.constant("low", np.array(grid.low, storage)),
            build.constant("high", np.array(grid.high, storage))])
    return build.node("DequantizeLinear", [integers, scale, zero], dtype=ir.DataType.FLOAT)


def constant_codes(
    build: Builder, codes: Array, scale: Array, zero: Array, low: float, high: float
) -> ir.Value | None:
    """`DequantizeLinear(codes, scale)` for a constant, per tensor or along one axis.

    Returns:
        None when `scale` varies along several axes or the codes need more than 16 bits.
    """
    storage = Grid(1.0, int(zero.min()), int(low), int(high)).storage
    axis = scale_axis(scale, codes.shape)
    if storage is None or axis is None or np.iinfo(storage).max < int(zero.max()):
        return None
    if axis < 0:
        parameters: Array = scale.reshape(-1)[0].astype(np.float32).reshape(())
        zeros, attributes = zero.reshape(-1)[0].astype(storage).reshape(()), {}
    else:
        parameters, attributes = scale.reshape(-1).astype(np.float32), {"axis": axis}
        zeros = np.broadcast_to(zero.reshape(-1), parameters.shape).astype(storage)
    inputs = [build.constant("codes", codes.astype(storage)),
              build.constant("scale", parameters), build.constant("zero_point", zeros)]
    return build.node("DequantizeLinear", inputs if zeros.any() else inputs[:2], attributes,
                      dtype=ir.DataType.FLOAT, shape=list(codes.shape))


def scale_axis(scale: Array, shape: tuple[int, ...]) -> int | None:
    """The one axis of `shape` that `scale` varies along: -1 for none, None for several."""
    if scale.size == 1:
        return -1
    dims = (1,) * (len(shape) - scale.ndim) + scale.shape
    axes = [axis for axis, dim in enumerate(dims) if dim > 1]
    if len(dims) != len(shape) or len(axes) != 1 or dims[axes[0]] != shape[axes[0]]:
        return None
    return axes[0]
