"""PyTorch and Keras models to ONNX, past the traps of their exporters."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

import onnx

from ternc.diagnostics import Diagnostic, UsageError
from ternc.exporting.keras import from_keras
from ternc.exporting.keras_layers import keeps_states
from ternc.exporting.torch import from_torch

_ACCEPTED: Final = (
    "a path, bytes, onnx.ModelProto, onnx_ir.Model, torch.nn.Module (with example_inputs) "
    "or keras.Model")


def export(model: Any, path: str | os.PathLike[str], *, example_inputs: Any = None) -> None:
    """Writes a PyTorch or Keras model as the ONNX file that `ternc.compile` would compile.

    Args:
        model: torch.nn.Module or keras.Model, in whatever mode; it is left as it was.
        path: where the file goes.
        example_inputs: as `to_onnx` has them.

    Raises:
        UsageError: As `to_onnx`; or `model` and `path` are in the other order (TC0403).
        CompileError: As `to_onnx`. Nothing is written then.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError((Diagnostic(
            "TC0403", f"a path is expected, not a {type(path).__name__}",
            help="ternc.export(model, \"model.onnx\")"),))
    Path(path).write_bytes(to_onnx(model, example_inputs).SerializeToString())


def to_onnx(model: Any, example_inputs: Any = None) -> onnx.ModelProto:
    """A PyTorch or Keras model as ONNX, in inference mode; the model itself is left as it was.

    Args:
        model: torch.nn.Module or keras.Model.
        example_inputs: what to call a torch.nn.Module with: a tensor, a tuple of positional
            arguments, or a mapping of keyword arguments. Their shapes become the model's. A
            keras.Model needs them only if it was never called and names no input shape.

    Returns:
        The model; a dynamic batch of a keras.Model is fixed to 1.

    Raises:
        UsageError: `model` is something else (TC0403), example inputs are missing (TC0403), or
            the framework's exporter is not installed (TC0008).
        CompileError: the framework's exporter failed (TC0008).
    """
    # A framework's object exists only where the framework is imported: no import is needed to
    # recognise it, and none is made for objects that are neither.
    if is_keras(model):  # first: on its torch backend a Keras model is a torch.nn.Module too
        return from_keras(model, example_inputs)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return from_torch(model, example_inputs)
    kind = type(model)
    help_ = f"give {_ACCEPTED}"
    if kind.__module__.split(".")[0] in ("tensorflow", "tf_keras"):
        help_ = "Keras 2 models: save and load them in Keras 3, or convert them with tf2onnx"
    raise UsageError((Diagnostic(
        "TC0403", f"a model cannot be a {kind.__module__}.{kind.__qualname__}", help=help_),))


def is_keras(model: Any) -> bool:
    """Whether it is a model of Keras 3."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def is_stateful(model: Any) -> bool:
    """Whether it is a Keras model whose recurrent layers keep their states from call to call.

    Raises:
        CompileError: Some do and some do not (TC0008).
    """
    return is_keras(model) and keeps_states(model)
