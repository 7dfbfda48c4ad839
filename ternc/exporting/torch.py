"""A PyTorch model to ONNX by torch.onnx.export, in inference mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from ternc.diagnostics import CompileError, Diagnostic, UsageError
from ternc.exporting.failures import called_with, exporting
from ternc.exporting.torch_projections import written_out
from ternc.exporting.torch_uncalled import no_weight_read_past_its_layer


def from_torch(model: Any, example_inputs: Any) -> onnx.ModelProto:
    """The model called with `example_inputs`; `ternc.exporting.to_onnx` has the errors."""
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
    with _inference_mode(model), exporting("PyTorch", "torch"), torch.no_grad():
        with (no_weight_read_past_its_layer(model),
              called_with([*positional, *(keywords or {}).values()])):
            model(*positional, **keywords or {})
        _check_types([*positional, *(keywords or {}).values()])
        with written_out(model):
            program = torch.onnx.export(
                model, positional, kwargs=keywords, dynamo=True, verbose=False)
        proto: onnx.ModelProto = program.model_proto
        return proto


def _check_types(inputs: list[Any]) -> None:
    """Refuses inputs, and so models, of other precision than programs compute in."""
    import torch

    for value in inputs:
        if isinstance(value, torch.Tensor) and value.dtype in (
                torch.float16, torch.bfloat16, torch.float64):
            kind = str(value.dtype).removeprefix("torch.")
            raise CompileError((Diagnostic(
                "TC0104", f"an example input is {kind}, and programs compute in float32 or "
                "integers",
                help="compile model.float(), with example inputs in float32"),))


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
