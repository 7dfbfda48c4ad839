"""Elementwise operators, casts, inputs and outputs, against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.agreement import check, floats, form

FORMS = (
    form("bool pass",
         "g (bool[3] a) => (bool[3] y) {y=Identity(a)}"),
    form("bool cast",
         "g (bool[3] a) => (float[3] y) {y=Cast<to=1>(a)}"),
    form("cast to bool",
         "g (float[3] a) => (bool[3] y) {y=Cast<to=9>(a)}"),
    form("rank0",
         "g (float x) => (float y) {y=Relu(x)}"),
    form("rank0 add",
         "g (float x, float[3] z) => (float[3] y) {y=Add(x,z)}"),
    form("rank0 softmaxlike mul",
         "g (float x) => (float y) {y=Mul(x,c)}",
         c=np.float32(3)),
    form("clip lo only",
         "g (float[3,4] x) => (float[3,4] y) {y=Clip(x,lo)}",
         lo=np.float32(-0.2)),
    form("clip hi only",
         "g (float[3,4] x) => (float[3,4] y) {y=Clip(x,\"\",hi)}",
         hi=np.float32(0.2)),
    form("clip none",
         "g (float[3,4] x) => (float[3,4] y) {y=Clip(x)}"),
    form("clip attr op6",
         "g (float[3,4] x) => (float[3,4] y) {y=Clip<min=-0.1,max=0.5>(x)}",
         opset=6),
    form("clip lo>hi",
         "g (float[3,4] x) => (float[3,4] y) {y=Clip(x,lo,hi)}",
         lo=np.float32(0.5), hi=np.float32(-0.5)),
    form("conv clip lo>hi",
         "g (float[1,2,4,4] x) => (float[1,2,N,M] y) {t=Conv(x,w) y=Clip(t,lo,hi)}",
         w=floats(2, 2, 2, 2), lo=np.float32(0.5), hi=np.float32(-0.5)),
    form("relu6 chain",
         "g (float[1,2,4,4] x) => (float[1,2,N,M] y) {t=Conv(x,w) u=Clip(t,lo,hi) v=Relu(u) "
         "y=Clip(v,a)}",
         w=floats(2, 2, 2, 2), lo=np.float32(-5), hi=np.float32(0.5), a=np.float32(0.1)),
    form("out const",
         "g (float[2,3] x) => (float[2,3] y, float[2] c) {y=Relu(x)}",
         c=floats(2)),
    form("unused input",
         "g (float[2,3] x, float[4] u) => (float[2,3] y) {y=Relu(x)}"),
    form("x - x",
         "g (float[2,3] x) => (float[2,3] y) {y=Sub(x,x)}"),
    form("min 3",
         "g (float[3] x, float[3] z, float[1] w) => (float[3] y) {y=Min(x,z,w)}"),
    form("max 1",
         "g (float[3] x) => (float[3] y) {y=Max(x)}"),
    form("max3 const",
         "g (float[3] x) => (float[3] y) {y=Max(x,a,b)}",
         a=np.float32(0.1), b=np.float32(0.3)),
    form("pow",
         "g (float[3] x) => (float[3] y) {a=Abs(x) y=Pow(a,b)}",
         b=np.float32(2.5)),
    form("pow2",
         "g (float[3] x) => (float[3] y) {y=Pow(x,b)}",
         b=np.float32(2)),
    form("prelu",
         "g (float[1,3,4,4] x) => (float[1,3,4,4] y) {y=PRelu(x,s)}",
         s=floats(3, 1, 1)),
    form("prelu full",
         "g (float[1,3,4,4] x) => (float[1,3,4,4] y) {y=PRelu(x,s)}",
         s=floats(1, 3, 4, 4)),
    form("const chain",
         "g (float[2,3] x) => (float[2,3] y) {a=Add(c,c) b=Exp(a) y=Mul(x,b)}",
         c=floats(3)),
    form("erf gelu",
         "g (float[2,3] x) => (float[2,3] y) {a=Div(x,r) b=Erf(a) c=Add(b,o) d=Mul(x,c) y=Mul(d,"
         "h)}",
         r=np.float32(2 ** 0.5), o=np.float32(1), h=np.float32(0.5)),
    form("int32 passthrough",
         "g (int32[3] x) => (int32[3] y) {y=Identity(x)}"),
    form("int64 cast i32",
         "g (int64[3] x) => (int32[3] y) {y=Cast<to=6>(x)}"),
    form("u8 cast f",
         "g (uint8[3] x) => (float[3] y) {y=Cast<to=1>(x)}"),
    form("u8 cast f div",
         "g (uint8[3] x) => (float[3] y) {a=Cast<to=1>(x) y=Div(a,c)}",
         c=np.float32(255)),
    form("i16",
         "g (int16[3] x) => (int16[3] y) {y=Identity(x)}"),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
