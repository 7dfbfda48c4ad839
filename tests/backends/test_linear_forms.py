"""Conv, ConvTranspose, Gemm and MatMul: against onnxruntime."""

from __future__ import annotations

import onnx
import pytest

from tests.agreement import check, floats, form

FORMS = (
    form("batch conv",
         "g (float[3,2,5,5] x) => (float[3,4,5,5] y) {y=Conv<pads=[1,1,1,1]>(x,w,b)}",
         w=floats(4, 2, 3, 3), b=floats(4)),
    form("matmul r1 left",
         "g (float[4] x) => (float[3] y) {y=MatMul(x,w)}",
         w=floats(4, 3)),
    form("matmul r1 right",
         "g (float[3,4] x) => (float[3] y) {y=MatMul(x,w)}",
         w=floats(4)),
    form("matmul r1 both",
         "g (float[4] x) => (float y) {y=MatMul(x,w)}",
         w=floats(4)),
    form("matmul r1 both act",
         "g (float[4] x, float[4] z) => (float y) {y=MatMul(x,z)}"),
    form("matmul left const",
         "g (float[4,3] x) => (float[5,3] y) {y=MatMul(w,x)}",
         w=floats(5, 4)),
    form("matmul left const batch",
         "g (float[2,4,3] x) => (float[2,5,3] y) {y=MatMul(w,x)}",
         w=floats(5, 4)),
    form("matmul bcast batches",
         "g (float[2,1,4,3] x, float[5,3,2] z) => (float[2,5,4,2] y) {y=MatMul(x,z)}"),
    form("matmul 3 batches",
         "g (float[2,3,2,4,3] x, float[2,3,2,3,2] z) => (float[2,3,2,4,2] y) {y=MatMul(x,z)}"),
    form("matmul 3 batches bcast",
         "g (float[2,3,2,4,3] x, float[3,1,3,2] z) => (float[2,3,2,4,2] y) {y=MatMul(x,z)}"),
    form("matmul const batched w",
         "g (float[2,4,3] x) => (float[2,4,2] y) {y=MatMul(x,w)}",
         w=floats(2, 3, 2)),
    form("matmul const batched 1",
         "g (float[2,4,3] x) => (float[2,4,2] y) {y=MatMul(x,w)}",
         w=floats(1, 3, 2)),
    form("matmul const lead4 x2",
         "g (float[4,3] x) => (float[1,1,4,2] y) {y=MatMul(x,w)}",
         w=floats(1, 1, 3, 2)),
    form("gemm C (5,)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(5)),
    form("gemm C (1, 5)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(1, 5)),
    form("gemm C (4, 1)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(4, 1)),
    form("gemm C (4, 5)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(4, 5)),
    form("gemm C (1, 1)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(1, 1)),
    form("gemm C (1,)",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats(1)),
    form("gemm C ()",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<beta=0.5>(x,w,c)}",
         w=floats(3, 5), c=floats()),
    form("gemm C act",
         "g (float[4,3] x, float[4,5] c) => (float[4,5] y) {y=Gemm<beta=0.5,alpha=2.0>(x,w,c)}",
         w=floats(3, 5)),
    form("gemm transA",
         "g (float[3,4] x) => (float[4,5] y) {y=Gemm<transA=1>(x,w,c)}",
         w=floats(3, 5), c=floats(5)),
    form("gemm transA transB",
         "g (float[3,4] x) => (float[4,5] y) {y=Gemm<transA=1,transB=1>(x,w,c)}",
         w=floats(5, 3), c=floats(5)),
    form("gemm left const",
         "g (float[3,5] x) => (float[4,5] y) {y=Gemm<transA=1,alpha=0.3>(w,x,c)}",
         w=floats(3, 4), c=floats(4, 5)),
    form("gemm both act",
         "g (float[3,4] x, float[5,3] z) => (float[4,5] y) {y=Gemm<transA=1,transB=1>(x,z)}"),
    form("gemm M,N with relu",
         "g (float[4,3] x) => (float[4,5] y) {t=Gemm(x,w,c) y=Relu(t)}",
         w=floats(3, 5), c=floats(4, 5)),
    form("gemm neg alpha",
         "g (float[4,3] x) => (float[4,5] y) {y=Gemm<alpha=-0.7>(x,w,c)}",
         w=floats(3, 5), c=floats(5)),
    form("conv1d SAME_UPPER 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_UPPER\",strides=[1]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_UPPER 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_UPPER\","
         "strides=[1]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d SAME_UPPER 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_UPPER\",strides=[2]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_UPPER 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_UPPER\","
         "strides=[2]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d SAME_UPPER 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_UPPER\",strides=[3]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_UPPER 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_UPPER\","
         "strides=[3]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d SAME_LOWER 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_LOWER\",strides=[1]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_LOWER 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_LOWER\","
         "strides=[1]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d SAME_LOWER 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_LOWER\",strides=[2]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_LOWER 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_LOWER\","
         "strides=[2]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d SAME_LOWER 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"SAME_LOWER\",strides=[3]>(x,"
         "w)}",
         w=floats(3, 2, 4)),
    form("convT1d SAME_LOWER 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"SAME_LOWER\","
         "strides=[3]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d VALID 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"VALID\",strides=[1]>(x,w)}",
         w=floats(3, 2, 4)),
    form("convT1d VALID 1",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"VALID\","
         "strides=[1]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d VALID 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"VALID\",strides=[2]>(x,w)}",
         w=floats(3, 2, 4)),
    form("convT1d VALID 2",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"VALID\","
         "strides=[2]>(x,w)}",
         w=floats(2, 3, 4)),
    form("conv1d VALID 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=Conv<auto_pad=\"VALID\",strides=[3]>(x,w)}",
         w=floats(3, 2, 4)),
    form("convT1d VALID 3",
         "g (float[1,2,7] x) => (float[1,3,N] y) {y=ConvTranspose<auto_pad=\"VALID\","
         "strides=[3]>(x,w)}",
         w=floats(2, 3, 4)),
    form("convT outpad",
         "g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,3],"
         "output_padding=[1,2],pads=[1,0,1,1]>(x,w,b)}",
         w=floats(2, 3, 3, 3), b=floats(3)),
    form("convT outshape",
         "g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,3],"
         "output_shape=[10,14]>(x,w,b)}",
         w=floats(2, 3, 3, 3), b=floats(3)),
    form("convT outshape big",
         "g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,2],"
         "output_shape=[12,12]>(x,w,b)}",
         w=floats(2, 3, 3, 3), b=floats(3)),
    form("convT outshape lower",
         "g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,2],"
         "output_shape=[10,10],auto_pad=\"SAME_LOWER\">(x,w,b)}",
         w=floats(2, 3, 3, 3), b=floats(3)),
    form("convT dil grp",
         "g (float[2,4,5,5] x) => (float[2,6,N,M] y) {y=ConvTranspose<dilations=[2,1],group=2,"
         "strides=[1,2],pads=[1,1,0,1]>(x,w)}",
         w=floats(4, 3, 3, 2)),
    form("convT crop",
         "g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,2],pads=[2,2,2,"
         "2]>(x,w)}",
         w=floats(2, 3, 3, 3)),
    form("mid out",
         "g (float[1,2,4,4] x) => (float[1,2,3,3] t, float[1,2,3,3] y) {t=Conv(x,w) y=Relu(t)}",
         w=floats(2, 2, 2, 2)),
    form("matmul add mid out",
         "g (float[2,3] x) => (float[2,4] t, float[2,4] y) {t=MatMul(x,w) y=Add(t,b)}",
         w=floats(3, 4), b=floats(4)),
    form("matmul add twice",
         "g (float[2,3] x) => (float[2,4] y, float[2,4] z) {t=MatMul(x,w) y=Add(t,b) z=Sub(t,b)}",
         w=floats(3, 4), b=floats(4)),
    form("const sub matmul",
         "g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Sub(b,t)}",
         w=floats(3, 4), b=floats(4)),
    form("matmul add self",
         "g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Add(t,t)}",
         w=floats(3, 4)),
    form("matmul add col",
         "g (float[3,3] x) => (float[3,3] y) {t=MatMul(x,w) y=Add(t,b)}",
         w=floats(3, 3), b=floats(3, 1)),
    form("matmul add bigger",
         "g (float[1,3] x) => (float[5,3] y) {t=MatMul(x,w) y=Add(t,b)}",
         w=floats(3, 3), b=floats(5, 3)),
    form("matmul out1 add",
         "g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Add(t,b)}",
         w=floats(3, 1), b=floats(4)),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
