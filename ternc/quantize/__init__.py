"""The maths of quantization: affine integers, ternary weights, packing, requantization.

A leaf: imports only the standard library and numpy, so passes and backends may use it.
"""

from ternc.quantize.affine import (
    AffineParameters,
    ChannelWeights,
    affine_parameters,
    dequantize,
    quantize,
    quantize_weights,
)
from ternc.quantize.packing import pack_ternary, pack_trits, unpack_ternary, unpack_trits
from ternc.quantize.requantization import (
    Requantization,
    RequantizationError,
    requantize,
    requantize_constants,
)
from ternc.quantize.short_constants import ShortConstants, short_constants
from ternc.quantize.ternary import SCHEMES, TernaryWeights, ternarize

__all__ = [
    "SCHEMES",
    "AffineParameters",
    "ChannelWeights",
    "Requantization",
    "RequantizationError",
    "ShortConstants",
    "TernaryWeights",
    "affine_parameters",
    "dequantize",
    "pack_ternary",
    "pack_trits",
    "quantize",
    "quantize_weights",
    "requantize",
    "requantize_constants",
    "short_constants",
    "ternarize",
    "unpack_ternary",
    "unpack_trits",
]
