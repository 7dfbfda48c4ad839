"""Ternary layers for PyTorch, drop-in for their `torch.nn` counterparts.

    from ternc.qat.torch import ternarize

    print(ternarize(model, skip=["0", "head"]))   # then train as before
    compiled = ternc.compile(model, example_inputs=(x,))

In training the forward pass sees ternary weights and gradients go straight through to the float
ones. In eval mode the weights are ternary, whatever a warm-up has reached.
"""

from ternc.qat.conversion import Conversion
from ternc.qat.torch.activations import ACTIVATIONS
from ternc.qat.torch.conv import TernaryConv1d, TernaryConv2d
from ternc.qat.torch.convert import ternarize
from ternc.qat.torch.deploy import deploy
from ternc.qat.torch.deployed import (
    DeployedConv1d,
    DeployedConv2d,
    DeployedGRU,
    DeployedLinear,
    DeployedLSTM,
)
from ternc.qat.torch.distill import distill
from ternc.qat.torch.layer import TernaryLayer
from ternc.qat.torch.linear import BitLinear
from ternc.qat.torch.recurrent import TernaryGRU, TernaryLSTM
from ternc.qat.torch.warmup import Warmup

__all__ = [
    "ACTIVATIONS",
    "BitLinear",
    "Conversion",
    "DeployedConv1d",
    "DeployedConv2d",
    "DeployedGRU",
    "DeployedLSTM",
    "DeployedLinear",
    "TernaryConv1d",
    "TernaryConv2d",
    "TernaryGRU",
    "TernaryLSTM",
    "TernaryLayer",
    "Warmup",
    "deploy",
    "distill",
    "ternarize",
]
