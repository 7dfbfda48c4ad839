"""Whether two ways to compute some tensors agree, asked of onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from ternc.passes._graph import Array, static_shape

_TOLERANCE: Final = 1e-4  # relative to the largest value
_TRIALS: Final = 3


def same_answer(model: ir.Model, inputs: Sequence[ir.Value], old: Sequence[ir.Value],
                new: Sequence[ir.Value]) -> bool:
    """Whether `new` equals `old` for random `inputs`; both are in the main graph."""
    feeds = [_noise(inputs, seed) for seed in range(_TRIALS)]
    before, after = (_run(model, inputs, outputs, feeds) for outputs in (old, new))
    for left, right in zip(before, after, strict=True):
        for a, b in zip(left, right, strict=True):
            if a.shape != b.shape or not np.all(np.isfinite(b)):
                return False
            if np.abs(a - b).max(initial=0) > _TOLERANCE * max(np.abs(a).max(initial=0), 1e-3):
                return False
    return True


def _noise(inputs: Sequence[ir.Value], seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    feeds = {}
    for value in inputs:
        shape = static_shape(value)
        assert shape is not None, value
        assert value.name is not None
        feeds[value.name] = generator.normal(0, 1, shape).astype(np.float32)
    return feeds


def _run(model: ir.Model, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value],
         feeds: Sequence[dict[str, Array]]) -> list[list[Array]]:
    import onnxruntime  # takes a second

    part = ir.Model(ir.convenience.extract(model.graph, inputs, outputs),
                    ir_version=model.ir_version)
    part.graph.opset_imports.update(model.graph.opset_imports)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        ir.to_proto(part).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [list(session.run(None, feed)) for feed in feeds]
