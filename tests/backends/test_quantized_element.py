"""Quantized models against onnxruntime: elementwise operators and the borders."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest

from tests.agreement import bytes_, check, floats
from tests.quantized import IN, OUT1, OUT2, OUT3, quantized

FORMS = (
    quantized(
        "Q twice dq/ two inputs consume",
        IN + "a=Relu(d) b=Sigmoid(d) c=Add(a,b) qy=QuantizeLinear(c,s3,z3)",
    ),
    quantized("dq same scale q", IN + "qy=QuantizeLinear(d,s1,z1)"),
    quantized(
        "q->q chain",
        IN + "r=QuantizeLinear(d,s2,z2) e=DequantizeLinear(r,s2,z2) qy=QuantizeLinear(e,s3,z3)",
    ),
    quantized("q->dq->q u8", IN + "qy=QuantizeLinear(d,su,zu)", outputs="uint8[N,M,A,B] qy"),
    quantized(
        "int8 input",
        "d=DequantizeLinear(x,s1,z1) r=Relu(d) qy=QuantizeLinear(r,s2,z2)",
        inputs="int8[1,3,6,6] x",
    ),
    quantized(
        "uint8 input",
        "d=DequantizeLinear(x,su,zu) r=Sigmoid(d) qy=QuantizeLinear(r,s2,z2)",
        inputs="uint8[1,3,6,6] x",
    ),
    quantized(
        "uint8 input two DQ",
        "d=DequantizeLinear(x,su,zu) e=DequantizeLinear(x,s2) r=Add(d,e) "
        "qy=QuantizeLinear(r,s2,z2)",
        inputs="uint8[1,3,6,6] x",
    ),
    quantized(
        "uint8 input also out",
        "d=DequantizeLinear(x,su,zu) r=Relu(d) qy=QuantizeLinear(r,s2,z2) i=Identity(x)",
        inputs="uint8[1,3,6,6] x",
        outputs="int8[N,M,A,B] qy,uint8[1,3,6,6] i",
    ),
    quantized(
        "scale vec1",
        "q=QuantizeLinear(x,sv,zv) d=DequantizeLinear(q,sv,zv) r=Relu(d) "
        "qy=QuantizeLinear(r,sv,zv)",
        sv=np.array([0.02], np.float32),
        zv=np.array([3], np.int8),
    ),
    quantized(
        "no zp",
        "q=QuantizeLinear(x,s1) d=DequantizeLinear(q,s1) r=Relu(d) qy=QuantizeLinear(r,s2)",
        outputs="uint8[N,M,A,B] qy",
    ),
    quantized("out dtype attr", "qy=QuantizeLinear<output_dtype=3>(x,s1)"),
    quantized(
        "q int4",
        "q=QuantizeLinear(x,s1,z4) d=DequantizeLinear(q,s1,z4) qy=QuantizeLinear(d,s2,z2)",
        z4=np.array(0, ml_dtypes.int4),
    ),
    quantized(
        "q uint4",
        "q=QuantizeLinear(x,s1,z4) d=DequantizeLinear(q,s1,z4) t=Relu(d) " + OUT2,
        z4=np.array(7, ml_dtypes.uint4),
    ),
    quantized(
        "input DQ float out",
        "q=QuantizeLinear(x,s1,z1) y=DequantizeLinear(q,s1,z1)",
        outputs="float[N,M,A,B] y",
    ),
    quantized("input q, q is output", "q=QuantizeLinear(x,s1,z1)", outputs="int8[N,M,A,B] q"),
    quantized(
        "clip ints",
        "q=QuantizeLinear(x,s1,z1) c=Clip(q,lo,hi) d=DequantizeLinear(c,s1,z1) "
        "t=Sigmoid(d) " + OUT1,
        lo=np.int8(-20),
        hi=np.int8(50),
    ),
    quantized(
        "clip ints u8",
        "q=QuantizeLinear(x,su,zu) c=Clip(q,lo,hi) d=DequantizeLinear(c,su,zu) t=Relu(d) " + OUT1,
        lo=np.uint8(20),
        hi=np.uint8(150),
    ),
    quantized(
        "clip ints mid out",
        "q=QuantizeLinear(x,s1,z1) c=Clip(q,lo,hi) d=DequantizeLinear(c,s1,z1) t=Relu(d) " + OUT1,
        outputs="int8[N,M,A,B] qy, int8[N,M,A,B] q",
        lo=np.int8(-20),
        hi=np.int8(50),
    ),
    quantized(
        "hardswish decomposed",
        IN + "a=Add(d,c3) b=Clip(a,c0,c6) c=Mul(d,b) e=Div(c,c6) qy=QuantizeLinear(e,s3,z3)",
        c3=np.float32(3),
        c0=np.float32(0),
        c6=np.float32(6),
    ),
    quantized(
        "affine chain",
        IN + "a=Mul(d,m) b=Add(a,n) c=Sub(k,b) r=Relu(c) qy=QuantizeLinear(r,s3,z3)",
        m=floats(3, 1, 1),
        n=floats(3, 1, 1),
        k=floats(1),
    ),
    quantized(
        "affine chain out mid",
        IN + "a=Mul(d,m) b=Add(a,n) qy=QuantizeLinear(b,s3,z3)",
        outputs="int8[N,M,A,B] qy,float[N,M,A,B] a",
        m=floats(3, 1, 1),
        n=floats(3, 1, 1),
    ),
    quantized(
        "affine div",
        IN + "a=Div(d,m) b=Sub(a,n) r=Clip(b,c0,c6) qy=QuantizeLinear(r,s3,z3)",
        m=floats(1, 1, 6, low=0.5),
        n=floats(6, 1),
        c0=np.float32(-0.1),
        c6=np.float32(0.6),
    ),
    quantized(
        "affine after clip",
        IN + "a=Mul(d,m) b=Relu(a) c=Add(b,n) qy=QuantizeLinear(c,s3,z3)",
        m=floats(3, 1, 1),
        n=floats(3, 1, 1),
    ),
    quantized(
        "affine sigmoid",
        IN + "a=Mul(d,m) b=Sigmoid(a) qy=QuantizeLinear(b,s3,z3)",
        m=floats(3, 1, 1),
    ),
    quantized(
        "affine bcast up",
        IN + "a=Mul(d,m) qy=QuantizeLinear(a,s3,z3)",
        inputs="float[1,3] x",
        outputs="int8[N,M] qy",
        m=floats(4, 3),
    ),
    quantized(
        "bn q",
        IN + "a=BatchNormalization(d,g1,g2,g3,g4) r=Relu(a) qy=QuantizeLinear(r,s3,z3)",
        g1=floats(3),
        g2=floats(3),
        g3=floats(3),
        g4=floats(3, low=0.3),
    ),
    quantized(
        "add i8",
        IN + "e=DequantizeLinear(k,s2,z2) t=Add(d,e) " + OUT3,
        inputs="float[1,3,6,6] x, int8[1,3,6,6] k",
    ),
    quantized(
        "sub bcast i8",
        IN + "e=DequantizeLinear(k,s2,z2) t=Sub(e,d) " + OUT3,
        inputs="float[1,3,6,6] x, int8[3,1,6] k",
    ),
    quantized(
        "mul i8 bcast",
        IN + "e=DequantizeLinear(k,s2,z2) t=Mul(e,d) " + OUT3,
        inputs="float[1,3,6,6] x, int8[3,1,1] k",
    ),
    quantized(
        "div i8",
        IN + "e=DequantizeLinear(k,s2,z2) t=Div(d,e) " + OUT3,
        inputs="float[1,3,6,6] x, int8[3,1,1] k",
    ),
    quantized(
        "add dq const", IN + "e=DequantizeLinear(kc,s2,z2) t=Add(d,e) " + OUT3, kc=bytes_(3, 6, 6)
    ),
    quantized(
        "mul dq const left",
        IN + "e=DequantizeLinear(kc,s2,z2) t=Mul(e,d) " + OUT3,
        kc=bytes_(3, 1, 1),
    ),
    quantized(
        "div dq const left",
        IN + "e=DequantizeLinear(kc,s2,z2) t=Div(e,d) " + OUT3,
        kc=bytes_(3, 1, 1),
    ),
    quantized(
        "add const bigger rank",
        IN + "t=Add(d,kk) " + OUT3,
        inputs="float[3] x",
        outputs="int8[N,M] qy",
        kk=floats(2, 3),
    ),
    quantized("x+x i8", IN + "t=Add(d,d) " + OUT3),
    quantized("x*sigmoid(x)", IN + "a=Sigmoid(d) t=Mul(d,a) " + OUT3),
    quantized("prelu q", IN + "t=PRelu(d,sl) " + OUT1, sl=floats(3, 1, 1)),
    quantized(
        "prelu q neg slope big", IN + "t=PRelu(d,sl) " + OUT1, sl=floats(3, 1, 1, low=-3, high=3)
    ),
    quantized("leaky q", IN + "t=LeakyRelu<alpha=0.3>(d) " + OUT1),
    quantized("min const", IN + "t=Min(d,kk) " + OUT1, kk=np.float32(0.4)),
    quantized("min vec const", IN + "t=Min(d,kk) " + OUT1, kk=floats(3, 1, 1)),
    quantized("pow q", IN + "t=Pow(d,kk) " + OUT1, kk=np.float32(2)),
    quantized("cast q", "q=QuantizeLinear(x,s1,z1) y=Cast<to=1>(q)", outputs="float[N,M,A,B] y"),
    quantized(
        "cast q u8", "q=QuantizeLinear(x,su,zu) y=Cast<to=1>(q)", outputs="float[N,M,A,B] y"
    ),
    quantized(
        "cast q u8 i8", "q=QuantizeLinear(x,su,zu) y=Cast<to=3>(q)", outputs="int8[N,M,A,B] y"
    ),
    quantized(
        "cast i8 u8", "q=QuantizeLinear(x,s1,z1) y=Cast<to=2>(q)", outputs="uint8[N,M,A,B] y"
    ),
    quantized("two Q on input",
              IN + "r=QuantizeLinear(x,s2,z2) e=DequantizeLinear(r,s2,z2) t=Add(d,e) " + OUT3),
    quantized("input Q and float use", IN + "t=Add(d,x) " + OUT3),
    quantized("two DQ of one Q", IN + "e=DequantizeLinear(q,s2,z2) t=Mul(d,e) " + OUT3),
    quantized("div by zero act", IN + "e=DequantizeLinear(k,s2) t=Div(d,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k"),
    quantized("add huge ratio", IN + "e=DequantizeLinear(k,sh,z2) t=Add(d,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k", sh=np.float32(1000000000.0)),
    quantized("add tiny ratio", IN + "e=DequantizeLinear(k,sh,z2) t=Add(d,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k", sh=np.float32(1e-09)),
    quantized("rank0 q", IN + "t=Sigmoid(d) " + OUT3,
              inputs="float x", outputs="int8 qy"),
    quantized("rank1 q", IN + "t=Add(d,v) " + OUT3,
              inputs="float[4] x", outputs="int8[N] qy", v=floats(4)),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
