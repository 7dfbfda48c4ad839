"""Reads a model in any accepted form into onnx_ir, refusing what is broken with a diagnostic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics
from ternc.structure import check_structure

if TYPE_CHECKING:
    Source: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model | Any"
else:
    Source = object

_MAX_ELEMENTS = 2**31


def load(source: Source, example_inputs: tuple[Any, ...] | None = None) -> onnx.ModelProto:
    """The model as a protobuf with all data inside.

    Args:
        source: path, bytes, onnx.ModelProto, onnx_ir.Model, torch.nn.Module or keras.Model.
        example_inputs: positional inputs to export a torch.nn.Module with.

    Raises:
        CompileError: the file is missing, unreadable, not ONNX, or its external data is not there.
    """
    if isinstance(source, ir.Model):
        return ir.to_proto(source)
    if isinstance(source, onnx.ModelProto):
        proto, folder = source, None
    elif isinstance(source, bytes):
        proto, folder = _parse(source, "the bytes given"), None
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            why = error.strerror if isinstance(error, OSError) else error
            raise _failure(
                "TC0001", f"cannot read {str(path)!r}: {why}", "check the path"
            ) from None
        proto, folder = _parse(data, repr(path.name)), path.resolve().parent
    else:
        from ternc.exporting import to_onnx

        return load(to_onnx(source, example_inputs))
    diagnostics = Diagnostics()
    check_structure(proto, diagnostics)
    diagnostics.raise_errors()
    _check_tensors(proto, folder, diagnostics)
    diagnostics.raise_errors()
    if folder is not None:
        try:
            onnx.load_external_data_for_model(proto, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise _failure("TC0004", f"the external data cannot be read: {error}",
                           "export the model again") from None
    return proto


def is_stateful(source: Source) -> bool:
    """Whether the recurrent layers of a Keras model keep their states; False for other models.

    Raises:
        CompileError: some do and some do not.
    """
    if isinstance(source, (ir.Model, onnx.ModelProto, bytes, str, os.PathLike)):
        return False
    from ternc.exporting import is_stateful

    return is_stateful(source)


def _failure(code: str, message: str, help: str = "") -> CompileError:
    return CompileError((Diagnostic(code, message, help=help),))


def _parse(data: bytes, what: str) -> onnx.ModelProto:
    help_ = "export the model to ONNX first; a download may have been cut short"
    try:
        proto = onnx.ModelProto()
        proto.ParseFromString(data)
    except DecodeError:
        raise _failure("TC0002", f"{what} is not an ONNX model, or is truncated", help_) from None
    if not proto.graph.node and not proto.graph.output:
        raise _failure("TC0002", f"{what} holds no ONNX graph", help_)
    return proto


def _check_tensors(proto: onnx.ModelProto, folder: Path | None, diagnostics: Diagnostics) -> None:
    """Sizes of tensors against their data, and external files against the model's folder."""
    for tensor in _tensors(proto):
        count = 1
        for dim in tensor.dims:
            count *= dim
            if dim < 0 or count > _MAX_ELEMENTS:
                diagnostics.error(
                    "TC0106",
                    f"tensor {tensor.name!r} has the impossible shape {list(tensor.dims)}",
                    help="the file is damaged, or made to do harm",
                )
                break
        else:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                _check_external(tensor, count, folder, diagnostics)
            elif tensor.HasField("raw_data"):
                _check_raw(tensor, count, diagnostics)


def _tensors(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Every tensor that holds numbers: of the graph, its nodes, their bodies and the functions."""
    found: list[onnx.TensorProto] = []
    nodes = [node for function in proto.functions for node in function.node]
    graphs = [proto.graph]
    while nodes or graphs:
        if graphs:
            graph = graphs.pop()
            found.extend(graph.initializer)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            found.extend(attribute.tensors)
            graphs.extend(attribute.graphs)
            if attribute.HasField("g"):
                graphs.append(attribute.g)
    return found


def _nbytes(tensor: onnx.TensorProto, count: int, diagnostics: Diagnostics) -> int | None:
    """Bytes that `count` elements take."""
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (TypeError, ValueError):
        diagnostics.error("TC0104", f"tensor {tensor.name!r} has an unknown element type")
        return None
    return (count * bits + 7) // 8


def _check_raw(tensor: onnx.TensorProto, count: int, diagnostics: Diagnostics) -> None:
    expected = _nbytes(tensor, count, diagnostics)
    if expected is not None and len(tensor.raw_data) != expected:
        diagnostics.error(
            "TC0003", f"tensor {tensor.name!r} of shape {list(tensor.dims)} holds "
            f"{len(tensor.raw_data)} bytes instead of {expected}",
            help="the file is damaged: export it again")


def _check_external(
    tensor: onnx.TensorProto, count: int, folder: Path | None, diagnostics: Diagnostics
) -> None:
    values = {entry.key: entry.value for entry in tensor.external_data}
    location = values.get("location", "")
    if folder is None:
        diagnostics.error(
            "TC0004",
            f"the data of tensor {tensor.name!r} is in the file {location!r}, and a model "
            "given as bytes or as an object has no folder",
            help="pass the model's path, or load the data with onnx.load",
        )
        return
    try:
        path = (folder / location).resolve()
    except (OSError, ValueError):  # a name that no file can have
        path = folder
    expected = _nbytes(tensor, count, diagnostics)
    if not location or folder not in path.parents:
        diagnostics.error("TC0004", f"tensor {tensor.name!r} asks for data outside the model's "
                          f"folder: {location!r}", help="put the data beside the model")
    elif not path.is_file():
        diagnostics.error("TC0004", f"tensor {tensor.name!r}: the external data file {location!r} "
                          "is missing", help=f"put {location!r} beside the model")
    elif expected is not None and _reads(path, values) != expected:
        diagnostics.error("TC0004", f"tensor {tensor.name!r} of shape {list(tensor.dims)} needs "
                          f"{expected} bytes, and its part of the external data file {location!r} "
                          "is of another size", help="export the model again")


def _reads(path: Path, values: dict[str, str]) -> int | None:
    """Bytes that the entries of external data select, None where they lie outside the file."""
    size = path.stat().st_size
    try:
        offset = int(values.get("offset", "0"))
        length = int(values.get("length", size - offset))
    except ValueError:
        return None
    return length if offset >= 0 and length >= 0 and offset + length <= size else None
