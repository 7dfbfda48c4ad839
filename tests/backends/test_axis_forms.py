"""Pools, reductions, Softmax, normalization and ArgMax: against onnxruntime."""

from __future__ import annotations

import onnx
import pytest

from tests.agreement import check, floats, form, ints

FORMS = (
    form("rank1 softmax",
         "g (float[5] x) => (float[5] y) {y=Softmax(x)}"),
    form("avg ceil",
         "g (float[1,2,7,7] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "strides=[2,2],ceil_mode=1>(x)}"),
    form("avg ceil8",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "strides=[2,2],ceil_mode=1>(x)}"),
    form("avg ceil8 pad",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "strides=[2,2],pads=[1,1,1,1],ceil_mode=1>(x)}"),
    form("avg ceil8 pad incl",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "strides=[2,2],pads=[1,1,1,1],ceil_mode=1,count_include_pad=1>(x)}"),
    form("avg ceil8 pad incl2",
         "g (float[1,2,9,9] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[4,4],"
         "strides=[3,3],pads=[1,1,1,1],ceil_mode=1,count_include_pad=1>(x)}"),
    form("avg dil",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "dilations=[2,2]>(x)}"),
    form("avg dil pad",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[3,3],"
         "dilations=[2,2],pads=[1,1,1,1]>(x)}"),
    form("max ceil",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=MaxPool<kernel_shape=[3,3],strides=[2,"
         "2],ceil_mode=1>(x)}"),
    form("max ceil pad",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=MaxPool<kernel_shape=[2,2],strides=[3,"
         "3],pads=[0,0,1,1],ceil_mode=1>(x)}"),
    form("max dil",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {y=MaxPool<kernel_shape=[3,3],dilations=[2,"
         "3],pads=[1,2,1,2]>(x)}"),
    form("max 1d same",
         "g (float[1,2,8] x) => (float[1,2,N] y) {y=MaxPool<kernel_shape=[3],"
         "auto_pad=\"SAME_LOWER\",strides=[2]>(x)}"),
    form("max u8",
         "g (uint8[1,2,8] x) => (uint8[1,2,N] y) {y=MaxPool<kernel_shape=[3],strides=[2]>(x)}"),
    form("max i8",
         "g (int8[1,2,8] x) => (int8[1,2,N] y) {y=MaxPool<kernel_shape=[3],strides=[2]>(x)}"),
    form("gap 3d",
         "g (float[1,2,4,4,4] x) => (float[1,2,1,1,1] y) {y=GlobalAveragePool(x)}"),
    form("gmp 3d",
         "g (float[1,2,4,4,4] x) => (float[1,2,1,1,1] y) {y=GlobalMaxPool(x)}"),
    form("softmax op11",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=Softmax(x)}",
         opset=11),
    form("softmax op11 ax2",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=Softmax<axis=2>(x)}",
         opset=11),
    form("logsoftmax op11",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=LogSoftmax<axis=0>(x)}",
         opset=11),
    form("dead",
         "g (float[2,3] x) => (float[2,3] y) {y=Relu(x) z=Exp(x) w=Softmax(z)}"),
    form("argmax",
         "g (float[2,3,4] x) => (int64[2,4] y) {y=ArgMax<axis=1,keepdims=0>(x)}"),
    form("argmax neg last",
         "g (float[2,3,4] x) => (int64[2,3,1] y) {y=ArgMax<axis=-1,select_last_index=1>(x)}"),
    form("argmin nhwc",
         "g (float[1,3,4,4] x) => (int64[1,4,4] y) {t=Conv(x,w) y=ArgMin<axis=1,keepdims=0>(t)}",
         w=floats(3, 3, 1, 1)),
    form("argmax cast",
         "g (float[2,3,4] x) => (float[2,4] y) {t=ArgMax<axis=1,keepdims=0>(x) y=Cast<to=1>(t)}"),
    form("argmax i32",
         "g (float[2,3,4] x) => (int32[2,4] y) {t=ArgMax<axis=1,keepdims=0>(x) y=Cast<to=6>(t)}"),
    form("argmax dim1",
         "g (float[2,1,4] x) => (int64[2,4] y) {y=ArgMax<axis=1,keepdims=0>(x)}"),
    form("argmax i8",
         "g (int8[2,3] x) => (int64[2] y) {y=ArgMax<axis=1,keepdims=0>(x)}"),
    form("argmax u8",
         "g (uint8[2,3] x) => (int64[2] y) {y=ArgMax<axis=1,keepdims=0>(x)}"),
    form("reducemean all",
         "g (float[2,3,4] x) => (float y) {y=ReduceMean<keepdims=0>(x)}"),
    form("reducemean noop",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=ReduceMean<noop_with_empty_axes=1>(x)}"),
    form("reducemean odd",
         "g (float[2,3,4,5] x) => (float[N,1,M,1] y) {y=ReduceMean(x,a)}",
         a=ints(1, -1)),
    form("reducemean attr",
         "g (float[2,3,4,5] x) => (float[N,M] y) {y=ReduceMean<axes=[2,3],keepdims=0>(x)}",
         opset=13),
    form("reducemax all",
         "g (float[2,3,4] x) => (float y) {y=ReduceMax<keepdims=0>(x)}"),
    form("reducemax noop",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=ReduceMax<noop_with_empty_axes=1>(x)}"),
    form("reducemax odd",
         "g (float[2,3,4,5] x) => (float[N,1,M,1] y) {y=ReduceMax(x,a)}",
         a=ints(1, -1)),
    form("reducemax nhwc",
         "g (float[1,3,4,4] x) => (float[1,4,4] y) {t=Conv(x,w) y=ReduceMax<keepdims=0>(t,a)}",
         w=floats(3, 3, 1, 1), a=ints(1)),
    form("reducemax i8",
         "g (int8[2,3,4] x) => (int8[2,1,4] y) {y=ReduceMax(x,a)}", a=ints(1)),
    form("bn",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=BatchNormalization(x,a,b,c,d)}",
         a=floats(3), b=floats(3), c=floats(3), d=floats(3, low=0.5)),
    form("ln",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=LayerNormalization<axis=1>(x,a,b)}",
         a=floats(3, 4), b=floats(3, 4)),
    form("ln nobias",
         "g (float[2,3,4] x) => (float[2,3,4] y) {y=LayerNormalization(x,a)}",
         a=floats(4)),
    form("ceil mixed MaxPool",
         "g (float[1,2,8,9] x) => (float[1,2,N,M] y) {y=MaxPool<kernel_shape=[2,2],strides=[3,"
         "3],pads=[0,0,1,1],ceil_mode=1>(x)}"),
    form("ceil mixed2 MaxPool",
         "g (float[1,2,8,10] x) => (float[1,2,N,M] y) {t=MaxPool<kernel_shape=[2,2],strides=[3,"
         "2],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
    form("ceil both MaxPool",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {t=MaxPool<kernel_shape=[2,2],strides=[3,"
         "3],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
    form("ceil one MaxPool",
         "g (float[1,2,8,7] x) => (float[1,2,N,M] y) {t=MaxPool<kernel_shape=[3,3],strides=[3,"
         "3],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
    form("ceil mixed AveragePool",
         "g (float[1,2,8,9] x) => (float[1,2,N,M] y) {y=AveragePool<kernel_shape=[2,2],"
         "strides=[3,3],pads=[0,0,1,1],ceil_mode=1>(x)}"),
    form("ceil mixed2 AveragePool",
         "g (float[1,2,8,10] x) => (float[1,2,N,M] y) {t=AveragePool<kernel_shape=[2,2],"
         "strides=[3,2],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
    form("ceil both AveragePool",
         "g (float[1,2,8,8] x) => (float[1,2,N,M] y) {t=AveragePool<kernel_shape=[2,2],"
         "strides=[3,3],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
    form("ceil one AveragePool",
         "g (float[1,2,8,7] x) => (float[1,2,N,M] y) {t=AveragePool<kernel_shape=[3,3],"
         "strides=[3,3],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", FORMS)
def test_agrees_unfused(model: onnx.ModelProto) -> None:
    check(model, fuse=False)
