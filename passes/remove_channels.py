"""Channels that are constant, or that nobody reads: what pruning leaves behind."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._channel_selection import output_axis, reader_matrix, rename, select
from ternc.passes._channels import (
    Path,
    bias_of,
    bounds,
    flow,
    is_increasing,
    pads,
    path_from,
)
from ternc.passes._graph import (
    Builder,
    constant,
    dequantized_constant,
    graph_of,
    input_at,
    remove_dead,
)

Array = npt.NDArray[Any]


class RemoveChannels(ir.passes.InPlacePass):
    """reader(f(maker(x))) → the same with fewer channels between them.

    Applies to Conv of one group, Gemm and MatMul with constant weights, with activations,
    quantization, depthwise Conv, pooling and flattening between them. Channel j goes when

    1. every weight of the reader for it is 0; or
    2. it is the same everywhere and whatever the input, because every weight of the maker for it
       is 0, or because all that a quantized input allows becomes one value on the way (a Relu
       that is always off): the reader's bias takes what that adds up to.

    Must not apply to 2. where something on the way or the reader itself pads with zeros and the
    constant is not 0, nor to channels that anything else reads. One channel always stays.
    """

    name: ClassVar[str] = "remove_channels"

    def __init__(
        self, diagnostics: Diagnostics | None = None, folded: dict[str, str] | None = None
    ) -> None:
        self.diagnostics = diagnostics if diagnostics is not None else Diagnostics()
        self.folded = folded if folded is not None else {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """From the last layer to the first: what a reader drops, its maker need not make."""
        modified = False
        for node in reversed(list(model.graph)):
            path = path_from(node)
            if path is not None and self._shrink(path):
                modified = True
        return ir.passes.PassResult(model, modified)

    def _shrink(self, path: Path) -> bool:
        read = _read(path)
        known, v = _constants(path, len(read))
        known &= (v == 0) | _takes_constants(path.reader)
        if not (keep := np.flatnonzero(read & ~known)).size:
            keep = np.array([0])
        if len(keep) == len(read):
            return False
        gone = np.setdiff1d(np.flatnonzero(read), keep)
        if gone.size and np.any(v[gone]):
            _add_to_bias(path, gone, v[gone])
        maker = path.maker
        self.diagnostics.note(
            "TC0108", f"{len(read) - len(keep)} of {len(read)} channels are gone: "
            f"{int((~read).sum())} are multiplied by 0 only, {gone.size} are constant",
            node=maker.name or "")
        select(path, keep.tolist())
        rename(path, self.folded, "kept")
        return True


def _read(path: Path) -> npt.NDArray[np.bool_]:
    """Which channels any weight of the reader multiplies."""
    return np.asarray(reader_matrix(path).any(axis=(0, 2)))


def _constants(path: Path, channels: int) -> tuple[npt.NDArray[np.bool_], Array]:
    """Which channels are constant where the reader reads them, and what they hold there."""
    low, high = bounds(path.maker, channels, output_axis(path.maker))
    known, v = low == high, low
    for step in path.steps:
        if is_increasing(step):
            _, low = flow(step, known, low)
            _, high = flow(step, known, high)
            known, v = low == high, low
        else:
            known, v = flow(step, known, np.where(known, v, 0))
            low, high = np.where(known, v, -np.inf), np.where(known, v, np.inf)
    return known, np.where(known, v, 0)


def _takes_constants(reader: ir.Node) -> bool:
    """Whether the reader's bias can take the sum of a constant channel: it sees it everywhere."""
    bias = input_at(reader, 2)
    fits = bias is None or dequantized_constant(bias) is not None
    return reader.op_type != "MatMul" and not pads(reader) and fits \
        and reader.attributes.get_float("beta", 1.0) == 1.0


def _add_to_bias(path: Path, channels: Array, v: Array) -> None:
    """What constant channels add to every output; an int32 bias stays one where that is exact."""
    reader, builder = path.reader, Builder(path.reader)
    sums = reader_matrix(path)[:, channels].astype(np.float64).sum(2) @ v.astype(np.float64)
    sums *= reader.attributes.get_float("alpha", 1.0)
    bias = input_at(reader, 2)
    source = bias.producer() if bias is not None else None
    new: ir.Value | None = None
    if source is not None and constant(bias) is None:
        codes, scale = constant(source.inputs[0]), constant(source.inputs[1])
        assert codes is not None
        assert scale is not None
        steps = sums / scale.astype(np.float64)
        whole = np.rint(steps)
        if np.abs(steps - whole).max() < 1e-2 and np.abs(codes + whole).max() < 2**31:
            moved = builder.constant("bias", (codes + whole).astype(codes.dtype))
            new = builder.node("DequantizeLinear", [moved, *source.inputs[1:]],
                               {"axis": source.attributes.get_int("axis", 1)},
                               dtype=ir.DataType.FLOAT, shape=codes.shape,
                               name=f"{bias.name if bias is not None else ''}_moved")
    if new is None:
        total = bias_of(reader, len(sums)) + sums
        new = builder.constant("bias", total.astype(np.float32))
    if len(reader.inputs) < 3:
        reader.resize_inputs(3)
    reader.replace_input_with(2, new)
    remove_dead(graph_of(reader), source)
