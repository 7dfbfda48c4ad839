"""Whether a protobuf is a graph at all: what every pass takes for granted, checked once.

`onnx.checker` is too strict to run first (it refuses QONNX models and what `repair` mends), and it
stops at the first problem. `blames_the_model` asks it afterwards, when something went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import onnx
from google.protobuf.message import Message

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics, TerncError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HELP: Final = "the file is damaged: export the model again"
_STANDARD: Final = frozenset({"", "ai.onnx"})
_POSITIVE: Final = frozenset({"group", "strides", "dilations", "kernel_shape"})
_SHOWN: Final = 5  # a damaged file may break hundreds of nodes


def check_structure(proto: onnx.ModelProto, diagnostics: Diagnostics) -> None:
    """Reports (TC0003) broken text and attributes, and names that nothing or two nodes define."""
    for text in _undecodable(proto):
        diagnostics.error("TC0003", f"the model holds text that is not UTF-8: {text[:40]!r}",
                          help=_HELP)
        return
    _check_graph(proto.graph, set(), diagnostics)


def _undecodable(message: Message) -> Iterator[bytes]:
    """Strings that protobuf could not decode: it hands them out as bytes."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, (Message, str, bytes)) else value
        if field.type == field.TYPE_MESSAGE:
            for item in values:
                yield from _undecodable(item)
        elif field.type == field.TYPE_STRING:
            yield from (item for item in values if isinstance(item, bytes))


def _check_graph(graph: onnx.GraphProto, outer: set[str], diagnostics: Diagnostics) -> None:
    known = outer | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    known |= {value.name for value in graph.input}
    problems: list[Diagnostic] = []

    def problem(message: str, node: onnx.NodeProto | None = None) -> None:
        problems.append(Diagnostic(
            "TC0003", message, node=node.name if node is not None else "",
            op_type=node.op_type if node is not None else "", help=_HELP))

    for node in graph.node:
        for name in filter(None, node.output):
            if name in known:
                problem(f"tensor {name!r} is defined twice", node)
            known.add(name)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in known:
                problem(f"tensor {name!r} is read, but nothing produces it", node)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.UNDEFINED and not attribute.ref_attr_name:
                problem(f"attribute {attribute.name!r} has no type", node)
            numbers = attribute.ints or [attribute.i]
            if attribute.name in _POSITIVE and node.domain in _STANDARD and min(numbers) < 1:
                problem(f"attribute {attribute.name!r} is not above zero", node)
            if attribute.type == onnx.AttributeProto.STRING and not _is_text(attribute.s):
                problem(f"attribute {attribute.name!r} is not UTF-8: {attribute.s[:40]!r}", node)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    _check_graph(inner, known, diagnostics)
    for value in graph.output:
        if value.name not in known:
            problem(f"output {value.name!r} is produced by no node")
    for item in problems[:_SHOWN]:
        diagnostics.add(item)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def blames_the_model(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turns an unforeseen exception into TC0003 where the model breaks ONNX's specification.

    The first argument of `function` is the model. Where `onnx.checker` finds nothing wrong with
    it, the exception is ternc's own fault and passes through.
    """

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except TerncError:
            raise
        except Exception as error:
            item = _verdict(args[0] if args else kwargs.get("model"))
            if item is None:
                raise
            raise CompileError((item,)) from error

    return wrapped


def _verdict(model: Any) -> Diagnostic | None:
    from ternc.frontend import load

    try:
        proto = load(model)
    except Exception:
        return None
    if any(node.domain not in _STANDARD for node in proto.graph.node):
        return None  # the checker refuses what ternc imports
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # ValidationError, InferenceError, and what damaged bytes bring
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Diagnostic("TC0003", f"onnx.checker refuses the model: {' '.join(lines[:2])[:300]}",
                          help=_HELP)
    return None
