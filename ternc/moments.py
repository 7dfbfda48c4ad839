"""Second moments of what a layer reads, in the float model and in the quantized one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.layer_inputs import LayerInputs

Array = npt.NDArray[np.float64]
Feed = Mapping[str, npt.NDArray[np.generic]]


class Moments:
    """Means and covariances of the inputs x of the float layer and x' of the quantized one."""

    def __init__(self, groups: int, size: int) -> None:
        self.count = 0
        self._sum = np.zeros((groups, size))
        self._sum_float = np.zeros((groups, size))
        self._gram = np.zeros((groups, size, size))
        self._cross: Array | None = None

    def add(self, x: npt.NDArray[np.float32], x_float: npt.NDArray[np.float32] | None) -> None:
        """Rows [groups, positions, inputs]; None: the same."""
        self.count += x.shape[1]
        turned = np.swapaxes(x, 1, 2)
        self._sum += x.sum(axis=1, dtype=np.float64)
        self._gram += turned @ x
        if x_float is None:
            return
        if self._cross is None:
            self._cross = np.zeros_like(self._gram)
        self._sum_float += x_float.sum(axis=1, dtype=np.float64)
        self._cross += np.swapaxes(x_float, 1, 2) @ x

    def __add__(self, other: Moments) -> Moments:
        groups, size = self._sum.shape
        total = Moments(groups, size)
        total.count = self.count + other.count
        for name in ("_sum", "_sum_float", "_gram"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        crosses = [half._cross for half in (self, other) if half._cross is not None]
        total._cross = sum(crosses[1:], crosses[0]) if crosses else None
        return total

    @property
    def mean(self) -> Array:
        return self._sum / self.count

    @property
    def mean_float(self) -> Array:
        return self.mean if self._cross is None else self._sum_float / self.count

    @property
    def gram(self) -> Array:
        """Centred, since the bias takes care of the means."""
        return self._gram / self.count - self.mean[:, :, None] * self.mean[:, None, :]

    @property
    def cross(self) -> Array | None:
        if self._cross is None:
            return None
        return self._cross / self.count - self.mean_float[:, :, None] * self.mean[:, None, :]


def moments(model: ir.Model, original: onnx.ModelProto, inputs: LayerInputs,
             feeds: Iterable[Feed]) -> tuple[Moments, Moments]:
    """Those of the even samples and those of the odd ones."""
    from ternc.oracle import Oracle  # onnxruntime takes a second to import

    now = up_to(ir.to_proto(model), inputs.name)
    before = up_to(original, inputs.name)
    changed = now.SerializeToString() != before.SerializeToString()
    oracle, reference = Oracle(now), Oracle(before) if changed else None
    halves = (Moments(inputs.groups, inputs.size), Moments(inputs.groups, inputs.size))
    for index, feed in enumerate(feeds):
        used = {item.name: feed[item.name] for item in now.graph.input}
        x = inputs.columns(np.asarray(oracle.run(used, [inputs.name])[inputs.name]), index)
        x_float = None
        if reference is not None:
            value = np.asarray(reference.run(used, [inputs.name])[inputs.name])
            x_float = inputs.columns(value, index)
        halves[index % 2].add(x, x_float)
    return halves


def up_to(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The part of `model` that computes `tensor`."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    needed, nodes = {tensor}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    del part.graph.node[:]
    part.graph.node.extend(reversed(nodes))
    initializers = [item for item in model.graph.initializer if item.name in needed]
    del part.graph.initializer[:]
    part.graph.initializer.extend(initializers)
    values = {item.name: item for item in (*model.graph.value_info, *model.graph.input,
                                           *model.graph.output)}
    del part.graph.value_info[:]
    del part.graph.output[:]
    part.graph.output.append(values.get(tensor) or onnx.ValueInfoProto(name=tensor))
    return part
