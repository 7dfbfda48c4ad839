"""`deploy(model)`: every ternary layer becomes its packed form."""

from __future__ import annotations

from torch import nn

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
    """
    if any(isinstance(module, Deployed) for module in model.modules()):
        raise ValueError("the model is deployed already")
    if isinstance(model, TernaryLayer):
        return deployed(model)
    if not any(isinstance(module, TernaryLayer) for module in model.modules()):
        raise ValueError("the model has no ternary layer: call ternarize(model) and train it")
    made: dict[int, Deployed] = {}
    for parent in list(model.modules()):
        for key, child in list(parent.named_children()):
            if isinstance(child, TernaryLayer):
                if id(child) not in made:
                    made[id(child)] = deployed(child)
                setattr(parent, key, made[id(child)])
    # named_children gives a module only once under its first name; a second name still has it
    for parent in model.modules():
        for key, module in list(parent._modules.items()):
            if module is not None and id(module) in made:
                setattr(parent, key, made[id(module)])
    return model.eval()
