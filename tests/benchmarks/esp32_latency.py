"""Estimated latencies on an ESP32 at 240 MHz, waiting for flash included, beside their goals.

    python -m tests.benchmarks.esp32_latency

What `report()["latency_ms"]` says of five ternary models: an estimate, with its basis below the
table. Exits with 1 when one is over its goal.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import onnx

import ternc
from tests.benchmarks.layers import Layer, model_of


@dataclass(frozen=True, slots=True)
class Row:
    """One model: milliseconds, and its ternary weights' share of their size in float32."""

    name: str
    latency_ms: float
    goal_ms: float
    packed_share: float
    basis: str


def models() -> dict[str, tuple[onnx.ModelProto, float]]:
    """The models and their goals in milliseconds."""
    return {
        "Dense 1000->1000": (model_of(Layer("", (1, 1000), (1000, 1000), 0, 0)), 15.0),
        "Conv1D 100 inputs, 32 filters, k5": (
            model_of(Layer("", (1, 1, 100), (32, 1, 5), 0, 0, (2, 2))), 5.0),
        "Conv2D 28x28->14x14, 32 filters": (
            model_of(Layer("", (1, 1, 28, 28), (32, 1, 3, 3), 0, 0, (1, 1, 1, 1), (2, 2))), 20.0),
        "LSTM 32 units, 50 steps": (
            model_of(Layer("", (50, 1, 8), (128, 40), 0, 0, cell="LSTM")), 15.0),
        "MLP 10->64->32->10": (mlp(), 1.0),
    }  # fmt: skip


def mlp() -> onnx.ModelProto:
    """Three dense layers, ternary and with Q/DQ."""
    sizes = ((10, 64), (64, 32), (32, 10))
    first, *others = [model_of(Layer("", (1, i), (o, i), 0, 0)) for i, o in sizes]
    whole = onnx.compose.add_prefix(first, "l0/")
    for k, other in enumerate(others, 1):
        nxt = onnx.compose.add_prefix(other, f"l{k}/")
        whole = onnx.compose.merge_models(
            whole, nxt, io_map=[(whole.graph.output[0].name, nxt.graph.input[0].name)])
    return whole


def packed_share(model: onnx.ModelProto) -> float:
    """Bytes of the packed ternary weights over those of the same weights in float32."""
    codes = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer
             if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1]
    packed = sum(len(ternc.quantize.pack_ternary(c)) for c in codes)
    return packed / sum(4 * int(np.prod(c.shape)) for c in codes)


def rows() -> list[Row]:
    """Every model compiled for the ESP32."""
    out = []
    for name, (model, goal) in models().items():
        latency = ternc.compile(model, "esp32").report()["latency_ms"]
        out.append(Row(name, latency["value"], goal, packed_share(model), latency["basis"]))
    return out


def main() -> int:
    """Prints the table."""
    found = rows()
    print(f"{'model':36}{'estimate':>10} {'goal':>8}  packed weights, of float32")
    for row in found:
        print(f"{row.name:36}{row.latency_ms:7.2f} ms {row.goal_ms:5.0f} ms  "
              f"{100 * row.packed_share:.2f} %")
    for row in found:
        print(f"{row.name}: {row.basis}", file=sys.stderr)
    return int(any(row.latency_ms >= row.goal_ms for row in found))


if __name__ == "__main__":
    sys.exit(main())
