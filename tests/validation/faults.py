"""How faults are put where they would arise: in the graph, the program, its bytes, or the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

import ternc
from ternc import compiler
from ternc.backends.esp32.build import build
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.program import Instruction, Program, Tensor
from ternc.validation import Report
from tests.validation.fault_model import data, network

Array = npt.NDArray[Any]
GraphFault = Callable[[onnx.GraphProto], None]
ProgramFault = Callable[[Program], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name, the check that must fail, and what runs the validation with it."""

    name: str
    check: str
    report: Callable[[pytest.MonkeyPatch], Report]


def validated(model: Any = None, **more: Any) -> Report:
    """The network, quantized here, validated with its data."""
    given = {"data": data(), "calibration_data": data(), **more}
    if isinstance(model, ternc.CompiledModel):
        given.pop("calibration_data")
    return ternc.validate(network() if model is None else model, "esp32c3", **given)


def in_graph(name: str, check: str, fault: GraphFault) -> Fault:
    """The compiler lowers another graph than it says: whole models and single layers alike."""

    def report(patch: pytest.MonkeyPatch) -> Report:
        real = build

        def wrong(model: ir.Model, *rest: Any, **more: Any) -> Any:
            proto = ir.to_proto(model)
            fault(proto.graph)
            return real(ir.from_proto(proto), *rest, **more)

        patch.setattr(compiler, "build", wrong)
        return validated()

    return Fault(name, check, report)


def in_every_program(name: str, check: str, fault: ProgramFault) -> Fault:
    """The compiler gets an operand wrong, in whole models and single layers alike."""

    def report(patch: pytest.MonkeyPatch) -> Report:
        real = build

        def wrong(*given: Any, **more: Any) -> Any:
            made = real(*given, **more)
            if made is not None:
                fault(made.program)
            return made

        patch.setattr(compiler, "build", wrong)
        return validated()

    return Fault(name, check, report)


def in_the_program(name: str, check: str, fault: ProgramFault) -> Fault:
    """The whole program alone is wrong."""

    def report(_: pytest.MonkeyPatch) -> Report:
        made = ternc.compile(network(), "esp32c3", calibration_data=data())
        fault(made.program)
        made.blob = encode(made.program)
        return validated(made)

    return Fault(name, check, report)


def in_the_bytes(name: str, check: str, fault: Callable[[bytearray], bytes]) -> Fault:
    """What would be flashed is wrong."""

    def report(_: pytest.MonkeyPatch) -> Report:
        made = ternc.compile(network(), "esp32c3", calibration_data=data())
        made.blob = fault(bytearray(made.blob))
        return validated(made)

    return Fault(name, check, report)


def in_use(name: str, check: str, **given: Any) -> Fault:
    """The model, or what the user gives with it, is wrong."""
    return Fault(name, check, lambda _: validated(**{
        key: value() if callable(value) else value for key, value in given.items()}))


# --- the graph -----------------------------------------------------------------------------------


def node(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node of that name, None in the layers that do not have it."""
    return next((item for item in graph.node if item.name == name), None)


def attribute(name: str, key: str, value: Any) -> GraphFault:
    """Another value of an attribute."""

    def fault(graph: onnx.GraphProto) -> None:
        found = node(graph, name)
        if found is not None:
            for old in [item for item in found.attribute if item.name == key]:
                found.attribute.remove(old)
            found.attribute.append(helper.make_attribute(key, value))

    return fault


def swapped(name: str) -> GraphFault:
    """The first two inputs change places."""

    def fault(graph: onnx.GraphProto) -> None:
        found = node(graph, name)
        if found is not None:
            found.input[0], found.input[1] = found.input[1], found.input[0]

    return fault


def without(name: str) -> GraphFault:
    """The node is gone: who read its output reads its input."""

    def fault(graph: onnx.GraphProto) -> None:
        found = node(graph, name)
        if found is None:
            return
        for reader in graph.node:
            for i, value in enumerate(reader.input):
                if value == found.output[0]:
                    reader.input[i] = found.input[0]
        graph.node.remove(found)

    return fault


def operand(name: str, index: int, change: Callable[[Array], Array]) -> GraphFault:
    """Other numbers in a constant operand, quantized or not."""

    def fault(graph: onnx.GraphProto) -> None:
        found = node(graph, name)
        if found is None:
            return
        source = found.input[index]
        for item in graph.node:  # behind a DequantizeLinear
            if source in item.output and item.op_type == "DequantizeLinear":
                source = item.input[0]
        for tensor in graph.initializer:
            if tensor.name == source:
                values = np.asarray(numpy_helper.to_array(tensor)).copy()
                changed = change(values.astype(np.int8) if tensor.data_type == INT2 else values)
                _store(tensor, changed)

    return fault


INT2 = ir.DataType.INT2.value


def _store(tensor: onnx.TensorProto, values: Array) -> None:
    if tensor.data_type != INT2:
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
        return
    made = ir.to_proto(ir.tensor(values.astype(ir.DataType.INT2.numpy()), dtype=ir.DataType.INT2,
                                 name=tensor.name))
    tensor.CopyFrom(made)


def quantization(name: str, *, scale: float = 1.0, zero: int = 0) -> GraphFault:
    """Another scale or zero point of the QuantizeLinear behind a node."""

    def fault(graph: onnx.GraphProto) -> None:
        found = node(graph, name)
        if found is None:
            return
        for item in graph.node:
            if item.op_type == "QuantizeLinear" and item.input[0] == found.output[0]:
                for tensor in graph.initializer:
                    values = np.asarray(numpy_helper.to_array(tensor)) if tensor.name in \
                        item.input[1:] else np.zeros(0)
                    if tensor.name == item.input[1]:
                        _store(tensor, values * np.float32(scale))
                    elif tensor.name in item.input[2:]:
                        _store(tensor, (values + zero).astype(values.dtype))

    return fault


# --- the program ---------------------------------------------------------------------------------


def first(program: Program, layer: str, kernel: str = "") -> Instruction | None:
    """The first instruction of a layer whose kernel's name starts so."""
    return next((item for item in program.instructions
                 if item.layer == layer and item.opcode.name.startswith(kernel)), None)


def changed(
    layer: str, kernel: str, name: str, change: Callable[[Any, Instruction], Any]
) -> ProgramFault:
    """Another value of a number, or other contents of a constant."""

    def fault(program: Program) -> None:
        item = first(program, layer, kernel)
        if item is None:
            return
        value = item.operand(name)
        if isinstance(value, Tensor):
            assert value.data is not None
            value.data = change(value.data.copy(), item).astype(value.data.dtype)
            return
        place = [each.name for each in item.opcode.operands].index(name)
        operands = list(item.operands)
        operands[place] = change(value, item)
        item.operands = tuple(operands)

    return fault


def port(output: bool, **fields: Any) -> ProgramFault:
    """Another field of the first input or output."""

    def fault(program: Program) -> None:
        ports = program.outputs if output else program.inputs
        ports[0] = replace(ports[0], **{
            name: change(getattr(ports[0], name)) for name, change in fields.items()})

    return fault
