"""Quantized models against onnxruntime: layers with weights."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest

from tests.agreement import bytes_, check, floats
from tests.quantized import IN, KERNEL, OUT3, SHARED, quantized

NARROW = SHARED["w8"] % 16 - 8

FORMS = (
    quantized("conv", IN + KERNEL + "t=Conv(d,w) " + OUT3),
    quantized(
        "conv u8 act",
        "q=QuantizeLinear(x,su,zu) d=DequantizeLinear(q,su,zu) "
        + KERNEL
        + "t=Conv<pads=[1,1,1,1]>(d,w) qy=QuantizeLinear(t,s3,zu)",
        outputs="uint8[N,M,A,B] qy",
    ),
    quantized("conv relu q", IN + KERNEL + "t=Conv(d,w) r=Relu(t) qy=QuantizeLinear(r,s3,z3)"),
    quantized(
        "conv w zero",
        IN + KERNEL + "t=Conv<pads=[1,1,0,0]>(d,w) " + OUT3,
        zw=np.array([3, -5, 0, 127], np.int8),
    ),
    quantized(
        "conv w uint8",
        IN + KERNEL + "t=Conv<pads=[1,1,0,0]>(d,w) " + OUT3,
        w8=SHARED["w8"].view(np.uint8),
        zw=np.array([3, 255, 128, 0], np.uint8),
    ),
    quantized(
        "conv w uint8 pt",
        IN + "w=DequantizeLinear(w8,s2,zw) t=Conv<pads=[1,1,0,0]>(d,w,bb) " + OUT3,
        w8=SHARED["w8"].view(np.uint8),
        zw=np.uint8(7),
        bb=floats(4),
    ),
    quantized(
        "conv w int4",
        IN + "w=DequantizeLinear<axis=0>(w8,sw) t=Conv<pads=[1,1,0,0]>(d,w) " + OUT3,
        w8=NARROW.astype(ml_dtypes.int4),
    ),
    quantized(
        "conv w uint4 z",
        IN + KERNEL + "t=Conv<pads=[1,1,0,0]>(d,w) " + OUT3,
        w8=(NARROW + 8).astype(ml_dtypes.uint4),
        zw=np.array([3, 15, 8, 0], ml_dtypes.uint4),
    ),
    quantized(
        "conv bias i32",
        IN + KERNEL + "b=DequantizeLinear<axis=0>(b32,sb) t=Conv(d,w,b) " + OUT3,
        b32=np.linspace(-3000, 3000, 4).astype(np.int32),
        sb=(SHARED["sw"] * SHARED["s1"]).astype(np.float32),
    ),
    quantized(
        "conv neg scale",
        IN + "w=DequantizeLinear<axis=0>(w8,nw,zw) t=Conv(d,w) " + OUT3,
        nw=-SHARED["sw"],
    ),
    quantized("conv float out", IN + KERNEL + "y=Conv(d,w)", outputs="float[N,M,A,B] y"),
    quantized(
        "conv float out relu", IN + KERNEL + "t=Conv(d,w) y=Relu(t)", outputs="float[N,M,A,B] y"
    ),
    quantized("conv float in, quant out", KERNEL + "t=Conv(x,w) " + OUT3),
    quantized(
        "conv mid output",
        IN + KERNEL + "t=Conv(d,w) " + OUT3,
        outputs="float[N,M,A,B] t,int8[N,M,A,B] qy",
    ),
    quantized(
        "two Q consumers",
        IN + KERNEL + "t=Conv(d,w) " + OUT3 + " qz=QuantizeLinear(t,s2,z2)",
        outputs="int8[N,M,A,B] qy, int8[N,M,A,B] qz",
    ),
    quantized(
        "Q output & DQ",
        IN
        + KERNEL
        + "t=Conv(d,w) "
        + OUT3
        + " e=DequantizeLinear(qy,s3,z3) r=Relu(e) qz=QuantizeLinear(r,s2,z2)",
        outputs="int8[N,M,A,B] qy, int8[N,M,A,B] qz",
    ),
    quantized(
        "clip ints u8 conv",
        "q=QuantizeLinear(x,su,zu) d=DequantizeLinear(q,su,zu) "
        + KERNEL
        + "t=Conv(d,w) p=QuantizeLinear(t,s3,zu) qy=Clip(p,lo,hi)",
        outputs="uint8[N,M,A,B] qy",
        lo=np.uint8(100),
        hi=np.uint8(150),
    ),
    quantized(
        "residual",
        IN + "w=DequantizeLinear<axis=0>(w3,sw3) t=Conv<pads=[1,1,1,1]>(d,w) "
        "q1=QuantizeLinear(t,s2,z2) d1=DequantizeLinear(q1,s2,z2) u=Add(d,d1) r=Relu(u) "
        "qy=QuantizeLinear(r,s3,z3)",
        w3=SHARED["w8"][:3],
        sw3=SHARED["sw"][:3],
    ),
    quantized(
        "dense w act neg zero",
        IN + "w=DequantizeLinear<axis=1>(wd,sw) t=MatMul(d,w) u=Add(t,b) "
        "qy=QuantizeLinear(u,s3,z3)",
        inputs="float[2,5] x",
        outputs="int8[N,M] qy",
        wd=bytes_(5, 4),
        b=floats(4),
    ),
    quantized(
        "dense w axis0 scale",
        IN + "w=DequantizeLinear<axis=0>(wd,s5) t=MatMul(d,w) " + OUT3,
        inputs="float[2,5] x",
        outputs="int8[N,M] qy",
        wd=bytes_(5, 4),
        s5=floats(5, low=0.01, high=0.02),
    ),
    quantized(
        "dense w blocked",
        IN + "w=DequantizeLinear<axis=0,block_size=2>(wd,s5) t=MatMul(d,w) " + OUT3,
        inputs="float[2,4] x",
        outputs="int8[N,M] qy",
        wd=bytes_(4, 4),
        s5=floats(2, 4, low=0.01, high=0.02),
    ),
    quantized(
        "dense leading 1",
        IN + "w=DequantizeLinear<axis=2>(wd,sw) t=MatMul(d,w) " + OUT3,
        inputs="float[2,5] x",
        outputs="int8[N,M,A] qy",
        wd=bytes_(1, 5, 4),
    ),
    quantized(
        "gemm transA q",
        IN
        + "w=DequantizeLinear<axis=0>(wd,sw) t=Gemm<transA=1,transB=1,alpha=0.5>(d,w,b) "
        + OUT3,
        inputs="float[5,2] x",
        outputs="int8[N,M] qy",
        wd=bytes_(4, 5),
        b=floats(4),
    ),
    quantized(
        "gemm dqC",
        IN + "w=DequantizeLinear<axis=0>(wd,sw) bb=DequantizeLinear(bi,sbi) "
        "t=Gemm<transB=1>(d,w,bb) " + OUT3,
        inputs="float[2,5] x",
        outputs="int8[N,M] qy",
        wd=bytes_(4, 5),
        bi=np.linspace(-1000, 1000, 4).astype(np.int32),
        sbi=np.float32(0.001),
    ),
    quantized(
        "gemm C act q",
        IN + "w=DequantizeLinear<axis=0>(wd,sw) c=DequantizeLinear(k,s2,z2) "
        "t=Gemm<transB=1>(d,w,c) " + OUT3,
        inputs="float[2,5] x, int8[2,4] k",
        outputs="int8[N,M] qy",
        wd=bytes_(4, 5),
    ),
    quantized(
        "matmul 2 act",
        IN + "e=DequantizeLinear(k,s2,z2) t=MatMul(d,e) " + OUT3,
        inputs="float[2,4,5] x, int8[2,5,3] k",
        outputs="int8[N,M,A] qy",
    ),
    quantized(
        "matmul 2 act T",
        IN + "e=DequantizeLinear(k,s2,z2) f=Transpose<perm=[0,2,1]>(e) t=MatMul(d,f) " + OUT3,
        inputs="float[2,4,5] x, int8[2,3,5] k",
        outputs="int8[N,M,A] qy",
    ),
    quantized(
        "flatten dense",
        IN + KERNEL + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
        "u=Flatten(d1) v=DequantizeLinear<axis=1>(wd,sw) t2=MatMul(u,v) "
        "qy=QuantizeLinear(t2,s3,z3)",
        outputs="int8[N,M] qy",
        wd=bytes_(64, 4),
    ),
    quantized(
        "scale huge", IN + KERNEL + "t=Conv(d,w) qy=QuantizeLinear(t,sh,z3)", sh=np.float32(1e30)
    ),
    quantized("convT q axis1",
              IN + "w=DequantizeLinear<axis=1>(wt,st) t=ConvTranspose<strides=[2,2]>(d,w) " + OUT3,
              inputs="float[1,4,5,5] x", wt=bytes_(4, 3, 3, 3), st=floats(3, low=0.01, high=0.02)),
    quantized("convT q groups",
              IN
              + "w=DequantizeLinear<axis=1>(wt,st) "
              "t=ConvTranspose<strides=[2,2],group=2,pads=[1,1,1,1]>(d,w) " + OUT3,
              inputs="float[1,4,5,5] x", wt=bytes_(4, 3, 3, 3), st=floats(3, low=0.01, high=0.02)),
    quantized("convT q axis0",
              IN + "w=DequantizeLinear<axis=0>(wt,st) t=ConvTranspose<strides=[2,2]>(d,w) " + OUT3,
              inputs="float[1,4,5,5] x", wt=bytes_(4, 3, 3, 3), st=floats(4, low=0.01, high=0.02)),
    quantized("convT q ternary",
              IN
              + "w=DequantizeLinear<axis=1>(wt,st) "
              "t=ConvTranspose<strides=[2,2],dilations=[2,1]>(d,w) " + OUT3,
              inputs="float[1,4,5,5] x", wt=bytes_(4, 3, 3, 3) % 3 - 1,
              st=floats(3, low=0.1, high=0.2)),
    quantized("conv axis1 scale", IN + "w=DequantizeLinear<axis=1>(w8,sx) t=Conv(d,w) " + OUT3,
              sx=floats(3, low=0.01, high=0.02)),
    quantized("conv depthwise q",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv<group=3,pads=[1,1,1,1]>(d,w) " + OUT3,
              wd=bytes_(6, 1, 3, 3), sx=floats(6, low=0.01, high=0.02)),
    quantized("conv depthwise tern",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv<group=3,pads=[1,1,1,1]>(d,w) " + OUT3,
              wd=bytes_(3, 1, 3, 3) % 3 - 1,
              sx=floats(3, low=0.1, high=0.2)),
    quantized("conv1d q",
              IN
              + "w=DequantizeLinear<axis=0>(wd,sx) "
              "t=Conv<auto_pad=\"SAME_LOWER\",strides=[2]>(d,w) " + OUT3,
              inputs="float[2,3,9] x", outputs="int8[A,B,C] qy", wd=bytes_(5, 3, 4),
              sx=floats(5, low=0.01, high=0.02)),
    quantized("conv out_c 1", IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv(d,w) " + OUT3,
              wd=bytes_(1, 3, 6, 6), sx=floats(1, low=0.01, high=0.02)),
    quantized("conv 1x1 large",
              IN
              + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv(d,w,b) r=Clip(t,c0,c6) "
              "qy=QuantizeLinear(r,s3,z3)",
              inputs="float[2,32,7,5] x", wd=bytes_(33, 32, 1, 1) % 3 - 1,
              sx=floats(33, low=0.1, high=0.2), b=floats(33), c0=np.float32(-1),
              c6=np.float32(3)),
    quantized("conv 3x3 large tern",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv<pads=[1,1,1,1],strides=[2,2]>(d,w) "
              + OUT3,
              inputs="float[1,16,11,13] x",
              wd=bytes_(24, 16, 3, 3) % 3 - 1,
              sx=floats(24, low=0.1, high=0.2)),
    quantized("conv 3x3 large int8 dil",
              IN
              + "w=DequantizeLinear<axis=0>(wd,sx) t=Conv<pads=[2,2,2,2],dilations=[2,2]>(d,w) "
              + OUT3,
              inputs="float[1,16,11,13] x", wd=bytes_(24, 16, 3, 3),
              sx=floats(24, low=0.01, high=0.02)),
    quantized("dense large tern",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1>(d,w) " + OUT3,
              inputs="float[3,200] x", outputs="int8[A,B] qy",
              wd=bytes_(70, 200) % 3 - 1,
              sx=floats(70, low=0.1, high=0.2)),
    quantized("dense large int8",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1>(d,w) " + OUT3,
              inputs="float[3,201] x", outputs="int8[A,B] qy", wd=bytes_(71, 201),
              sx=floats(71, low=0.01, high=0.02)),
    quantized("dense all zero rows",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1>(d,w) " + OUT3,
              inputs="float[3,64] x", outputs="int8[A,B] qy", wd=np.zeros((9, 64), np.int8),
              sx=floats(9, low=0.01, high=0.02)),
    quantized("dense zero scale",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1>(d,w) " + OUT3,
              inputs="float[3,64] x", outputs="int8[A,B] qy", wd=bytes_(9, 64),
              sx=np.array([0, 0.1, 0.1, 0.1, 0, 0.1, 0.1, 0.1, 0.1], np.float32)),
    quantized("gemm C MN q",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1,alpha=2.0>(d,w,c) " + OUT3,
              inputs="float[3,20] x", outputs="int8[A,B] qy", wd=bytes_(5, 20),
              sx=floats(5, low=0.01, high=0.02), c=floats(3, 5)),
    quantized("matmul left dq const",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=MatMul(w,d) " + OUT3,
              inputs="float[20,3] x", outputs="int8[A,B] qy", wd=bytes_(5, 20),
              sx=floats(5, low=0.01, high=0.02)),
    quantized("matmul left dq const pt", IN + "w=DequantizeLinear(wd,s2) t=MatMul(w,d) " + OUT3,
              inputs="float[20,3] x", outputs="int8[A,B] qy", wd=bytes_(5, 20)),
    quantized("matmul bcast acts q", IN + "e=DequantizeLinear(k,s2,z2) t=MatMul(d,e) " + OUT3,
              inputs="float[2,1,4,5] x, int8[3,5,3] k"),
    quantized("matmul r1 acts q", IN + "e=DequantizeLinear(k,s2,z2) t=MatMul(d,e) " + OUT3,
              inputs="float[5] x, int8[5,3] k", outputs="int8[N] qy"),
    quantized("attention",
              IN
              + "k=Transpose<perm=[0,2,1]>(d) t=MatMul(d,k) q1=QuantizeLinear(t,s3,z3) "
              "d1=DequantizeLinear(q1,s3,z3) sm=Softmax(d1) q2=QuantizeLinear(sm,ss,zs) "
              "d2=DequantizeLinear(q2,ss,zs) u=MatMul(d2,d) qy=QuantizeLinear(u,s2,z2)",
              inputs="float[1,6,8] x", outputs="int8[A,B,C] qy", ss=np.float32(1 / 256),
              zs=np.int8(-128)),
    quantized("softmax nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "n=Softmax<axis=2>(d1) qy=QuantizeLinear(n,s2,z2)"),
    quantized("softmax flat nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "fl=Flatten(d1) n=Softmax<axis=1>(fl) qy=QuantizeLinear(n,s2,z2)",
              outputs="int8[A,B] qy"),
    quantized("argmax flat nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) fl=Flatten(q1) y=ArgMax<axis=1>(fl)",
              outputs="int64[A,B] y"),
    quantized("prelu nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "n=PRelu(d1,sl) qy=QuantizeLinear(n,s2,z2)",
              sl=floats(4, 1, 1)),
    quantized("prelu nhwc wide",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "n=PRelu(d1,sl) qy=QuantizeLinear(n,s2,z2)",
              sl=floats(4, 1, 4)),
    quantized("affine nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "n=Mul(d1,sl) fl=Flatten(n) qy=QuantizeLinear(fl,s2,z2)",
              outputs="int8[A,B] qy", sl=floats(4, 1, 4)),
    quantized("affine after flatten",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "fl=Flatten(d1) n=Mul(fl,sl) qy=QuantizeLinear(n,s2,z2)",
              outputs="int8[A,B] qy", sl=floats(64)),
    quantized("add bcast nhwc",
              IN + KERNEL
              + "t=Conv(d,w) q1=QuantizeLinear(t,s3,z3) d1=DequantizeLinear(q1,s3,z3) "
              "e=DequantizeLinear(k,s2,z2) n=Add(d1,e) qy=QuantizeLinear(n,s2,z2)",
              inputs="float[1,3,6,6] x, int8[4,1,4] k"),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
