"""Operators that are a map of indices, and constants as outputs: against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ternc.backends.esp32.lower.index_map import strided
from tests.agreement import Array, check, floats, form, instructions, ints
from tests.quantized import IN, OUT1, OUT2, OUT3, quantized

_CONV = "t=Conv(x,w) "
FORMS = (
    form("tile", ["copy_nd"],
         "g (float[2,3,4] x) => (float[A,B,C] y) {y=Tile(x,r)}", r=ints(2, 1, 3)),
    form("tile int64", ["copy_nd"],
         "g (int64[2,3] x) => (int64[A,B] y) {y=Tile(x,r)}", r=ints(2, 2)),
    form("tile channels last", ["copy_nd", "conv2d_f32", "copy_nd", "copy_nd"],
         f"g (float[1,3,5,5] x) => (float[A,B,C,D] y) {{{_CONV} y=Tile(t,r)}}",
         r=ints(1, 2, 1, 2), w=floats(3, 3, 3, 3)),
    form("depth to space", ["copy_nd"],
         "g (float[2,8,3,4] x) => (float[A,B,C,D] y) {y=DepthToSpace<blocksize=2>(x)}"),
    form("depth to space crd", ["copy_nd"],
         "g (float[2,8,3,4] x) => (float[A,B,C,D] y) "
         "{y=DepthToSpace<blocksize=2,mode=\"CRD\">(x)}"),
    form("space to depth", ["copy_nd"],
         "g (float[2,3,4,6] x) => (float[A,B,C,D] y) {y=SpaceToDepth<blocksize=2>(x)}"),
    form("gather elements", ["gather"],
         "g (float[3,4] x) => (float[A,B] y) {y=GatherElements<axis=1>(x,i)}",
         i=np.array([[0, -1, 2], [3, 3, -4]], np.int64)),
    form("gather elements of one column", ["copy_nd"],
         "g (float[3,4] x) => (float[A,B] y) {y=GatherElements<axis=1>(x,i)}",
         i=np.full((3, 1), 2, np.int64)),
    form("gather nd", ["gather"],
         "g (float[3,4,5] x) => (float[A,B] y) {y=GatherND(x,i)}",
         i=np.array([[0, 1], [2, -1], [2, 0]], np.int64)),
    form("gather nd of batches", ["gather"],
         "g (float[3,4,5] x) => (float[A,B] y) {y=GatherND<batch_dims=1>(x,i)}",
         i=np.array([[3], [-4], [1]], np.int64)),
    form("compress", ["gather"],
         "g (float[3,4] x) => (float[A,B] y) {y=Compress<axis=1>(x,c)}",
         c=np.array([True, False, False, True])),
    form("compress of a short condition", ["gather"],
         "g (float[3,4] x) => (float[A] y) {y=Compress(x,c)}",
         c=np.array([True, False, False, True, False, True])),
    form("reverse sequence", ["gather"],
         "g (float[4,3,2] x) => (float[A,B,C] y) {y=ReverseSequence(x,n)}", n=ints(4, 1, 3)),
    form("reverse sequence, batch first", ["gather"],
         "g (float[3,4] x) => (float[A,B] y) {y=ReverseSequence<batch_axis=0,time_axis=1>(x,n)}",
         n=ints(4, 2, 3)),
    form("reverse whole sequences", ["copy_nd"],
         "g (float[4,3,2] x) => (float[A,B,C] y) {y=ReverseSequence(x,n)}", n=ints(4, 4, 4)),
    form("triu", ["fill", "copy_nd", "gather"],
         "g (float[2,4,5] x) => (float[A,B,C] y) {y=Trilu(x,k)}", k=np.int64(1)),
    form("tril int64", ["fill", "copy_nd", "gather"],
         "g (int64[4,4] x) => (int64[A,B] y) {y=Trilu<upper=0>(x)}"),
    form("triu of everything", ["copy_nd"],
         "g (float[4,4] x) => (float[A,B] y) {y=Trilu(x,k)}", k=np.int64(-9)),
    form("center crop pad", ["fill", "copy_nd"],
         "g (float[5,4,3] x) => (float[A,B,C] y) {y=CenterCropPad(x,s)}", s=ints(2, 7, 6)),
    form("center crop pad of axes", ["fill", "copy_nd"],
         "g (float[5,4,3] x) => (float[A,B,C] y) {y=CenterCropPad<axes=[-1,0]>(x,s)}",
         s=ints(6, 2)),
    form("scatter elements", ["copy_nd", "copy_nd", "gather"],
         "g (float[3,4] x, float[2,3] u) => (float[3,4] y) {y=ScatterElements<axis=1>(x,i,u)}",
         i=np.array([[0, -1, 2], [3, 1, 0]], np.int64)),
    form("scatter elements twice at one place", ["copy_nd", "copy_nd", "gather"],
         "g (float[3,4] x, float[1,2] u) => (float[3,4] y) {y=ScatterElements<axis=1>(x,i,u)}",
         i=np.array([[1, 1]], np.int64)),
    form("scatter nd of rows", ["copy_nd", "copy_nd"],
         "g (float[5,4] x, float[2,4] u) => (float[5,4] y) {y=ScatterND(x,i,u)}",
         i=np.array([[1], [3]], np.int64)),
    form("scatter nd of elements", ["copy_nd", "copy_nd", "gather"],
         "g (float[5,4] x, float[3] u) => (float[5,4] y) {y=ScatterND(x,i,u)}",
         i=np.array([[1, 0], [3, -1], [3, 0]], np.int64)),
    form("scatter of a constant", ["copy_nd", "copy_nd"],
         "g (float[5,4] x) => (float[5,4] y) {y=ScatterND(x,i,u)}",
         i=np.array([[1], [3]], np.int64), u=floats(2, 4)),
    form("resize nearest", ["gather", "gather"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Resize(x,,,s)}", s=ints(1, 2, 5, 7)),
    form("resize nearest by integers", ["copy_nd"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Resize(x,,s)}",
         s=np.array([1, 1, 2, 3], np.float32)),
    form("resize nearest channels last", ["copy_nd", "conv2d_f32", "copy_nd", "conv2d_f32",
                                          "copy_nd"],
         "g (float[1,3,4,4] x) => (float[A,B,C,D] y) "
         "{t=Conv(x,w) u=Resize(t,,s) y=Conv(u,w)}",
         s=np.array([1, 1, 2, 2], np.float32), w=floats(3, 3, 3, 3)),
    form("upsample of opset 9", ["copy_nd"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Upsample(x,s)}",
         opset=9, s=np.array([1, 1, 2, 2], np.float32)),
    form("resize with empty operands", ["copy_nd"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Resize(x,none,none,s)}",
         none=np.empty(0, np.float32), s=ints(1, 2, 6, 4)),
    form("resize linear", ["resample_f32", "resample_f32"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Resize<mode=\"linear\">(x,,,s)}",
         s=ints(1, 2, 5, 3)),
    form("resize cubic", ["resample_f32", "resample_f32"],
         "g (float[1,2,3,4] x) => (float[A,B,C,D] y) {y=Resize<mode=\"cubic\">(x,,s)}",
         s=np.array([1, 1, 2, 1.5], np.float32)),
    form("resize cubic within", ["resample_f32", "resample_f32"],
         "g (float[1,1,5,4] x) => (float[A,B,C,D] y) "
         "{y=Resize<mode=\"cubic\",exclude_outside=1,cubic_coeff_a=-0.5>(x,,,s)}",
         s=ints(1, 1, 7, 3)),
    form("resize linear channels last", ["copy_nd", "conv2d_f32", "resample_f32", "resample_f32",
                                         "conv2d_f32", "copy_nd"],
         "g (float[1,3,4,4] x) => (float[A,B,C,D] y) "
         "{t=Conv(x,w) u=Resize<mode=\"linear\">(t,,s) y=Conv(u,w)}",
         s=np.array([1, 1, 2, 2], np.float32), w=floats(3, 3, 1, 1)),
    form("resize linear from one element", ["conv2d_f32", "resample_f32", "resample_f32"],
         "g (float[1,3,1,1] x) => (float[A,B,C,D] y) "
         "{t=Conv(x,w) y=Resize<mode=\"linear\">(t,,,s)}",
         s=ints(1, 3, 2, 3), w=floats(3, 3, 1, 1)),
    form("scatter nd add", ["scatter_f32"],
         "g (float[5,4] x, float[3,4] u) => (float[5,4] y) "
         "{y=ScatterND<reduction=\"add\">(x,i,u)}",
         i=np.array([[1], [3], [1]], np.int64)),
    form("scatter elements mul", ["scatter_f32"],
         "g (float[3,4] x, float[1,3] u) => (float[3,4] y) "
         "{y=ScatterElements<reduction=\"mul\",axis=1>(x,i,u)}",
         i=np.array([[1, 1, -1]], np.int64)),
    form("scatter elements min", ["scatter_f32"],
         "g (float[3,4] x, float[1,3] u) => (float[3,4] y) "
         "{y=ScatterElements<reduction=\"min\",axis=1>(x,i,u)}",
         i=np.array([[1, 1, -1]], np.int64)),
    form("scatter elements max", ["scatter_f32"],
         "g (float[3,4] x, float[1,3] u) => (float[3,4] y) "
         "{y=ScatterElements<reduction=\"max\",axis=1>(x,i,u)}",
         i=np.array([[1, 1, -1]], np.int64)),
    form("resize of some axes", ["gather"],
         "g (float[2,3,7] x) => (float[A,B,C] y) {y=Resize<axes=[2]>(x,,,s)}", s=ints(5)),
    form("shape", [], "g (float[3,4,5] x) => (int64[3] y) {y=Shape(x)}"),
    form("shape of a part", [], "g (float[3,4,5] x) => (int64[1] y) {y=Shape<start=1,end=-1>(x)}"),
    form("size", [], "g (float[3,4,5] x) => (int64 y) {y=Size(x)}"),
    form("eye like", [], "g (float[3,4] x) => (float[3,4] y) {y=EyeLike<k=-1>(x)}"),
    form("eye like int32", [], "g (float[3,4] x) => (int32[3,4] y) {y=EyeLike<dtype=6>(x)}"),
    form("eye added", ["binary_f32"],
         "g (float[3,4] x) => (float[3,4] y) {e=EyeLike<k=1>(x) y=Add(x,e)}"),
    form("constant", ["binary_f32"],
         "g (float[2] x) => (float[2] y, float[2] c) "
         "{c=Constant<value=float[2] {1.5,2}>() y=Add(x,c)}"),
    form("constant of shape", [],
         "g (float[2,3] x) => (float[2,3] y) {s=Shape(x) y=ConstantOfShape(s)}"),
)
QUANTIZED = (
    quantized("tile", IN + "t=Tile(d,r) " + OUT1, r=ints(1, 2, 1, 1)),
    quantized("tile to another scale", IN + "t=Tile(d,r) " + OUT2, r=ints(1, 2, 1, 1)),
    quantized("tile then float", IN + "y=Tile(d,r)", outputs="float[N,M,A,B] y",
              r=ints(1, 2, 1, 1)),
    quantized("space to depth", IN + "t=SpaceToDepth<blocksize=2>(d) " + OUT1),
    quantized("gather nd", IN + "t=GatherND(d,i) " + OUT1, outputs="int8[A,B,C] qy",
              i=np.array([[0, 1], [0, -1]], np.int64)),
    quantized("resize nearest", IN + "t=Resize(d,,f) " + OUT1,
              f=np.array([1, 1, 2, 1.5], np.float32)),
    quantized("resize linear", IN + "t=Resize<mode=\"linear\">(d,,f) " + OUT1,
              f=np.array([1, 1, 2, 1.5], np.float32)),
    quantized("trilu", IN + "t=Trilu(d) " + OUT1),
    quantized("center crop pad", IN + "t=CenterCropPad<axes=[2,3]>(d,s) " + OUT1, s=ints(9, 3)),
    quantized("center crop pad of uint8",
              "q=QuantizeLinear(x,su,zu) d=DequantizeLinear(q,su,zu) t=CenterCropPad(d,s) "
              "qy=QuantizeLinear(t,su,zu)", outputs="uint8[N,M,A,B] qy", s=ints(1, 3, 9, 3)),
    quantized("scatter nd of two scales",
              IN + "e=DequantizeLinear(k,s2,z2) t=ScatterND(d,i,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,6,6] k", i=np.array([[0, 1]], np.int64)),
    quantized("scatter elements of a constant", IN + "t=ScatterElements<axis=3>(d,i,u) " + OUT2,
              i=np.array([[[[5, 1]]]], np.int64), u=floats(1, 1, 1, 2)),
    quantized("scatter nd of floats", IN + "y=ScatterND(d,i,k)",
              inputs="float[1,3,6,6] x, float[1,6,6] k", outputs="float[N,M,A,B] y",
              i=np.array([[0, 1]], np.int64)),
)


@pytest.mark.parametrize(("wanted", "model"), FORMS)
def test_agrees(wanted: list[str], model: onnx.ModelProto) -> None:
    assert instructions(check(model)) == wanted


@pytest.mark.parametrize("model", QUANTIZED)
def test_agrees_quantized(model: onnx.ModelProto) -> None:
    check(model)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_strided_finds_the_loops_of_any_view(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    view = np.arange(int(np.prod(shape))).reshape(shape)
    view = view.transpose(data.draw(st.permutations(range(view.ndim))))[::-1]
    view = np.broadcast_to(view, (data.draw(st.integers(1, 3)), *view.shape))
    found = strided(view)
    assert found is not None
    places = np.full(found.dims, found.base)
    for grid, stride in zip(np.indices(found.dims), found.strides, strict=True):
        places = places + grid * stride
    np.testing.assert_array_equal(places.reshape(-1), view.reshape(-1))


@pytest.mark.parametrize("index", [[0, 1, 3], [0, 1, 1, 0], [0, 1, 2, 2, 3, 4, 4, 5, 7]])
def test_what_has_no_strides(index: list[int]) -> None:
    assert strided(np.array(index)) is None


def _graph(op: str, x: tuple[int, ...], constants: list[Array], **attributes: Any,
           ) -> onnx.ModelProto:
    names = [f"c{place}" for place in range(len(constants))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name)
         for array, name in zip(constants, names, strict=True)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_indices(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    dim, draw = shape[axis], np.random.default_rng(data.draw(st.integers(0, 99)))
    op = data.draw(st.sampled_from(["Tile", "GatherElements", "GatherND", "ReverseSequence"]))
    if op == "Tile":
        check(_graph(op, shape, [draw.integers(1, 4, len(shape))]))
    elif op == "GatherElements":
        check(_graph(op, shape, [draw.integers(-dim, dim, shape)], axis=axis))
    elif op == "GatherND":
        depth = int(draw.integers(1, len(shape) + 1))
        columns = [draw.integers(-size, size, (2, 3)) for size in shape[:depth]]
        check(_graph(op, shape, [np.stack(columns, -1)]))
    elif len(shape) > 1:
        batch = data.draw(st.sampled_from([0, 1]))
        lengths = draw.integers(1, shape[1 - batch] + 1, shape[batch])
        check(_graph(op, shape, [lengths], batch_axis=batch, time_axis=1 - batch))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 13), st.booleans(),
    st.sampled_from(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners",
                     "half_pixel_symmetric"]),
    st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
)
def test_resize_nearest(size: int, out: int, scaled: bool, transform: str, nearest: str) -> None:
    assume(not scaled or transform != "align_corners")
    assume(size != out or not scaled)  # onnxruntime copies then, whatever the scale
    wanted = (np.array([1, (out + 0.25) / size], np.float32) if scaled
              else np.array([2, out], np.int64))
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "s"] if scaled else ["x", "", "", "s"], ["y"],
                          mode="nearest", nearest_mode=nearest,
                          coordinate_transformation_mode=transform)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(wanted, "s")])
    check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 11), st.integers(1, 11)), st.booleans(),
    st.sampled_from(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]),
    st.sampled_from(["linear", "cubic"]),
)
def test_resize_by_weights(size: tuple[int, int], out: tuple[int, int], scaled: bool,
                           transform: str, mode: str) -> None:
    assume(not scaled or transform != "align_corners")
    assume(size != out or not scaled)  # onnxruntime copies then, whatever the scale
    wanted = (np.array([1, 1, *((o + 0.25) / s for o, s in zip(out, size, strict=True))],
                       np.float32) if scaled else np.array([1, 1, *out], np.int64))
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "s"] if scaled else ["x", "", "", "s"], ["y"],
                          mode=mode, coordinate_transformation_mode=transform)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(wanted, "s")])
    check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))
