"""Ternary layers for Keras 3, on any of its backends.

    import ternc.qat.keras as qat

    model = qat.convert(model, skip=["stem", "head"])   # then compile and fit as before
    compiled = ternc.compile(model)

In training the forward pass sees ternary kernels and gradients go straight through to the float
ones. At inference kernels are ternary, whatever a warm-up has reached. Importing this package
registers its layers, so that a saved model loads without custom_objects.
"""

from ternc.qat.conversion import Conversion
from ternc.qat.keras.activations import ACTIVATIONS
from ternc.qat.keras.conv import TernaryConv1D, TernaryConv2D, TernaryDepthwiseConv2D
from ternc.qat.keras.convert import convert
from ternc.qat.keras.dense import TernaryDense
from ternc.qat.keras.distill import Distiller, distill
from ternc.qat.keras.layer import TernaryLayer
from ternc.qat.keras.recurrent import TernaryGRU, TernaryLSTM
from ternc.qat.keras.warmup import Warmup

__all__ = [
    "ACTIVATIONS",
    "Conversion",
    "Distiller",
    "TernaryConv1D",
    "TernaryConv2D",
    "TernaryDense",
    "TernaryDepthwiseConv2D",
    "TernaryGRU",
    "TernaryLSTM",
    "TernaryLayer",
    "Warmup",
    "convert",
    "distill",
]
