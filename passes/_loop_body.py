"""The body of a Loop, evaluated with rows of algebra for what the data decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.passes._algebra import Affine, Algebra, Atom, Unrecognised
from ternc.passes._graph import dequantized_constant, static_shape

Array = npt.NDArray[Any]

_ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Less": np.less,
    "LessOrEqual": np.less_equal, "Greater": np.greater, "And": np.logical_and,
    "Or": np.logical_or, "Not": np.logical_not, "Neg": np.negative,
}


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """A scalar that depends on the iteration alone: its value in each."""

    values: Array


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """`source[index[t]]`: the step of a sequence that iteration t reads."""

    source: ir.Value
    index: Array


Known = Array | Series | Affine


@dataclass(slots=True)
class Body:
    """Evaluates nodes one by one; `known` is what each value is, `readings` the sequences read."""

    known: dict[ir.Value, Known] = field(default_factory=dict)
    algebra: Algebra = field(default_factory=Algebra)
    readings: dict[Atom, Reading] = field(default_factory=dict)

    def run(self, nodes: Sequence[ir.Node]) -> None:
        """Evaluates `nodes`, which are in topological order."""
        for node in nodes:
            if node.domain not in ("", "ai.onnx"):
                raise Unrecognised(f"the operator {node.domain}::{node.op_type}")
            results = self._evaluate(node)
            for value, result in zip(node.outputs, results, strict=True):
                self.known[value] = result

    def value(self, value: ir.Value | None) -> Known | None:
        """What `value` is, None for a tensor from outside the body that is no constant."""
        if value is None:
            return None
        if value not in self.known:
            array = dequantized_constant(value)
            if array is None:
                return None
            self.known[value] = array
        return self.known[value]

    def row(self, known: Known | None) -> Affine:
        """A constant vector or a row as a row."""
        if isinstance(known, Affine):
            return known
        if not isinstance(known, np.ndarray) or known.size != (known.shape or (1,))[-1]:
            raise Unrecognised("a tensor with more than one row")
        return Affine({}, known.astype(np.float64).reshape(-1))

    def _evaluate(self, node: ir.Node) -> list[Known]:
        values = [self.value(value) for value in node.inputs]
        if node.op_type == "Gather":
            return [self._gather(node, values)]
        if any(known is None and value is not None
               for known, value in zip(values, node.inputs, strict=True)):
            raise Unrecognised(f"{node.op_type} of a tensor from outside that is not constant")
        if any(isinstance(known, Affine) for known in values):
            return self._rows(node, values)
        if any(isinstance(known, Series) for known in values):
            return [self._series(node, values)]
        return _constants(node, [v for v in values if isinstance(v, np.ndarray)])

    def _gather(self, node: ir.Node, values: list[Known | None]) -> Known:
        source, index = node.inputs[0], values[1]
        axis = node.attributes.get_int("axis", 0)
        shape = static_shape(source)
        if source is None or axis != 0 or values[0] is not None or shape is None \
                or len(shape) != 3 or not isinstance(index, Series):
            raise Unrecognised("a Gather that does not read one step of a sequence")
        for atom, reading in self.readings.items():
            if reading.source is source and np.array_equal(reading.index, index.values):
                return Affine.of(atom)
        atom = Atom("unknown", shape[2])
        self.readings[atom] = Reading(source, index.values)
        return Affine.of(atom)

    def _series(self, node: ir.Node, values: list[Known | None]) -> Series:
        plain = [v.values if isinstance(v, Series) else v for v in values]
        if any(isinstance(v, Affine) or v is None for v in plain):
            raise Unrecognised(f"{node.op_type} of the iteration count and data")
        arrays = [np.asarray(v).reshape(-1) for v in plain]
        if node.op_type in ("Identity", "Squeeze", "Unsqueeze", "Reshape"):
            return Series(arrays[0])
        if node.op_type == "Cast":
            return Series(arrays[0].astype(_cast_type(node)))
        if node.op_type not in _ELEMENTWISE:
            raise Unrecognised(f"{node.op_type} of the iteration count")
        return Series(_ELEMENTWISE[node.op_type](*arrays))

    def _rows(self, node: ir.Node, values: list[Known | None]) -> list[Known]:
        first = values[0]
        algebra = self.algebra
        match node.op_type:
            case "Sigmoid" | "Tanh" | "Relu":
                return [algebra.function(node.op_type, self.row(first))]
            case "Add":
                return [algebra.add(self.row(first), self.row(values[1]))]
            case "Sub":
                return [algebra.add(self.row(first), self.row(values[1]), -1.0)]
            case "Neg":
                return [algebra.scale(self.row(first), -np.ones(1))]
            case "Mul":
                return [algebra.product(self.row(first), self.row(values[1]))]
            case "MatMul":
                return [algebra.matmul(self.row(first), _matrix(values[1]))]
            case "Gemm":
                return [self._gemm(node, values)]
            case "Split":
                return self._split(node, values)
            case "Slice":
                return [self._slice(values)]
            case "Concat":
                return [algebra.concat([self.row(v) for v in values])]
            case "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten":
                return [self.row(first)]  # of one sample: the row stays
        raise Unrecognised(f"the operator {node.op_type}")

    def _gemm(self, node: ir.Node, values: list[Known | None]) -> Affine:
        if node.attributes.get_int("transA", 0) or isinstance(values[1], Affine):
            raise Unrecognised("a Gemm with transA, or of two unknowns")
        matrix = _matrix(values[1]) * node.attributes.get_float("alpha", 1.0)
        if node.attributes.get_int("transB", 0):
            matrix = matrix.T
        product = self.algebra.matmul(self.row(values[0]), matrix)
        if len(values) < 3 or values[2] is None:
            return product
        beta = np.full(1, node.attributes.get_float("beta", 1.0))
        return self.algebra.add(product, self.algebra.scale(self.row(values[2]), beta))

    def _split(self, node: ir.Node, values: list[Known | None]) -> list[Known]:
        row = self.row(values[0])
        count = len(node.outputs)
        sizes = values[1] if len(values) > 1 else None
        if isinstance(sizes, np.ndarray):
            edges = np.cumsum(sizes)
        else:
            each = -(-row.size // count)
            edges = np.minimum(np.arange(1, count + 1) * each, row.size)
        starts = [0, *edges[:-1].tolist()]
        return [self.algebra.columns(row, np.arange(start, end))
                for start, end in zip(starts, edges.tolist(), strict=True)]

    def _slice(self, values: list[Known | None]) -> Affine:
        row = self.row(values[0])
        starts, ends, axes, steps = ([*values, None, None][i] for i in range(1, 5))
        if not (isinstance(starts, np.ndarray) and isinstance(ends, np.ndarray)
                and isinstance(axes, np.ndarray)):
            raise Unrecognised("a Slice with computed bounds")
        if isinstance(steps, np.ndarray) and not np.all(steps == 1):
            raise Unrecognised("a Slice with steps")
        columns = np.arange(row.size)
        for start, end, axis in zip(starts.tolist(), ends.tolist(), axes.tolist(), strict=True):
            if axis in (1, -1):
                columns = columns[slice(start, end)]
            elif start != 0:
                raise Unrecognised("a Slice of the samples")
        return self.algebra.columns(row, columns)


def _matrix(known: Known | None) -> npt.NDArray[np.float64]:
    if not isinstance(known, np.ndarray) or known.ndim != 2:
        raise Unrecognised("a product of two unknowns")
    return known.astype(np.float64)


def _cast_type(node: ir.Node) -> Any:
    return ir.DataType(node.attributes.get_int("to", 1)).numpy()


def _constants(node: ir.Node, values: list[Array]) -> list[Known]:
    """The few operators that exporters leave on constants."""
    first = values[0] if values else np.zeros(0)
    match node.op_type:
        case "Constant":
            return [node.attributes["value"].as_tensor().numpy()]
        case "Identity":
            return [first]
        case "Cast":
            return [first.astype(_cast_type(node))]
        case "Squeeze":
            axes = tuple(values[1].tolist()) if len(values) > 1 else None
            return [np.squeeze(first, axes)]
        case "Unsqueeze":
            return [np.expand_dims(first, tuple(values[1].tolist()))]
        case "Reshape":
            return [first.reshape(values[1].tolist())]
        case "Transpose":
            return [first.transpose(node.attributes["perm"].as_ints())]
        case "Split":
            axis = node.attributes.get_int("axis", 0)
            cuts = np.cumsum(values[1])[:-1] if len(values) > 1 else len(node.outputs)
            return list(np.array_split(first, cuts, axis))
        case "Slice" if len(values) == 4:
            where = [slice(None)] * first.ndim
            for start, end, axis in zip(*(v.tolist() for v in values[1:]), strict=True):
                where[axis] = slice(start, end)
            return [first[tuple(where)]]
        case op if op in _ELEMENTWISE:
            return [np.asarray(_ELEMENTWISE[op](*values))]
    raise Unrecognised(f"{node.op_type} of constants")
