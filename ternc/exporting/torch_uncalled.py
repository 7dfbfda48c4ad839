"""Ternary layers that a model holds and never calls, though it reads their weights."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from ternc.diagnostics import CompileError, Diagnostic


@contextlib.contextmanager
def no_weight_read_past_its_layer(model: Any) -> Iterator[None]:
    """Watches a call of the model, made while the context lasts.

    `nn.MultiheadAttention` never calls its `out_proj`: it reads the weight. Of a ternary layer
    that is the float one, which the layer would have made ternary.

    Raises:
        CompileError: TC0008, for each such layer.
    """
    layers = sys.modules.get("ternc.qat.torch.layer")
    if layers is None:  # nobody can have made a ternary layer
        yield
        return
    from torch.overrides import TorchFunctionMode

    uncalled = {name: module for name, module in model.named_modules()
                if isinstance(module, layers.TernaryLayer)}
    names = {id(module): name for name, module in uncalled.items()}
    weights = {id(getattr(module, weight)): name for name, module in uncalled.items()
               for weight in module.ternary_names()}
    readers: dict[str, str] = {}

    class Watching(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:
            kwargs = kwargs or {}
            # a look at its shape or dtype (__get__) is none at its values
            reads = getattr(func, "__name__", "") != "__get__"
            for value in (*args, *kwargs.values()) if reads else ():
                if id(value) in weights:
                    readers.setdefault(weights[id(value)], getattr(func, "__name__", str(func)))
            return func(*args, **kwargs)

    def called(module: Any, _: Any) -> None:
        uncalled.pop(names[id(module)], None)

    handles = [module.register_forward_pre_hook(called) for module in uncalled.values()]
    try:
        with Watching():
            yield
    finally:
        for handle in handles:
            handle.remove()
    found = tuple(
        Diagnostic(
            "TC0008", f"the {type(module).__name__} {name!r} is never called: {readers[name]} "
            "reads its weight, which is float there", source=name,
            help=f"use torch.nn.{type(module).float_type.__name__} there, or a module that calls "
            "its layers; ternc.qat.torch.ternarize leaves such layers alone")
        for name, module in uncalled.items() if name in readers)
    if found:
        raise CompileError(found)
