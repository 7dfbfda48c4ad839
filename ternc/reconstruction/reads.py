"""Which states of a recurrent layer the model reads: all of them, or only the last."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.passes._graph import constant, static_shape

_MOVES: Final = frozenset({
    "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})


def steps_read(node: ir.Node) -> npt.NDArray[np.float64]:
    """For each direction and step, in the order of the steps: how many elements are read.

    Operators that move elements are followed from Y on until something computes with them. Y_h
    and Y_c read the last step of each direction. [directions, steps].
    """
    y = node.outputs[0]
    shape = static_shape(node.inputs[0])
    recurrent = constant(node.inputs[2])
    assert shape is not None
    assert recurrent is not None
    directions, hidden = recurrent.shape[0], recurrent.shape[2]
    steps, batch = shape[0], shape[1]
    found = np.zeros((steps, directions, batch, hidden))
    if y.uses() or y.is_graph_output():
        elements = np.arange(found.size, dtype=np.float64).reshape(found.shape)
        for part in _read(y, elements):
            np.add.at(found.reshape(-1), part.astype(np.int64).reshape(-1), 1)
    counts = found.sum(axis=(2, 3)).T
    for value in node.outputs[1:]:
        if value.uses() or value.is_graph_output():
            backwards = node.attributes.get_string("direction", "forward") == "reverse"
            for direction in range(directions):
                last = 0 if backwards or direction == 1 else steps - 1
                counts[direction, last] += batch * hidden
    return np.asarray(counts)


def _read(value: ir.Value, elements: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """The parts of `elements`, which are `value`, that something computes with."""
    if value.is_graph_output():
        return [elements]
    parts = []
    for use in value.uses():
        moved = _moved(use.node, elements) if use.idx == 0 else None
        parts += [elements] if moved is None else _read(use.node.outputs[0], moved)
    return parts


def _moved(node: ir.Node, elements: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """What `node` makes of elements that it only moves, None if it does more."""
    if node.domain or node.op_type not in _MOVES or len(node.outputs) != 1 or any(
            value is not None and constant(value) is None for value in node.inputs[1:]):
        return None
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = [f"i{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    proto = ir.to_proto(node)
    del proto.input[:]
    proto.input.extend(names)
    feeds = {"i0": elements} | {
        name: np.asarray(constant(value)) for name, value in zip(names, node.inputs, strict=True)
        if value is not None and name != "i0"}
    graph = onnx.helper.make_graph(
        [proto], "move",
        [onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
         for name, array in feeds.items()],
        [onnx.helper.make_tensor_value_info(
            proto.output[0], onnx.TensorProto.DOUBLE, None)])
    graph_of_one = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    (moved,) = ReferenceEvaluator(graph_of_one).run(None, feeds)
    return np.asarray(moved)
