"""Raising the default opset with onnx's version converter, without its blind spots.

The converter refuses operators that it has no schema for and drops the metadata of nodes. So
such nodes are moved to a domain of their own while it works, and metadata is put back after.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import onnx
import onnx.version_converter
import onnx_ir as ir

_HIDDEN = "ternc.hidden"


class CannotConvertError(Exception):
    """The version converter has no rule for an operator of the model."""


def introduced(op_type: str) -> int | None:
    """The opset that brought operator `op_type` of the default domain, None if there is none."""
    return _introductions().get(op_type)


@functools.cache  # to list the schemas takes longer than all the passes together
def _introductions() -> dict[str, int]:
    found: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            earliest = found.get(schema.name, schema.since_version)
            found[schema.name] = min(earliest, schema.since_version)
    return found


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def convert_opset(model: ir.Model, version: int) -> ir.Model:
    """`model` with its default opset raised to `version`.

    Raises:
        CannotConvertError: the converter knows no way, and says for which operator.
    """
    proto = ir.to_proto(model)
    # up to IR version 3 an initializer had to be an input as well, which RemoveInitializers undid
    proto.ir_version = max(proto.ir_version, 4)
    current = model.graph.opset_imports.get("", 1)
    if current < 7:
        _slopes_per_channel(proto)
    for node in _nodes(proto.graph):
        first = introduced(node.op_type) if node.domain == "" else 0
        if first is None or first > current:
            node.domain = _HIDDEN
    proto.opset_import.append(onnx.helper.make_opsetid(_HIDDEN, 1))
    converted = _convert(proto, version)
    for node in _nodes(converted.graph):
        if node.domain == _HIDDEN:
            node.domain = ""
    imports = [item for item in converted.opset_import if item.domain != _HIDDEN]
    del converted.opset_import[:]
    converted.opset_import.extend(imports)
    converted.ir_version = max(proto.ir_version, onnx.helper.find_min_ir_version_for(
        [item for item in imports if item.domain in ("", "ai.onnx.ml")], ignore_unknown=True))
    _restore_metadata(proto, converted)
    return ir.from_proto(converted)


def _slopes_per_channel(proto: onnx.ModelProto) -> None:
    """Below opset 7 PRelu has one slope per channel; the converter lets it broadcast from behind.

    A slope [C] becomes [C, 1, ...] as the input has dimensions behind its channels.
    """
    slopes = {tensor.name: tensor for tensor in proto.graph.initializer}
    found = [node for node in proto.graph.node
             if node.op_type == "PRelu" and node.domain == "" and node.input[1] in slopes]
    if not found:
        return
    graph = onnx.shape_inference.infer_shapes(proto).graph
    ranks = {value.name: len(value.type.tensor_type.shape.dim)
             for value in (*graph.input, *graph.value_info, *graph.output)
             if value.type.tensor_type.HasField("shape")}
    for node in found:
        slope, rank = slopes[node.input[1]], ranks.get(node.input[0], 2)
        if len(slope.dims) == 1 and slope.dims[0] > 1 and rank > 2:
            wide = onnx.TensorProto()
            wide.CopyFrom(slope)
            wide.name = f"{slope.name} of {node.name or node.output[0]}"
            wide.dims.extend([1] * (rank - 2))
            proto.graph.initializer.append(wide)
            node.input[1] = wide.name


def _convert(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    # shapes help it (Softmax), but it refuses a file whose noted shapes are wrong
    for stale in (False, True):
        if stale:
            del proto.graph.value_info[:]
        try:
            return onnx.version_converter.convert_version(proto, version)
        except Exception as error:
            reason = str(error).splitlines()[-1]
    raise CannotConvertError(reason)


def _restore_metadata(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    known = {node.output[0]: node for node in before.graph.node if node.output}
    for node in after.graph.node:
        old = known.get(node.output[0]) if node.output else None
        # a node that the converter added, perhaps under the name of the one that it expanded
        node.name = old.name if old is not None else node.output[0] if node.output else node.name
        if old is not None and not node.metadata_props:
            node.metadata_props.extend(old.metadata_props)
    if not after.metadata_props:
        after.metadata_props.extend(before.metadata_props)
    if not after.graph.doc_string:
        after.graph.doc_string = before.graph.doc_string
