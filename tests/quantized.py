"""Texts and constants from which the tests put quantized models together."""

from __future__ import annotations

from typing import Any

import numpy as np
from _pytest.mark import ParameterSet

from tests.agreement import bytes_, floats, form

# The steps of most models: the float input quantized, int8 weights, the result quantized.
IN = "q=QuantizeLinear(x,s1,z1) d=DequantizeLinear(q,s1,z1) "
KERNEL = "w=DequantizeLinear<axis=0>(w8,sw,zw) "
OUT1 = "qy=QuantizeLinear(t,s1,z1)"
OUT2 = "qy=QuantizeLinear(t,s2,z2)"
OUT3 = "qy=QuantizeLinear(t,s3,z3)"

SHARED: dict[str, Any] = {
    "s1": np.float32(0.02), "z1": np.int8(3), "s2": np.float32(0.03), "z2": np.int8(-7),
    "s3": np.float32(0.05), "z3": np.int8(11), "su": np.float32(0.02), "zu": np.uint8(120),
    "sw": floats(4, low=0.01, high=0.02), "w8": bytes_(4, 3, 3, 3), "zw": np.zeros(4, np.int8),
}


def quantized(
    name: str, *details: Any, inputs: str = "float[1,3,6,6] x",
    outputs: str = "int8[N,M,A,B] qy", **constants: Any,
) -> ParameterSet:
    """A case for pytest; the shared constants that the text names are added."""
    *first, body = details
    words = body.replace("(", ",").replace(")", ",").split(",")
    known = {**{n: v for n, v in SHARED.items() if n in words}, **constants}
    return form(name, *first, f"g ({inputs}) => ({outputs}) {{{body}}}", **known)
