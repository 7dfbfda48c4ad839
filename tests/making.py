"""Small ONNX models for the tests of the command line, reports and validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = Path(__file__).resolve().parent / "models"
Array = npt.NDArray[np.generic]


def dense(
    *, batch: int | str = 1, inputs: int = 8, outputs: int = 4, weight: Array | None = None,
    op: str = "Relu", seed: int = 0,
) -> onnx.ModelProto:
    """x -> MatMul -> op -> y."""
    if weight is None:
        weight = np.random.default_rng(seed).standard_normal((inputs, outputs)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"], name="fc"),
         helper.make_node(op, ["h"], ["y"], name="act")],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """`model` as a file."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
