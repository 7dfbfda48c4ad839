"""Recurrences that exporters write as loops, back as ONNX GRU, LSTM and RNN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import onnx_ir as ir

from ternc.diagnostics import Diagnostics
from ternc.passes._algebra import Affine, Atom, Unrecognised
from ternc.passes._cells import Cell, cell
from ternc.passes._graph import (
    Builder,
    constant,
    graph_of,
    initializer,
    remove_dead,
    scalar,
    static_shape,
)
from ternc.passes._loop_body import Body, Reading, Series
from ternc.passes._reversal import forward_source, reversed_value, settle_reversals
from ternc.passes._same_answer import same_answer
from ternc.passes._unrolled import raise_unrolled
from ternc.passes.fold_constants import FoldConstants
from ternc.passes.simplify import Simplify

_END: Final = 2**31 - 1  # of a Slice to the end


class RaiseRecurrence(ir.passes.InPlacePass):
    """Loop(T, body: h' = cell(X[t], h), scan h') → GRU, LSTM or RNN of X.

    Applies to a Loop with a constant trip count and a condition that stays true, whose body reads
    step t of a float32 sequence [steps, batch, inputs] and computes the equations of ONNX's RNN
    (tanh, relu), GRU (either form) or LSTM, however it writes them: products are multiplied out,
    and slices, splits and transposes of weights followed. tf2onnx writes such loops for Keras GRU,
    SimpleRNN and batch-1 LSTM. A sequence that is reversed before the loop becomes a reversed
    layer. An RNN of at least three steps that is written out (PyTorch's nn.RNN) becomes one
    again, or stays as it is. Both forms run in onnxruntime on random inputs before the new one is
    accepted.

    A Loop that is none of these is TC0105, with what in it was not understood.
    """

    name: ClassVar[str] = "raise_recurrence"

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Raises the loops one by one: a raised one has shapes, which the next may need."""
        refused: set[ir.Node] = set()
        modified = settle_reversals(model.graph)
        while loop := next((n for n in model.graph if n.op_type == "Loop" and n.domain == ""
                            and n not in refused), None):
            try:
                _raise(model, loop)
            except Unrecognised as error:
                refused.add(loop)
                self.diagnostics.error(
                    "TC0105", f"a loop is not a recurrence that ternc knows: {error}",
                    node=loop.name or "", op_type="Loop",
                    help="use a standard LSTM, GRU or SimpleRNN layer, or export it with "
                    "unroll=True")
                continue
            modified = True
            FoldConstants()(model)
            settle_reversals(model.graph)
            Simplify()(model)
        if raise_unrolled(model):
            settle_reversals(model.graph)
            Simplify()(model)
            modified = True
        return ir.passes.PassResult(model, modified)


@dataclass(frozen=True, eq=False, slots=True)
class _Recurrence:
    """A Loop that is understood: `places` are the Loop's outputs that hold the cell's states."""

    cell: Cell
    source: ir.Value
    initial: tuple[ir.Value, ...]
    places: tuple[int, ...]
    scans: tuple[int, ...]  # outputs with the h of every step


def _raise(model: ir.Model, loop: ir.Node) -> None:
    found = _understand(loop)
    for index, output in enumerate(loop.outputs):
        if index not in (*found.places, *found.scans) and (
                output.uses() or output.is_graph_output()):
            raise Unrecognised(f"its output {output.name!r} is no state")
    outputs = [loop.outputs[i] for i in (*found.places, *found.scans)]
    used = [value for value in outputs if value.uses() or value.is_graph_output()]
    made = _build(loop, found)
    pairs = [(value, made[value]) for value in used]
    inputs = [forward_source(found.source)[0], *(v for v in found.initial if constant(v) is None)]
    if not same_answer(model, inputs, [old for old, _ in pairs], [new for _, new in pairs]):
        for _, new in pairs:
            remove_dead(graph_of(loop), new.producer())
        raise Unrecognised("onnxruntime computes something else for what it seems to be")
    for place in found.scans:
        _use_last_state(loop.outputs[place], made[loop.outputs[found.places[0]]])
    for old, new in pairs:
        name = old.name
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        old.name, new.name = None, name
    for node in loop.attributes["body"].as_graph():
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)  # the body may read tensors of the main graph
    graph = graph_of(loop)
    graph.remove(loop, safe=True)
    for value in loop.inputs:
        if value is not None:
            remove_dead(graph, value.producer())


def _understand(loop: ir.Node) -> _Recurrence:
    trips = scalar(loop.inputs[0])
    if trips is None:
        raise Unrecognised("the number of its steps is not constant")
    if loop.inputs[1] is not None and scalar(loop.inputs[1]) != 1:
        raise Unrecognised("it may not start")
    steps = int(trips)
    graph = loop.attributes["body"].as_graph()
    counter, running, *variables = graph.inputs
    goes_on, *results = graph.outputs
    body = Body()
    body.known[counter] = Series(np.arange(steps))
    body.known[running] = np.array(True)  # else the body does not run
    states: dict[Atom, int] = {}
    for index, (variable, result) in enumerate(zip(variables, results, strict=False)):
        _bind(body, variable, result, loop.inputs[2 + index], index, steps, states)
    body.run(list(graph))
    going = body.value(goes_on)
    if not (isinstance(going, np.ndarray) and np.all(going)) and not (
            isinstance(going, Series) and np.all(going.values[: steps - 1])):
        raise Unrecognised("it may stop early")
    for index, variable in enumerate(variables):
        _check_counter(body, variable, results[index], steps)
    following = {atom: _as_row(body, results[index]) for atom, index in states.items()}
    if len(body.readings) != 1:
        raise Unrecognised(f"it reads {len(body.readings)} sequences, not one")
    (x, reading), = body.readings.items()
    _check_reading(reading, steps)
    found = cell(x, following)
    h = following[found.states[0]]
    scans = []
    for index in range(len(variables), len(results)):
        if not _as_row(body, results[index]).same_as(h):
            raise Unrecognised(f"its output {loop.outputs[index].name!r} is not the state")
        scans.append(index)
    places = tuple(states[atom] for atom in found.states)
    initial = [loop.inputs[2 + place] for place in places]
    assert all(value is not None for value in initial)
    return _Recurrence(found, reading.source, tuple(v for v in initial if v is not None), places,
                       tuple(scans))


def _bind(body: Body, variable: ir.Value, result: ir.Value, initial: ir.Value | None, index: int,
          steps: int, states: dict[Atom, int]) -> None:
    """Says what a carried variable is: unchanged, a counter, or a state."""
    origin = result
    while (node := origin.producer()) is not None and node.op_type == "Identity":
        assert node.inputs[0] is not None
        origin = node.inputs[0]
    start = body.value(initial)
    if origin is variable:
        if not isinstance(start, np.ndarray):
            raise Unrecognised("a tensor that is carried unchanged is not constant")
        body.known[variable] = start
    elif isinstance(start, np.ndarray) and start.size == 1 and start.dtype.kind == "i":
        body.known[variable] = Series(start.reshape(-1)[0] + np.arange(steps))
    else:
        shape = static_shape(initial)
        if shape is None or len(shape) != 2:
            raise Unrecognised("a state that is not [batch, hidden]")
        atom = Atom("unknown", shape[1])
        body.known[variable] = Affine.of(atom)
        states[atom] = index


def _check_counter(body: Body, variable: ir.Value, result: ir.Value, steps: int) -> None:
    """A counter was taken to grow by one: its next value must say so."""
    before, after = body.known[variable], body.value(result)
    if isinstance(before, Series) and not (
            isinstance(after, Series) and np.array_equal(after.values, before.values + 1)):
        raise Unrecognised("a counter that does not grow by one")


def _as_row(body: Body, value: ir.Value) -> Affine:
    known = body.value(value)
    if not isinstance(known, Affine):
        raise Unrecognised("a state that does not depend on the data")
    return known


def _check_reading(reading: Reading, steps: int) -> None:
    shape = static_shape(reading.source)
    assert shape is not None
    if shape[0] != steps or not np.array_equal(reading.index, np.arange(steps)):
        raise Unrecognised(f"it does not read all {shape[0]} steps of the sequence in order")


def _build(loop: ir.Node, found: _Recurrence) -> dict[ir.Value, ir.Value]:
    """The nodes that compute the Loop's outputs, by the output that each stands for."""
    builder, graph = Builder(loop), graph_of(loop)
    kind = found.cell
    source, reverse = forward_source(found.source)
    shape = static_shape(source)
    assert shape is not None
    steps, batch, hidden = shape[0], shape[1], kind.r.shape[1]
    stem = loop.name or kind.op_type
    inputs: list[ir.Value | None] = [source]
    for letter, array in (("W", kind.w), ("R", kind.r), ("B", kind.bias)):
        inputs.append(initializer(graph, f"{stem}_{letter}", array[None].astype(np.float32)))
    zero = all((a := constant(v)) is not None and not a.any() for v in found.initial)
    if not zero:
        inputs.append(None)
        axis = initializer(graph, f"{stem}_axis", np.zeros(1, np.int64))
        for value in found.initial:
            inputs.append(builder.node("Unsqueeze", [value, axis], dtype=ir.DataType.FLOAT,
                                       shape=(1, batch, hidden)))
    shapes = [(steps, 1, batch, hidden), *[(1, batch, hidden)] * len(kind.states)]
    names = [f"{stem}_Y", f"{stem}_Y_h", f"{stem}_Y_c"]
    values = [ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(dims))
              for name, dims in zip(names, shapes, strict=False)]
    node = ir.node(
        kind.op_type, inputs,
        {"hidden_size": hidden, "direction": "reverse" if reverse else "forward",
         **kind.attributes},
        outputs=values, name=f"{stem}_{kind.op_type}", metadata_props=dict(loop.metadata_props))
    graph.insert_before(loop, node)
    made = {}
    for place, value in zip(found.places, values[1:], strict=True):
        made[loop.outputs[place]] = _squeezed(builder, stem, value, 0)
    for place in found.scans:
        scan = loop.outputs[place]
        inside = _squeezed(builder, stem, values[0], 1)
        made[scan] = reversed_value(builder, inside, stem) if reverse else inside
    return made


def _squeezed(builder: Builder, stem: str, value: ir.Value, axis: int) -> ir.Value:
    assert value.shape is not None
    dims = [d for i, d in enumerate(value.shape) if i != axis]
    where = builder.constant("axis", np.array([axis], np.int64))
    return builder.node("Squeeze", [value, where], shape=dims, name=f"{stem}_state")


def _use_last_state(scan: ir.Value, state: ir.Value) -> None:
    """Lets a Slice of the last step read the last state, so that the sequence need not be kept."""
    squeeze = state.producer()
    assert squeeze is not None
    assert squeeze.inputs[0] is not None
    last = squeeze.inputs[0]  # [1, batch, hidden], as the Slice has it
    for use in list(scan.uses()):
        node = use.node
        if node.op_type != "Slice" or use.idx != 0 or len(node.inputs) not in (4, 5):
            continue
        bounds = [scalar(value) for value in node.inputs[1:]]
        steps = static_shape(scan) or ()
        length = steps[0] if steps else None
        start, end, axis = bounds[0], bounds[1], bounds[2]
        if axis != 0 or start is None or end is None or (len(bounds) == 4 and bounds[3] != 1):
            continue
        if start == -1 and end >= (length or _END):
            node.replace_input_with(0, last)
