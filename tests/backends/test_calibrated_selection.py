"""Operators that move and select values inside models that calibration made integer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import ternc
from ternc.compiler import Activations
from tests.agreement import floats, form, instructions, ints

_T = "g (float[1,4,6,6] x) => (float[A,B,C,D] y) {t=Conv<pads=[1,1,1,1]>(x,w) "
_END = " y=Conv<pads=[1,1,1,1]>(u,w)}"
_W = floats(4, 4, 3, 3)
FORMS = (
    form("resize nearest", _T + "u=Resize(t,,s)" + _END, w=_W,
         s=np.array([1, 1, 2, 1.5], np.float32)),
    form("tile", _T + "u=Tile(t,r)" + _END, w=_W, r=ints(1, 1, 2, 1)),
    form("center crop pad", _T + "u=CenterCropPad<axes=[2,3]>(t,r)" + _END, w=_W, r=ints(4, 8)),
    form("scatter nd", _T + "u=ScatterND(t,i,v)" + _END, w=_W, i=np.array([[0, 1]]),
         v=floats(1, 6, 6)),
    form("top k", _T + "u,i=TopK<axis=3>(t,k)" + _END, w=_W, k=ints(4)),
    form("trilu", _T + "u=Trilu(t)" + _END, w=_W),
    form("where", _T + "m=Less(t,z) n=Mul(t,h) u=Where(m,n,t)" + _END, w=_W, z=np.float32(0),
         h=np.float32(0.1)),
)


@pytest.mark.parametrize("model", FORMS)
@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_agrees(kind: Activations, model: onnx.ModelProto) -> None:
    data = np.random.default_rng(0).normal(size=(16, 4, 6, 6)).astype(np.float32)
    compiled = ternc.compile(model, "host", calibration_data={"x": data}, activations=kind)
    floating = ternc.compile(model, "host", check_fit=False)
    x = {"x": data[:1]}
    given, wanted = compiled.run(x)["y"], floating.run(x)["y"]
    assert np.abs(given - wanted).max() <= (0.03 if kind == "int8" else 0.015) * np.abs(
        wanted).max()
    names = instructions(compiled)
    assert not [name for name in names if name.endswith("f32")]
    assert ("compare" in names) is (kind == "int16" and "where" in names)
