"""What cannot be lowered is refused with a diagnostic that names the node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from ternc import compiler as ternc
from ternc.diagnostics import CompileError, Severity
from tests.agreement import bytes_, floats, form, ints
from tests.quantized import IN, KERNEL, OUT1, OUT2, OUT3, quantized

REFUSED = (
    form("int64 add", "TC0104",
         "g (int64[3] a, int64[3] b) => (int64[3] y) {y=Add(a,b)}"),
    form("int64 add then gather", "TC0104",
         "g (float[4,5] x, int64[2] k) => (float[2,5] y) {j=Add(k,one) y=Gather<axis=0>(x,j)}",
         one=ints(1)),
    form("zero size", "TC0107",
         "g (float[0,4] x) => (float[0,4] y) {y=Relu(x)}"),
    form("zero size concat", "TC0107",
         "g (float[2,4] x, float[0,4] z) => (float[2,4] y) {y=Concat<axis=0>(x,z)}"),
    form("zero size matmul", "TC0107",
         "g (float[0,4] x) => (float[0,3] y) {y=MatMul(x,w)}",
         w=floats(4, 3)),
    form("zero size slice", "TC0107",
         "g (float[3,4] x) => (float[0,4] y) {y=Slice(x,s,e)}",
         s=ints(3), e=ints(3)),
    form("reduce zero", "TC0107",
         "g (float[3,0] x) => (float[3,4] y) {y=MatMul(x,w)}",
         w=floats(0, 4)),
    form("matmul const 0 batch", "TC0107",
         "g (float[0,4,3] x) => (float[0,4,2] y) {y=MatMul(x,w)}",
         w=floats(3, 2)),
    form("max idx", "TC0102",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y, int64[1,2,N,M] i) {y,"
         "i=MaxPool<kernel_shape=[2,2]>(x)}"),
    form("max 3d", "TC0102",
         "g (float[1,2,4,4,4] x) => (float[1,2,N,M,K] y) {y=MaxPool<kernel_shape=[2,2,2]>(x)}"),
    form("prelu slopes", "TC0003",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=PRelu(x,s)}",
         s=floats(3)),
    form("prelu slopes of more dimensions", "TC0003",
         "g (float[3,4] x) => (float[3,4] y) {y=PRelu(x,s)}",
         s=floats(1, 3, 4)),
    form("clip runtime", "TC0102",
         "g (float[3,4] x, float lo) => (float[3,4] y) {y=Clip(x,lo)}"),
    form("slice runtime", "TC0103",
         "g (float[6,4] x, int64[1] s) => (float[2,4] y) {y=Slice(x,s,e)}",
         e=ints(4)),
    form("transpose 8d", "TC0102",
         "g (float[2,2,2,2,2,2,2,2] x) => (float[2,2,2,2,2,2,2,2] y) {y=Transpose(x)}"),
    form("pad neg edge", "TC0102",
         "g (float[1,2,4,5] x) => (float[N,M,A,B] y) {y=Pad<mode=\"edge\">(x,p)}",
         p=ints(0, 0, 1, -2, 0, 0, -1, 1)),
    form("pad neg reflect", "TC0102",
         "g (float[1,2,4,5] x) => (float[N,M,A,B] y) {y=Pad<mode=\"reflect\">(x,p)}",
         p=ints(0, 0, 1, -2, 0, 0, -1, 1)),
    form("pad wrap twice around", "TC0102",
         "g (float[1,2,4,5] x) => (float[N,M,A,B] y) {y=Pad<mode=\"wrap\">(x,p)}",
         p=ints(0, 0, 5, 2, 0, 0, 2, 1)),
    form("pad neg wrap", "TC0102",
         "g (float[1,2,4,5] x) => (float[N,M,A,B] y) {y=Pad<mode=\"wrap\">(x,p)}",
         p=ints(0, 0, 1, -2, 0, 0, -1, 1)),
    form("tile runtime", "TC0103",
         "g (float[2,3] x, int64[2] r) => (float[A,B] y) {y=Tile(x,r)}"),
    form("gather elements runtime", "TC0102",
         "g (float[2,3] x, int64[2,3] i) => (float[2,3] y) {y=GatherElements(x,i)}"),
    form("gather nd outside", "TC0102",
         "g (float[2,3] x) => (float[1] y) {y=GatherND(x,i)}",
         i=np.array([[2, 0]], np.int64)),
    form("scatter runtime", "TC0102",
         "g (float[2,3] x, int64[1,1] i, float[1,3] u) => (float[2,3] y) {y=ScatterND(x,i,u)}"),
    form("compress runtime", "TC0103",
         "g (float[2,3] x, bool[2] c) => (float[A,3] y) {y=Compress<axis=0>(x,c)}"),
    form("nonzero", "TC0103", "g (float[2,3] x) => (int64[2,A] y) {y=NonZero(x)}"),
    form("resize antialias", "TC0102",
         "g (float[1,1,4,4] x) => (float[A,B,C,D] y) "
         "{y=Resize<mode=\"linear\",antialias=1>(x,,,s)}",
         s=ints(1, 1, 2, 2)),
    form("resize corners by a fraction", "TC0102",
         "g (float[1,4] x) => (float[A,B] y) "
         "{y=Resize<coordinate_transformation_mode=\"align_corners\">(x,,f)}",
         f=np.array([1, 0.6], np.float32)),
    form("one hot runtime", "TC0103",
         "g (int64[3] x, int64 d) => (float[3,A] y) {y=OneHot(x,d,v)}", v=floats(2)),
    form("top k runtime", "TC0103",
         "g (float[5] x, int64[1] k) => (float[A] y, int64[A] i) {y,i=TopK(x,k)}"),
    form("resize crop", "TC0102",
         "g (float[1,4] x) => (float[A,B] y) "
         "{y=Resize<coordinate_transformation_mode=\"tf_crop_and_resize\">(x,r,,s)}",
         r=floats(4), s=ints(1, 3)),
    form("cumsum runtime", "TC0102",
         "g (float[3,4] x, int64 a) => (float[3,4] y) {y=CumSum(x,a)}"),
    form("cumsum int64", "TC0104",
         "g (int64[3] x) => (int64[3] y) {y=CumSum(x,a)}", a=ints(0)),
    form("reduce runtime", "TC0103",
         "g (float[3,4] x, int64[1] a) => (float[3,1] y) {s=ReduceSum(x,a) y=Reshape(s,d)}",
         d=ints(3, 1)),
    form("reduce int32", "TC0104",
         "g (int32[3,4] x) => (int32[3,1] y) {y=ReduceSum(x,a)}", a=ints(1)),
    form("celu of 0", "TC0102", "g (float[3] x) => (float[3] y) {y=Celu<alpha=0.0>(x)}"),
    form("argmax int", "TC0104",
         "g (int64[2,3] x) => (int64[2] y) {y=ArgMax<axis=1,keepdims=0>(x)}"),
    form("pow int exp", "TC0104",
         "g (float[3] x) => (float[3] y) {y=Pow(x,b)}",
         b=np.int64(2)),
    form("double", "TC0104",
         "g (double[3] x) => (double[3] y) {y=Relu(x)}"),
    form("fp16", "TC0104",
         "g (float16[3] x) => (float16[3] y) {y=Relu(x)}"),
    quantized("per-channel act", "TC0102", "q=QuantizeLinear(x,sc,zc) qy=Identity(q)",
              sc=floats(3, low=0.01, high=0.02), zc=np.zeros(3, np.int8)),
    quantized("q int16 with a zero point", "TC0102", "qy=QuantizeLinear(x,s1,z16)",
              outputs="int16[N,M,A,B] qy", z16=np.int16(3)),
    quantized("argmax of neg scale", "TC0102",
              "q=QuantizeLinear(x,s1,z1) d=DequantizeLinear(q,ns,z1) y=ArgMax<axis=1>(d)",
              outputs="int64[N,M,A,B] y", ns=np.float32(-0.02)),
    quantized("maxpool neg scale", "TC0102",
              "q=QuantizeLinear(x,s1,z1) d=DequantizeLinear(q,ns,z1) "
              "t=MaxPool<kernel_shape=[2,2]>(d) " + OUT2,
              ns=np.float32(-0.02)),
    quantized("conv dyn weights", "TC0102", IN + "t=Conv(d,k) " + OUT3,
              inputs="float[1,3,6,6] x, float[4,3,3,3] k"),
    quantized("scale zero", "TC0102",
              "q=QuantizeLinear(x,s0,z1) d=DequantizeLinear(q,s1,z1) t=Relu(d) " + OUT1,
              s0=np.float32(0)),
    quantized("scale tiny", "TC0202", IN + KERNEL + "t=Conv(d,w) qy=QuantizeLinear(t,sh,z3)",
              sh=np.float32(1e-30)),
    quantized("dq i32 run", "TC0104", "y=DequantizeLinear(x,s1)",
              inputs="int32[3] x", outputs="float[N] y"),
    quantized("relu on ints", "TC0104", "q=QuantizeLinear(x,s1,z1) r=Relu(q)",
              outputs="int8[N,M,A,B] r"),
    quantized("dense wide scales", "TC0202",
              IN + "w=DequantizeLinear<axis=0>(wd,sx) t=Gemm<transB=1>(d,w,b) " + OUT3,
              inputs="float[3,64] x", outputs="int8[A,B] qy", wd=bytes_(6, 64),
              sx=np.array([1e-09, 1e-05, 0.001, 0.1, 1, 10], np.float32),
              b=np.array([1000000.0, -1000000.0, 0, 1e-09, 3, 1000000000.0], np.float32)),
    quantized("mul huge ratio", "TC0202", IN + "e=DequantizeLinear(k,sh,z2) t=Mul(d,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k", sh=np.float32(1000000.0)),
)


@pytest.mark.parametrize(("code", "model"), REFUSED)
def test_refused(code: str, model: onnx.ModelProto) -> None:
    with pytest.raises(CompileError) as caught:
        ternc.compile(model, "host", check_fit=False)
    errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert [d.code for d in errors] == [code]
    assert errors[0].help or errors[0].node or code == "TC0104"
    for error in errors:
        assert error.node or "put" in error.message  # a node, an input or an output is named
