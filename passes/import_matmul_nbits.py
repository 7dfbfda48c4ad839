"""onnxruntime's MatMulNBits in standard ONNX."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._graph import Array, Builder, constant, input_at, replace_value


class ImportMatMulNBits(ir.passes.InPlacePass):
    """com.microsoft::MatMulNBits(x, B, scales, zeros) → MatMul(x, ((B - zeros)·scales)ᵀ)[ + bias].

    Codes are 2, 4 or 8 bits, packed along K from the least significant bits, in blocks that each
    have a scale; without zeros the zero point is 2^(bits-1). The weight becomes a float
    initializer, in which `DetectTernary` finds the levels. A weight of 2 bits whose scale varies
    within an output channel cannot become ternary, and a note says so.

    Must not touch nodes with g_idx (a permutation of K) or weights computed at run time:
    TC0102.
    """

    name: ClassVar[str] = "import_matmul_nbits"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replaces every MatMulNBits whose weight is constant."""
        modified = False
        for node in list(model.graph):
            if node.domain == "com.microsoft" and node.op_type == "MatMulNBits":
                modified |= self._import(node)
        return ir.passes.PassResult(model, modified)

    def _import(self, node: ir.Node) -> bool:
        packed, scales = constant(node.inputs[1]), constant(node.inputs[2])
        zeros, group = input_at(node, 3), input_at(node, 4)
        bits = node.attributes.get_int("bits", 4)
        if packed is None or scales is None or bits not in (2, 4, 8) or group is not None \
                or (zeros is not None and constant(zeros) is None):
            self.diagnostics.error(
                "TC0102", "this form of MatMulNBits is not supported", node=node.name or "",
                op_type=node.op_type, help="use constant weights of 2, 4 or 8 bits without g_idx")
            return False
        k, n = node.attributes.get_int("K"), node.attributes.get_int("N")
        weight = _unpack(packed, scales, constant(zeros), bits, k, n,
                         node.attributes.get_int("block_size"))
        per_row = scales.reshape(n, -1)
        if bits == 2 and not np.all(per_row == per_row[:, :1]):
            self.diagnostics.note(
                "TC0201", "a 2-bit weight has scales that vary within an output channel, so it is "
                          "kept as float32", node=node.name or "", op_type=node.op_type,
                help="quantize it with one block per output channel (block_size = K)")
        build, x = Builder(node), node.inputs[0]
        assert x is not None
        product = build.node("MatMul", [x, build.constant("weight", weight)],
                             shape=node.outputs[0].shape, dtype=x.dtype)
        bias = input_at(node, 5)
        if bias is not None:
            product = build.node("Add", [product, bias])
        replace_value(node.outputs[0], product)
        build.graph.remove(node, safe=True)
        return True


def _unpack(
    packed: Array, scales: Array, zeros: Array | None, bits: int, k: int, n: int, block: int
) -> Array:
    blocks = -(-k // block)
    codes = _fields(packed.reshape(n, -1), bits)[:, : blocks * block].astype(np.float32)
    if zeros is None:
        offsets = np.full((n, blocks), 2.0 ** (bits - 1), np.float32)
    elif zeros.dtype == np.uint8:
        offsets = _fields(zeros.reshape(n, -1), bits)[:, :blocks].astype(np.float32)
    else:
        offsets = zeros.reshape(n, blocks).astype(np.float32)
    spread = (np.repeat(part.reshape(n, blocks), block, axis=1) for part in (offsets, scales))
    offset, scale = spread
    weight = ((codes - offset) * scale.astype(np.float32))[:, :k]
    return np.ascontiguousarray(weight.T).astype(scales.dtype)


def _fields(data: Array, bits: int) -> Array:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    fields = (data[..., None] >> shifts) & np.uint8(2**bits - 1)
    return fields.reshape(data.shape[0], -1)
