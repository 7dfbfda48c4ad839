"""`deploy(model)`: every ternary layer becomes its packed form."""

from __future__ import annotations

from torch import nn

from ternc.qat.torch.convert import disable_fast_path
from ternc.qat.torch.deployed import Deployed, deployed
from ternc.qat.torch.layer import TernaryLayer


def deploy(model: nn.Module) -> nn.Module:
    """Freezes a trained model for inference: ternary weights packed four to a byte.

    Every ternary layer is replaced in place; the packed weights are the only copy that the model
    keeps. Other layers stay as they are. The model is in eval mode afterwards and cannot be
    trained any more, so save the trained one first.

    Returns:
        The model; the deployed layer, where `model` is a ternary layer itself.

    Raises:
        ValueError: The model is deployed already, or has no ternary layer.
        TypeError: `model` is no module, or a layer is of a subclass of a ternary layer.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"deploy takes a torch.nn.Module, not a {type(model).__name__}")
    if any(isinstance(module, Deployed) for module in model.modules()):
        raise ValueError("the model is deployed already")
    if isinstance(model, TernaryLayer):
        return deployed(model)
    if not any(isinstance(module, TernaryLayer) for module in model.modules()):
        raise ValueError("the model has no ternary layer: call ternarize(model) and train it")
    # everything is packed before anything is replaced: a failure leaves the model whole
    made = {
        id(module): deployed(module)
        for module in model.modules() if isinstance(module, TernaryLayer)
    }
    for parent in list(model.modules()):
        # not named_children, which leaves out a second name of the same layer
        for key, child in list(parent._modules.items()):
            if id(child) in made:
                setattr(parent, key, made[id(child)])
                disable_fast_path(parent)
        if isinstance(parent, nn.TransformerEncoder):
            parent.use_nested_tensor = False  # for which it would look at its layers' weights
    return model.eval()
