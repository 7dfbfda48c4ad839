"""Running models in onnxruntime, for the tests of the passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime
from onnx_ir.passes import common

Array = npt.NDArray[Any]
Constants = dict[str, Any]  # initializers by name
_TYPES = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8,
          "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


def session(model: ir.Model | onnx.ModelProto) -> onnxruntime.InferenceSession:
    """An onnxruntime session that computes what the graph says, without optimizations."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


def random_feeds(model: ir.Model | onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Random inputs for `model`, dynamic dimensions being 1."""
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for item in session(model).get_inputs():
        shape = [dim if isinstance(dim, int) else 1 for dim in item.shape]
        kind = _TYPES[item.type]
        if np.issubdtype(kind, np.floating):
            feeds[item.name] = rng.standard_normal(shape).astype(kind)
        else:
            feeds[item.name] = rng.integers(0, 100, shape).astype(kind)
    return feeds


def run(model: ir.Model | onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """The outputs of `model`, by name."""
    runner = session(model)
    names = [item.name for item in runner.get_outputs()]
    return dict(zip(names, runner.run(names, feeds), strict=True))


def assert_same(
    before: dict[str, Array], after: dict[str, Array], tolerance: float = 1e-5
) -> None:
    """Every output agrees within `tolerance` of its largest value."""
    assert before.keys() == after.keys()
    for name, expected in before.items():
        assert expected.shape == after[name].shape, name
        assert expected.dtype == after[name].dtype, name
        largest = max(float(np.max(np.abs(expected.astype(np.float64)), initial=0.0)), 1e-6)
        error = np.abs(expected.astype(np.float64) - after[name].astype(np.float64))
        assert float(np.max(error, initial=0.0)) / largest <= tolerance, name


def parse(text: str, **constants: npt.ArrayLike) -> ir.Model:
    """A model from ONNX text, with `constants` as initializers."""
    proto = onnx.parser.parse_model(text)
    for name, array in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    return ir.from_proto(proto)


def graph(
    body: str, inputs: str, outputs: str, *, opset: int = 21, **constants: npt.ArrayLike
) -> ir.Model:
    """A model with one default opset, from the text of its nodes, inputs and outputs."""
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    model = parse(f"{header} agraph ({inputs}) => ({outputs}) {{ {body} }}", **constants)
    for value in model.graph.outputs:
        if value.shape is not None and not len(value.shape):  # "float y": shape not stated
            value.shape = None
    return model


def named_graph(body: str, inputs: str, outputs: str, **constants: Any) -> ir.Model:
    """A graph with all shapes, each node of which has the name of its first output."""
    model = graph(body, inputs, outputs, **constants)
    common.ShapeInferencePass()(model)
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def check(
    transform: ir.passes.PassBase, model: ir.Model, *, seed: int = 0
) -> ir.passes.PassResult:
    """Runs `transform`, and asserts that onnxruntime's answer is the one from before."""
    feeds = random_feeds(model, seed)
    before = run(model, feeds)
    result = transform(model)
    assert_same(before, run(result.model, feeds))
    return result


def ops(model: ir.Model) -> list[str]:
    """The operators of `model`, in order."""
    return [node.op_type for node in model.graph]
