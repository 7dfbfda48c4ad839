"""RNNs that an exporter wrote out step by step, as PyTorch's does with nn.RNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from ternc.passes._algebra import Affine, Atom, Matrix, Unrecognised
from ternc.passes._graph import (
    Builder,
    constant,
    dequantized_constant,
    graph_of,
    initializer,
    input_at,
    scalar,
    static_shape,
)
from ternc.passes._loop_body import Body
from ternc.passes._reversal import forward_source, reversed_value
from ternc.passes._same_answer import same_answer

_FEWEST = 3  # of fewer steps, the written-out form is the better one


def raise_unrolled(model: ir.Model) -> bool:
    """Concat(h_1, ..., h_T), h_t = act(P[t] + h_(t-1) R + b) → RNN; whether there was one."""
    for node in list(model.graph):
        if node.op_type == "Concat" and node.domain == "" and len(node.inputs) >= _FEWEST:
            try:
                _raise(model, node)
            except Unrecognised:
                continue  # written out, it compiles as well, into more code
            common.RemoveUnusedNodesPass()(model)
            raise_unrolled(model)  # a layer above may read the sequence
            return True
    return False


@dataclass(frozen=True, eq=False, slots=True)
class _Rnn:
    """x [steps, batch, inputs], W [hidden, inputs], R [hidden, hidden], bias [hidden]."""

    kind: str
    x: ir.Value
    w: Matrix
    r: Matrix
    bias: Matrix
    reverse: bool


@dataclass(slots=True)
class _Chain:
    """Evaluates the input of each step's activation in terms of the one before."""

    states: dict[ir.Value, Atom]
    body: Body = field(default_factory=Body)
    steps: dict[tuple[ir.Value, int], Atom] = field(default_factory=dict)

    def row(self, value: ir.Value) -> None:
        """Makes `value` known to the body."""
        if value in self.body.known:
            return
        if value in self.states:
            self.body.known[value] = Affine.of(self.states[value])
            return
        read = _step(value)
        if read is not None:
            shape = static_shape(read[0])
            assert shape is not None
            atom = self.steps.setdefault(read, Atom("unknown", shape[2]))
            self.body.known[value] = Affine.of(atom)
            return
        node = value.producer()
        if node is None or dequantized_constant(value) is not None:
            return
        if node.op_type not in ("Add", "MatMul", "Gemm", "Squeeze", "Unsqueeze", "Reshape"):
            raise Unrecognised(node.op_type)
        for operand in node.inputs:
            if operand is not None:
                self.row(operand)
        self.body.run([node])


def _step(value: ir.Value) -> tuple[ir.Value, int] | None:
    """(sequence, t) where `value` is step t of a sequence [steps, batch, size]."""
    node = value.producer()
    if node is not None and node.op_type in ("Squeeze", "Reshape") and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in ("Slice", "Gather"):
        return None
    source = node.inputs[0]
    shape = static_shape(source)
    if source is None or shape is None or len(shape) != 3:
        return None
    if node.op_type == "Gather":
        index = scalar(node.inputs[1])
        axis = node.attributes.get_int("axis", 0)
        return (source, int(index) % shape[0]) if index is not None and axis == 0 else None
    start, end, axis_, step = (
        scalar(input_at(node, i)) if input_at(node, i) is not None else default
        for i, default in ((1, None), (2, None), (3, 0), (4, 1)))
    if axis_ != 0 or step != 1 or start is None or end is None or start < 0 or end != start + 1:
        return None
    return source, int(start)


def _understand(values: Sequence[ir.Value]) -> _Rnn:
    kinds = {node.op_type if (node := value.producer()) is not None else "" for value in values}
    shapes = {static_shape(value) for value in values}
    shape = next(iter(shapes))
    if len(kinds) != 1 or not kinds <= {"Tanh", "Relu"} or len(shapes) != 1 or shape is None \
            or len(shape) != 3 or shape[0] != 1:
        raise Unrecognised("no steps of one activation")
    chain = _Chain({value: Atom("unknown", shape[2]) for value in values})
    rows = []
    for value in values:
        node = value.producer()
        assert node is not None
        assert node.inputs[0] is not None
        chain.row(node.inputs[0])
        rows.append(chain.body.row(chain.body.value(node.inputs[0])))
    return _solve(values, rows, chain, kinds.pop())


def _solve(values: Sequence[ir.Value], rows: Sequence[Affine], chain: _Chain, kind: str) -> _Rnn:
    """W, R and the bias that every step shares; the first has no state before it."""
    reads = {atom: place for place, atom in chain.steps.items()}
    sources = {source for source, _ in chain.steps}
    if len(sources) != 1 or len(chain.steps) != len(values):
        raise Unrecognised("the steps read more than one sequence")
    source = sources.pop()
    shape = static_shape(source)
    if shape is None or shape[0] != len(values):
        raise Unrecognised("not all steps of the sequence are read")
    w = r = None
    for index, row in enumerate(rows):
        previous = chain.states[values[index - 1]] if index else None
        for atom, matrix in row.terms.items():
            if atom is previous:
                r = matrix if r is None else r
                good = np.array_equal(matrix, r)
            else:
                w = matrix if w is None else w
                good = reads.get(atom) == (source, index) and np.array_equal(matrix, w)
            if not good:
                raise Unrecognised("the steps differ")
        if not np.allclose(row.bias, rows[-1].bias, rtol=1e-6, atol=1e-7):
            raise Unrecognised("the steps have different biases, or the first state is not zero")
    if w is None or r is None:
        raise Unrecognised("no state is carried")
    x, reverse = forward_source(source)
    x, before, added = _projection(x, w.shape[0])
    return _Rnn(kind, x, (before @ w).T, r.T, rows[-1].bias + added @ w, reverse)


def _projection(value: ir.Value, size: int) -> tuple[ir.Value, Matrix, Matrix]:
    """x, W and b where `value` is x W + b; else the value, the identity, and 0."""
    bias = np.zeros(size)
    node, below = value.producer(), value
    if node is not None and node.op_type == "Add":
        operands = [(v, constant(v)) for v in node.inputs]
        known = [a for _, a in operands if a is not None and a.size == size]
        other = [v for v, a in operands if a is None and v is not None]
        if len(known) == 1 and len(other) == 1:
            bias, below = known[0].astype(np.float64).reshape(-1), other[0]
            node = below.producer()
    if node is None or node.op_type != "MatMul" or node.inputs[0] is None:
        return value, np.eye(size), np.zeros(size)
    matrix, shape = dequantized_constant(node.inputs[1]), static_shape(node.inputs[0])
    if matrix is None or matrix.ndim != 2 or shape is None or len(shape) != 3:
        return value, np.eye(size), np.zeros(size)
    return node.inputs[0], matrix.astype(np.float64), bias


def _raise(model: ir.Model, concat: ir.Node) -> None:
    values = [value for value in concat.inputs if value is not None]
    if concat.attributes.get_int("axis", 0) != 0:
        raise Unrecognised("not along time")
    last_first = False
    try:
        found = _understand(values)
    except Unrecognised:
        values.reverse()
        last_first = True
        found = _understand(values)
    for value in values[:-1]:
        others = [use.node for use in value.uses() if use.node is not concat]
        if len(others) > 1 or value.is_graph_output():
            raise Unrecognised("a state in the middle is used by itself")
    builder, graph = Builder(concat), graph_of(concat)
    steps, (_, batch, hidden) = len(values), static_shape(values[0]) or (0, 0, 0)
    stem = concat.outputs[0].name or "rnn"
    inputs: list[ir.Value | None] = [found.x]
    bias = np.concatenate([found.bias, np.zeros_like(found.bias)])
    for letter, array in (("W", found.w), ("R", found.r), ("B", bias)):
        inputs.append(initializer(graph, f"{stem}_{letter}", array[None].astype(np.float32)))
    outputs = [ir.Value(name=f"{stem}_{name}", type=ir.TensorType(ir.DataType.FLOAT),
                        shape=ir.Shape(dims))
               for name, dims in (("Y", (steps, 1, batch, hidden)), ("Y_h", (1, batch, hidden)))]
    attributes: dict[str, int | str | Sequence[str]] = {
        "hidden_size": hidden, "direction": "reverse" if found.reverse else "forward"}
    if found.kind == "Relu":
        attributes["activations"] = ("Relu",)
    graph.insert_before(concat, ir.node(
        "RNN", inputs, attributes, outputs=outputs, name=f"{stem}_RNN",
        metadata_props=dict(concat.metadata_props)))
    new = builder.node("Squeeze", [outputs[0], builder.constant("axis", np.array([1], np.int64))],
                       shape=(steps, batch, hidden))
    if found.reverse != last_first:
        new = reversed_value(builder, new, stem)
    old, last = concat.outputs[0], values[-1]
    if not same_answer(model, [found.x], [old, last], [new, outputs[1]]):
        raise Unrecognised("onnxruntime computes something else")
    name = old.name
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name, new.name = None, name
    for use in list(last.uses()):
        if use.node is not concat:
            use.node.replace_input_with(use.idx, outputs[1])
