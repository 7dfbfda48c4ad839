"""Quantized models against onnxruntime: pools, reductions and movement."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.agreement import bytes_, check, floats, ints
from tests.quantized import IN, OUT1, OUT2, OUT3, quantized

FORMS = (
    quantized("uint8 DQ transpose",
              "xt=Transpose(x) d=DequantizeLinear(xt,su,zu) r=Relu(d) qy=QuantizeLinear(r,s2,z2)",
              inputs="uint8[1,3,6,6] x"),
    quantized("reshape then q",
              "r=Reshape(x,sh) q=QuantizeLinear(r,s1,z1) d=DequantizeLinear(q,s1,z1) "
              "t=Sigmoid(d) y=Identity(t)",
              outputs="float[N,M] y", sh=ints(1, -1)),
    quantized("affine view", IN + "a=Mul(d,m) b=Transpose(a) qy=QuantizeLinear(b,s3,z3)",
              m=floats(3, 1, 1)),
    quantized("x-x^T view", IN + "a=Transpose<perm=[0,1,3,2]>(d) t=Sub(d,a) " + OUT3),
    quantized("MaxPool<kernel_shape=[2,2],strides=[2,2]> i8",
              IN + "t=MaxPool<kernel_shape=[2,2],strides=[2,2]>(d) " + OUT2),
    quantized("MaxPool<kernel_shape=[2,2],strides=[2,2]> same scale",
              IN + "t=MaxPool<kernel_shape=[2,2],strides=[2,2]>(d) " + OUT1),
    quantized("MaxPool<kernel_shape=[2,2],strides=[2,2]> then float",
              IN + "t=MaxPool<kernel_shape=[2,2],strides=[2,2]>(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]> i8",
              IN + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(d) " + OUT2),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]> same scale",
              IN + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(d) " + OUT1),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]> then float",
              IN + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1> i8",
              IN + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(d) "
              + OUT2),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1> same scale",
              IN + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(d) "
              + OUT1),
    quantized("AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1> then float",
              IN
              + "t=AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(d) "
              "y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("GlobalAveragePool i8", IN + "t=GlobalAveragePool(d) " + OUT2),
    quantized("GlobalAveragePool same scale", IN + "t=GlobalAveragePool(d) " + OUT1),
    quantized("GlobalAveragePool then float", IN + "t=GlobalAveragePool(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("GlobalMaxPool i8", IN + "t=GlobalMaxPool(d) " + OUT2),
    quantized("GlobalMaxPool same scale", IN + "t=GlobalMaxPool(d) " + OUT1),
    quantized("GlobalMaxPool then float", IN + "t=GlobalMaxPool(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("Softmax<axis=1> i8", IN + "t=Softmax<axis=1>(d) " + OUT2),
    quantized("Softmax<axis=1> same scale", IN + "t=Softmax<axis=1>(d) " + OUT1),
    quantized("Softmax<axis=1> then float", IN + "t=Softmax<axis=1>(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("Softmax<axis=-1> i8", IN + "t=Softmax<axis=-1>(d) " + OUT2),
    quantized("Softmax<axis=-1> same scale", IN + "t=Softmax<axis=-1>(d) " + OUT1),
    quantized("Softmax<axis=-1> then float", IN + "t=Softmax<axis=-1>(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("Softmax<axis=2> i8", IN + "t=Softmax<axis=2>(d) " + OUT2),
    quantized("Softmax<axis=2> same scale", IN + "t=Softmax<axis=2>(d) " + OUT1),
    quantized("Softmax<axis=2> then float", IN + "t=Softmax<axis=2>(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("Flatten<axis=2> i8", IN + "t=Flatten<axis=2>(d) " + OUT2,
              outputs="int8[N,M] qy"),
    quantized("Flatten<axis=2> same scale", IN + "t=Flatten<axis=2>(d) " + OUT1,
              outputs="int8[N,M] qy"),
    quantized("Flatten<axis=2> then float", IN + "t=Flatten<axis=2>(d) y=Identity(t)",
              outputs="float[N,M] y"),
    quantized("Transpose i8", IN + "t=Transpose(d) " + OUT2),
    quantized("Transpose same scale", IN + "t=Transpose(d) " + OUT1),
    quantized("Transpose then float", IN + "t=Transpose(d) y=Identity(t)",
              outputs="float[N,M,A,B] y"),
    quantized("softmax small scale", IN + "t=Softmax(d) qy=QuantizeLinear(t,sm,zm)",
              sm=np.float32(1 / 256), zm=np.int8(-128)),
    quantized("ln i8", IN + "t=LayerNormalization(d,a1,b1) " + OUT3,
              a1=floats(6), b1=floats(6)),
    quantized("ln i8 axis1", IN + "t=LayerNormalization<axis=1>(d,a1) " + OUT3,
              a1=floats(3, 6, 6)),
    quantized("argmax of dq", IN + "y=ArgMax<axis=1>(d)",
              outputs="int64[N,M,A,B] y"),
    quantized("argmax of q", "q=QuantizeLinear(x,s1,z1) y=ArgMax<axis=1>(q)",
              outputs="int64[N,M,A,B] y"),
    quantized("argmax of u8", "q=QuantizeLinear(x,su,zu) y=ArgMax<axis=3>(q)",
              outputs="int64[N,M,A,B] y"),
    quantized("concat scales", IN + "e=DequantizeLinear(k,s2,z2) t=Concat<axis=1>(d,e,d) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,2,6,6] k"),
    quantized("concat u8 int8", IN + "e=DequantizeLinear(k,su,zu) t=Concat<axis=1>(d,e) " + OUT3,
              inputs="float[1,3,6,6] x, uint8[1,2,6,6] k"),
    quantized("concat with const", IN + "t=Concat<axis=1>(d,kf) " + OUT3,
              kf=floats(1, 2, 6, 6)),
    quantized("concat relu",
              IN
              + "e=DequantizeLinear(k,s2,z2) t=Concat<axis=1>(d,e) r=Relu(t) "
              "qy=QuantizeLinear(r,s3,z3)",
              inputs="float[1,3,6,6] x, int8[1,2,6,6] k"),
    quantized("concat raw u8", "q=QuantizeLinear(x,su,zu) y=Concat<axis=1>(q,k)",
              inputs="float[1,3,6,6] x, uint8[1,2,6,6] k", outputs="uint8[N,M,A,B] y"),
    quantized("concat raw u8 const", "q=QuantizeLinear(x,su,zu) y=Concat<axis=1>(q,k)",
              outputs="uint8[N,M,A,B] y", k=bytes_(1, 2, 6, 6, dtype=np.uint8)),
    quantized("concat of affine", IN + "a=Mul(d,m) t=Concat<axis=1>(a,d) " + OUT3,
              m=floats(3, 1, 1)),
    quantized("concat two q", IN + "t=Concat<axis=1>(d,d) " + OUT3 + " qz=QuantizeLinear(t,s2,z2)",
              outputs="int8[N,M,A,B] qy,int8[N,M,A,B] qz"),
    quantized("split q",
              IN + "a,b=Split<axis=1>(d,sp) qy=QuantizeLinear(a,s1,z1) qz=QuantizeLinear(b,s2,z2)",
              outputs="int8[N,M,A,B] qy,int8[N,M,A,B] qz", sp=ints(1, 2)),
    quantized("pad q 0", IN + "t=Pad(d,p) " + OUT1,
              p=ints(0, 0, 1, 1, 0, 0, 2, 2)),
    quantized("pad q c", IN + "t=Pad(d,p,c) " + OUT2,
              p=ints(0, 0, 1, 1, 0, 0, 2, 2), c=np.float32(-3.456)),
    quantized("pad q c exact", IN + "t=Pad(d,p,c) " + OUT2,
              p=ints(0, 0, 1, 1, 0, 0, 2, 2), c=np.float32(np.float32(20) * np.float32(0.02))),
    quantized("pad q u8",
              "q=QuantizeLinear(x,su,zu) t=Pad(q,p,c) d=DequantizeLinear(t,su,zu) "
              "qy=QuantizeLinear(d,s2,z2)",
              p=ints(0, 0, 1, 1, 0, 0, 2, 2), c=np.uint8(33)),
    quantized("pad q edge", IN + "t=Pad<mode=\"reflect\">(d,p) " + OUT1,
              p=ints(0, 0, 1, 1, 0, 0, 2, 2)),
    quantized("pad q wrap", IN + "t=Pad<mode=\"wrap\">(d,p) " + OUT1,
              p=ints(0, 0, 1, 1, 0, 0, 2, 2)),
    quantized("slice q", IN + "t=Slice(d,a,b,c,e) " + OUT2,
              a=ints(5), b=ints(-100), c=ints(3), e=ints(-2)),
    quantized("gather q", IN + "t=Gather<axis=2>(d,a) " + OUT2,
              a=ints(5, 0, 1)),
    quantized("gather dq table", "e=DequantizeLinear<axis=0>(tb,st) y=Gather(e,k)",
              inputs="int64[3] k", outputs="float[N,M] y", tb=bytes_(5, 4),
              st=floats(5, low=0.1)),
    quantized("gather dq table pt q",
              "e=DequantizeLinear(tb,s1) y=Gather(e,k) qy=QuantizeLinear(y,s2,z2)",
              inputs="int64[3] k", outputs="int8[N,M] qy", tb=bytes_(5, 4)),
    quantized("gather raw table", "g=Gather(tb,k) y=DequantizeLinear(g,s1,z1)",
              inputs="int64[3] k", outputs="float[N,M] y", tb=bytes_(5, 4)),
    quantized("expand q", IN + "t=Expand(d,sh) " + OUT2,
              inputs="float[3,1] x", outputs="int8[N,M,A] qy", sh=ints(2, 3, 4)),
    quantized("reducemean q", IN + "t=ReduceMean<keepdims=0>(d,ax) " + OUT1,
              outputs="int8[N,M] qy", ax=ints(2, 3)),
    quantized("reducemean ch q", IN + "t=ReduceMean(d,ax) " + OUT1,
              ax=ints(1)),
    quantized("reducemax q", IN + "t=ReduceMax<keepdims=0>(d,ax) " + OUT1,
              outputs="int8[N,M] qy", ax=ints(2, 3)),
    quantized("reducemax ch q", IN + "t=ReduceMax(d,ax) " + OUT1,
              ax=ints(1)),
    quantized("identity q chain",
              "q=QuantizeLinear(x,s1,z1) i=Identity(q) r=Reshape(i,sh) "
              "d=DequantizeLinear(r,s1,z1) t=Relu(d) " + OUT2,
              outputs="int8[N,M] qy", sh=ints(1, -1)),
    quantized("q to output and flatten", "q=QuantizeLinear(x,s1,z1) r=Flatten(q)",
              outputs="int8[N,M,A,B] q, int8[N,M] r"),
    quantized("DQ shared many",
              IN
              + "a=Relu(d) b=Sigmoid(d) c=MaxPool<kernel_shape=[2,2]>(d) e=GlobalAveragePool(d) "
              "q1=QuantizeLinear(a,s1,z1) q2=QuantizeLinear(b,s1,z1) q3=QuantizeLinear(c,s1,z1) "
              "q4=QuantizeLinear(e,s1,z1)",
              outputs="int8[N,M,A,B] q1,int8[N,M,A,B] q2,int8[N,M,A,B] q3,int8[N,M,A,B] q4"),
    quantized("ln nhwc", IN + "n=LayerNormalization<axis=2>(d,g1,b1) qy=QuantizeLinear(n,s2,z2)",
              g1=floats(6, 6), b1=floats(6, 6)),
    quantized("squeeze excite",
              IN
              + "g=GlobalAveragePool(d) q1=QuantizeLinear(g,s1,z1) "
              "d1=DequantizeLinear(q1,s1,z1) h=HardSigmoid(d1) q2=QuantizeLinear(h,s1,z1) "
              "d2=DequantizeLinear(q2,s1,z1) n=Mul(d,d2) qy=QuantizeLinear(n,s3,z3)"),
    quantized("avgpool tiny",
              IN + "t=AveragePool<kernel_shape=[3,3]>(d) qy=QuantizeLinear(t,sh,z3)",
              sh=np.float32(1e-06)),
    quantized("avgpool big",
              IN + "t=AveragePool<kernel_shape=[3,3]>(d) qy=QuantizeLinear(t,sh,z3)",
              sh=np.float32(1000000.0)),
    quantized("ln const input", IN + "z=Mul(d,c0) t=LayerNormalization(z,a1,b1) " + OUT3,
              c0=np.float32(0), a1=floats(6), b1=floats(6)),
    quantized("ln eps big", IN + "t=LayerNormalization<epsilon=1000.0>(d,a1,b1) " + OUT3,
              a1=floats(6), b1=floats(6)),
    quantized("ln one", IN + "t=LayerNormalization(d,a1,b1) " + OUT3,
              inputs="float[3,1] x", outputs="int8[A,B] qy", a1=floats(1), b1=floats(1)),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
