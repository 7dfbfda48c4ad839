"""Typed access to a node's inputs and attributes."""

from __future__ import annotations

import onnx_ir as ir


def required_input(node: ir.Node, index: int) -> ir.Value:
    """An input that the operator demands; the checker has seen that it is there."""
    value = node.inputs[index]
    assert value is not None, f"{node.op_type} lacks its input {index}"
    return value


def optional_input(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def operands(node: ir.Node) -> list[ir.Value]:
    """The inputs that are present, in order."""
    return [value for value in node.inputs if value is not None]


def label(node: ir.Node) -> str:
    """What to call the node in messages and listings: its name, else its operator and output."""
    return node.name or f"{node.op_type}:{node.outputs[0].name}"


def attr_int(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def attr_float(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def attr_ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """An attribute that is a list of integers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(int(i) for i in attribute.as_ints())


def attr_str(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()
