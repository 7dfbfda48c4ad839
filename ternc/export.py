"""PyTorch and Keras models to ONNX, past the traps of their exporters."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import onnx

from ternc.diagnostics import CompileError, Diagnostic, TerncError, UsageError

_ACCEPTED: Final = (
    "a path, bytes, onnx.ModelProto, onnx_ir.Model, torch.nn.Module (with example_inputs) "
    "or keras.Model")


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
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    # first: on its torch backend a Keras model is a torch.nn.Module too
    if keras is not None and isinstance(model, keras.Model):
        return _from_keras(model, example_inputs)
    if torch is not None and isinstance(model, torch.nn.Module):
        return _from_torch(model, example_inputs)
    kind = type(model)
    help_ = f"give {_ACCEPTED}"
    if kind.__module__.split(".")[0] in ("tensorflow", "tf_keras"):
        help_ = "Keras 2 models: save and load them in Keras 3, or convert them with tf2onnx"
    raise UsageError((Diagnostic(
        "TC0403", f"a model cannot be a {kind.__module__}.{kind.__qualname__}", help=help_),))


# --- PyTorch -------------------------------------------------------------------------------------


def _from_torch(model: Any, example_inputs: Any) -> onnx.ModelProto:
    if example_inputs is None:
        raise UsageError((Diagnostic(
            "TC0403", f"a torch.nn.Module ({type(model).__name__}) needs example inputs",
            help="pass example_inputs=(torch.zeros(1, ...),), shaped as one sample"),))
    positional: tuple[Any, ...] = ()
    keywords: dict[str, Any] | None = None
    if isinstance(example_inputs, Mapping):
        keywords = dict(example_inputs)
    elif isinstance(example_inputs, (tuple, list)):
        positional = tuple(example_inputs)
    else:
        positional = (example_inputs,)
    import torch

    def own(value: Any) -> Any:
        # The exporter takes one tensor given for two arguments to be one input of the model.
        return value.detach().clone() if isinstance(value, torch.Tensor) else value

    positional = tuple(own(value) for value in positional)
    if keywords is not None:
        keywords = {name: own(value) for name, value in keywords.items()}
    with _inference_mode(model), _exporting("PyTorch", "torch"), torch.no_grad():
        program = torch.onnx.export(model, positional, kwargs=keywords, dynamo=True, verbose=False)
        proto: onnx.ModelProto = program.model_proto
        return proto


@contextlib.contextmanager
def _inference_mode(model: Any) -> Iterator[None]:
    """`model.eval()`, which the exporter would not do; afterwards each submodule is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


# --- Keras ---------------------------------------------------------------------------------------


def _from_keras(model: Any, example_inputs: Any) -> onnx.ModelProto:
    arguments = _keras_arguments(model, example_inputs)
    _check_recurrent(model)
    with tempfile.TemporaryDirectory(prefix="ternc-") as folder, _exporting("Keras", "keras"):
        path = Path(folder) / "model.onnx"
        if arguments:
            model(*arguments)  # Keras does not export a model that was never called
        # The batch stays dynamic for the exporter, because tf2onnx writes an LSTM of a static
        # batch of one as a Loop.
        model.export(str(path), format="onnx", verbose=False)
        proto = onnx.load(path)
    _fix_batch(proto)
    return proto


def _check_recurrent(model: Any) -> None:
    """Other backends than TensorFlow's write a recurrent layer out step by step.

    Raises:
        CompileError: TC0008, the model has such a layer on such a backend.
    """
    import keras

    backend = keras.config.backend()
    if backend == "tensorflow":
        return
    recurrent = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN)]
    if recurrent:
        raise CompileError((Diagnostic(
            "TC0008", f"Keras on the backend {backend} cannot export {recurrent[0].name!r} "
            f"({type(recurrent[0]).__name__}) as a recurrent layer",
            help="save the model, and load it with KERAS_BACKEND=tensorflow to export it"),))


def _keras_arguments(model: Any, example_inputs: Any) -> tuple[Any, ...]:
    """What to call the model with; empty where it was called already."""
    if isinstance(example_inputs, tuple):
        return example_inputs
    if example_inputs is not None:
        return (example_inputs,)
    inputs = getattr(model, "inputs", None)
    if not inputs:
        if model.built:
            return ()
        raise UsageError((Diagnostic(
            "TC0403", f"the keras.Model {model.name!r} has no input shape yet",
            help="call it once, begin it with keras.Input, or pass example_inputs"),))
    import numpy as np

    zeros = [np.zeros([size or 1 for size in port.shape], str(port.dtype)) for port in inputs]
    return (zeros,) if len(zeros) > 1 else (zeros[0],)


def _fix_batch(proto: onnx.ModelProto) -> None:
    """Dynamic first dimensions := 1; shapes noted for other tensors, now stale, are dropped."""
    initializers = {tensor.name for tensor in proto.graph.initializer}
    changed = False
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in initializers and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
            changed = True
    if changed:
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            dims = value.type.tensor_type.shape.dim
            if dims and not dims[0].HasField("dim_value"):
                dims[0].dim_value = 1


# --- both ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _exporting(framework: str, extra: str) -> Iterator[None]:
    """Turns what an exporter raises into a diagnostic, and keeps it from printing."""
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:
            warnings.simplefilter("ignore")
            with contextlib.redirect_stdout(nowhere):
                yield
    except TerncError:
        raise
    except ImportError as error:
        missing = error.name or str(error)
        raise UsageError((Diagnostic(
            "TC0008", f"to export from {framework}, a package is missing: {missing}",
            help=f"pip install 'ternc[{extra}]'"),)) from error
    except Exception as error:
        text = str(error).strip() or "no reason given"
        raise CompileError((Diagnostic(
            "TC0008", f"{framework} cannot export the model: {type(error).__name__}: "
            f"{text.splitlines()[0]}",
            notes=tuple(text.splitlines()[1:4]),
            help="the exception's __cause__ has all of it; or export the model to ONNX yourself "
            "and pass the file"),)) from error
