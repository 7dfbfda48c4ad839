"""Input normalization that the training script did and the model does not: (x - mean) / std."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from ternc.diagnostics import Diagnostic, Diagnostics, UsageError

Statistics = Any  # a number, one per channel, or {input name: either}


def normalised(
    model: onnx.ModelProto, mean: Statistics = None, std: Statistics = None
) -> onnx.ModelProto:
    """`model` with (x - mean) / std in front of its float inputs: it takes raw samples then.

    One number, or one for each channel: axis 1 of inputs with three dimensions or more, the last
    axis of others. A mapping gives them by input name; without one every float input is
    normalized.

    Raises:
        UsageError: a name is not a float input, the channels do not fit, or a std is not positive.
    """
    if mean is None and std is None:
        return model
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {item.name: item for item in model.graph.input if item.name not in constants}
    floats = {name: item for name, item in inputs.items()
              if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    problems = Diagnostics()
    means, stds = (_by_name(given, floats, what, problems)
                   for given, what in ((mean, "mean"), (std, "std")))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = []
    for name in floats:
        if name not in means and name not in stds:
            continue
        shift = _shaped(means.get(name, 0.0), floats[name], "mean", problems)
        width = _shaped(stds.get(name, 1.0), floats[name], "std", problems)
        if shift is None or width is None:
            continue
        if not np.all(width > 0):
            problems.error("TC0403", f"the std of input {name!r} is not positive")
            continue
        nodes += _put_in_front(result.graph, name, shift, width)
    if problems.errors:
        raise UsageError(tuple(problems))
    rest = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*nodes, *rest])
    return result


def _by_name(
    given: Statistics, floats: Mapping[str, onnx.ValueInfoProto], what: str, problems: Diagnostics
) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return dict.fromkeys(floats, given)
    for name in given:
        if name not in floats:
            problems.add(Diagnostic(
                "TC0403", f"{what} is given for {name!r}, which is not a float32 input",
                help=f"the float32 inputs are {', '.join(floats) or 'none'}"))
    return dict(given)


def _shaped(
    values: Any, item: onnx.ValueInfoProto, what: str, problems: Diagnostics
) -> np.ndarray | None:
    dims = item.type.tensor_type.shape.dim
    try:
        array = np.asarray(values, np.float32).reshape(-1)
    except (TypeError, ValueError):
        problems.error("TC0403", f"the {what} of input {item.name!r} is not a list of numbers")
        return None
    if not np.isfinite(array).all() or not array.size:
        problems.error("TC0403", f"the {what} of input {item.name!r} is not finite")
        return None
    if array.size == 1:
        return array.reshape(())
    axis = 1 if len(dims) > 2 else len(dims) - 1
    channels = dims[axis].dim_value if len(dims) else 0
    if array.size != channels:
        problems.error(
            "TC0403", f"the {what} of input {item.name!r} has {array.size} numbers, and the input "
            f"has {channels} channels", help="give one number, or one for each channel")
        return None
    return array.reshape([-1 if place == axis else 1 for place in range(len(dims))])


def _put_in_front(
    graph: onnx.GraphProto, name: str, mean: np.ndarray, std: np.ndarray
) -> list[onnx.NodeProto]:
    """Sub and Div behind input `name`, whose readers read their result."""
    taken = {value for node in graph.node for value in (*node.input, *node.output)}
    stem = f"{name}_normalized"
    while stem in taken:
        stem += "_"
    for node in graph.node:
        for place, value in enumerate(node.input):
            if value == name:
                node.input[place] = stem
    centred = f"{stem}_centred"
    for suffix, array in (("mean", mean), ("std", std)):
        graph.initializer.append(onnx.numpy_helper.from_array(
            np.asarray(array, np.float32), f"{stem}_{suffix}"))
    return [
        onnx.helper.make_node("Sub", [name, f"{stem}_mean"], [centred], name=centred),
        onnx.helper.make_node("Div", [centred, f"{stem}_std"], [stem], name=stem),
    ]
