"""`ternarize(model)`: every layer that has a ternary form takes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from ternc.qat.conversion import Conversion, Skip, Skipping
from ternc.qat.torch.conv import TernaryConv1d, TernaryConv2d
from ternc.qat.torch.deployed import Deployed
from ternc.qat.torch.layer import TernaryLayer
from ternc.qat.torch.linear import BitLinear
from ternc.qat.torch.recurrent import TernaryGRU, TernaryLSTM

WRAPPERS: Final[Mapping[type[nn.Module], type[TernaryLayer]]] = MappingProxyType({
    wrapper.float_type: wrapper
    for wrapper in (BitLinear, TernaryConv1d, TernaryConv2d, TernaryLSTM, TernaryGRU)
})
"""The ternary layer for each layer of `torch.nn` that has one."""


def ternarize(
    model: nn.Module, scheme: str = "bitnet", *, skip: Skip = (), eps: float = 1e-6,
    quant_type: str | None = None, learn_scale: bool | None = None,
    activations: str | None = "none",
) -> Conversion:
    """Replaces the Linear, Conv1d, Conv2d, LSTM and GRU layers of `model` by ternary ones.

    The new layers hold the same parameter objects, so an optimizer made before goes on working
    (with a learned scale make it afterwards), and tied weights stay tied. Subclasses of these
    types, and layers with a parametrization, are left alone.

    Args:
        model: changed in place.
        scheme: one of `ternc.quantize.SCHEMES`.
        skip: what to leave float: names, patterns of names like "encoder.*", types, or a function
            of name and module. Networks usually keep their first and last layer.
        eps: the least scale of a learned step and of an int8 activation.
        quant_type: another name for `scheme`.
        learn_scale: whether scales are parameters; None: as the scheme is defined.
        activations: how the layers' inputs are quantized, one of `ACTIVATIONS`.

    Returns:
        What was converted, what was skipped and why, and what has no ternary form.

    Raises:
        ValueError: An argument is unknown, a name or pattern in `skip` matches nothing, or
            nothing is left to convert because the model is ternary already.
        TypeError: `model` is no module, or itself a single layer, which cannot be replaced in
            place.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"ternarize takes a torch.nn.Module, not a {type(model).__name__} (Keras "
                        "models: ternc.qat.keras.convert)")
    if isinstance(model, TernaryLayer):
        raise ValueError(  # noqa: TRY004 - the type is right, the layer was converted before
            f"the {type(model).__name__} is ternary already")
    if type(model) in WRAPPERS:
        wrapper = WRAPPERS[type(model)].__name__
        raise TypeError(
            f"a single {type(model).__name__} cannot be replaced in place: "
            f"use {wrapper}.from_float(layer, scheme)")
    if any(isinstance(module, Deployed) for module in model.modules()):
        raise ValueError("the model is deployed: ternarize the trained model, then deploy it")
    options: dict[str, Any] = {
        "eps": eps, "quant_type": quant_type, "learn_scale": learn_scale,
        "activations": activations}
    # unknown arguments are reported even when there is nothing to convert
    BitLinear(1, 1, scheme=scheme, **options)
    wanted = Skipping(skip, ".")
    converted: dict[str, str] = {}
    skipped: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    made: dict[int, nn.Module] = {}
    plan: list[tuple[nn.Module, str, str, nn.Module]] = []
    for path, parent in list(model.named_modules(remove_duplicate=False)):
        if isinstance(parent, TernaryLayer):
            continue
        for key, child in parent._modules.items():
            if child is None:
                continue
            name = f"{path}.{key}" if path else key
            if isinstance(child, TernaryLayer):
                skipped[name] = f"is a {type(child).__name__} already"
            elif type(child) in WRAPPERS:
                reason = wanted.reason(name, child)
                if reason:
                    skipped[name] = reason
                else:
                    plan.append((parent, key, name, child))
            elif parametrize.is_parametrized(child) and type(child).__mro__[1] in WRAPPERS:
                skipped[name] = "has a parametrization"
            elif any(is_lazy(p) for p in child.parameters(recurse=False)):
                skipped[name] = "has no weights yet: run a batch first"
            elif not isinstance(child, parametrize.ParametrizationList) and any(
                    p.dim() > 1 for p in child.parameters(recurse=False)):
                unsupported[name] = type(child).__name__
    wanted.check()
    if not plan and any("already" in reason for reason in skipped.values()):
        raise ValueError("the model is ternary already: there is nothing left to convert")
    for parent, key, name, child in plan:
        if id(child) not in made:
            made[id(child)] = WRAPPERS[type(child)].from_float(child, scheme, **options)
        setattr(parent, key, made[id(child)])
        disable_fast_path(parent)
        converted[name] = type(made[id(child)]).__name__
    return Conversion(
        MappingProxyType(converted), MappingProxyType(skipped), MappingProxyType(unsupported))


def disable_fast_path(parent: nn.Module) -> None:
    """In eval mode TransformerEncoderLayer has a fused form that would read float weights."""
    if isinstance(parent, nn.TransformerEncoderLayer):
        parent.activation_relu_or_gelu = 0
