"""What becomes of small models: the instructions, and that they compute what onnxruntime does."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from ternc import compiler as ternc
from ternc.compiled import CompiledModel
from ternc.diagnostics import CompileError
from ternc.oracle import Oracle
from tests.agreement import bytes_, check, differences, feeds, floats, instructions, ints, model
from tests.quantized import IN, KERNEL, OUT1, OUT2, OUT3, SHARED

W: Any = {"w": floats(4, 2, 3, 3)}
Case = tuple[onnx.ModelProto, list[str]]
CONV = "g (float[1,2,6,6] x) => (float[N,M,A,B] y) {t=Conv(x,w) "


def families(compiled: CompiledModel) -> list[str]:
    """The instructions, with the forms of one integer layer as one."""
    whole = re.compile(r"^(conv2d|dense)_i8(?!f).*")
    return [whole.sub(r"\1_i8", name) for name in instructions(compiled)]


def quantized(body: str, inputs: str = "float[1,3,6,6] x", outputs: str = "int8[N,M,A,B] qy",
              **constants: Any) -> onnx.ModelProto:
    words = re.split(r"[(),]", body)
    known = {**{n: v for n, v in SHARED.items() if n in words}, **constants}
    return model(f"g ({inputs}) => ({outputs}) {{{body}}}", **known)


FLOAT: tuple[Case, ...] = (
    # The activation and the normalization become part of the convolution.
    (model(CONV + "y=Relu(t)}", **W), ["copy_nd", "conv2d_f32", "copy_nd"]),
    (model(CONV + "y=Clip(t,a,b)}", **W, a=np.float32(0), b=np.float32(6)),
     ["copy_nd", "conv2d_f32", "copy_nd"]),
    (model(CONV + "u=BatchNormalization(t,a,b,c,v) y=Relu(u)}", **W, a=floats(4), b=floats(4),
           c=floats(4), v=floats(4, low=0.5)), ["copy_nd", "conv2d_f32", "copy_nd"]),
    # A value that others read too stays.
    (model("g (float[1,2,6,6] x) => (float[N,M,A,B] y, float[N,M,A,B] z) "
           "{t=Conv(x,w) y=Relu(t) z=Neg(t)}", **W),
     ["copy_nd", "conv2d_f32", "unary_f32", "unary_f32", "copy_nd", "copy_nd"]),
    # The transposes that Keras leaves around NHWC cost nothing.
    (model("g (float[1,6,6,2] x) => (float[N,M,A,B] y) {a=Transpose<perm=[0,3,1,2]>(x) t=Conv(a,w)"
           " r=Relu(t) p=MaxPool<kernel_shape=[2,2],strides=[2,2]>(r)"
           " y=Transpose<perm=[0,2,3,1]>(p)}", **W), ["conv2d_f32", "maxpool_f32"]),
    (model("g (float[1,6,6,2] x) => (float[N,M] y) {a=Transpose<perm=[0,3,1,2]>(x) t=Conv(a,w)"
           " r=Relu(t) p=Transpose<perm=[0,2,3,1]>(r) q=Reshape(p,s) z=MatMul(q,d) y=Add(z,e)}",
           **W, s=ints(1, 64), d=floats(64, 5), e=floats(5)), ["conv2d_f32", "dense_f32"]),
    # Flattening NCHW is absorbed in the order of the dense layer's weights.
    (model("g (float[1,2,6,6] x) => (float[N,M] y) {t=Conv(x,w) r=Relu(t) q=Flatten(r)"
           " y=Gemm<transB=1>(q,d,e)}", **W, d=floats(5, 64), e=floats(5)),
     ["copy_nd", "conv2d_f32", "dense_f32"]),
    # The bias of a MatMul, on either side; not one that makes the result larger.
    (model("g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Add(b,t)}",
           w=floats(3, 4), b=floats(4)), ["dense_f32"]),
    (model("g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Sub(t,b)}",
           w=floats(3, 4), b=floats(1, 4)), ["dense_f32"]),
    (model("g (float[2,3] x) => (float[2,4] y) {t=MatMul(x,w) y=Sub(b,t)}",
           w=floats(3, 4), b=floats(4)), ["dense_f32"]),
    (model("g (float[1,3] x) => (float[5,4] y) {t=MatMul(x,w) y=Add(t,b)}",
           w=floats(3, 4), b=floats(5, 4)), ["dense_f32", "binary_f32"]),
    (model("g (float[2,3] x) => (float[2,4] t, float[2,4] y) {t=MatMul(x,w) y=Add(t,b)}",
           w=floats(3, 4), b=floats(4)), ["dense_f32", "binary_f32"]),
    # Exactly ternary weights are packed.
    (model("g (float[1,6] x) => (float[N,M] y) {y=MatMul(x,w)}",
           w=np.float32(0.3) * (bytes_(6, 4) % 3 - 1).astype(np.float32)), ["dense_f32_t2"]),
    # What nobody reads is not computed; what is already there is not copied.
    (model("g (float[2,3] x) => (float[2,3] y) {y=Relu(x) z=Exp(x) w=Softmax(z)}"),
     ["unary_f32"]),
    (model("g (float[2,3] x) => (float[2,3] y, float[6] z) {y=Identity(x) z=Reshape(x,s)}",
           s=ints(6)), []),
    (model("g (float[2,3] x) => (float[2,3] y, float[2] c) {y=Relu(x)}", c=floats(2)),
     ["unary_f32"]),
    (model("g (float[1,2,4,5] x) => (float[N,M,A,B] y) {y=Pad(x,p)}",
           p=ints(0, 0, 1, 2, 0, 0, 2, 1)), ["fill", "copy_nd"]),
)
DX = "q=QuantizeLinear(x,su,zu) d=DequantizeLinear(q,su,zu) "
INTEGERS: tuple[Case, ...] = (
    (quantized(IN + KERNEL + "t=Conv(d,w) r=Relu(t) qy=QuantizeLinear(r,s3,z3)"),
     ["copy_nd", "conv2d_i8", "copy_nd"]),
    # uint8 is held as int8, and given as uint8.
    (quantized(DX + KERNEL + "t=Conv(d,w) qy=QuantizeLinear(t,s3,zu)",
               outputs="uint8[N,M,A,B] qy"), ["copy_nd", "conv2d_i8", "copy_nd", "lut_i8"]),
    # A zero point of the weights that int8 can hold re-centred, and one that it cannot.
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3, w8=SHARED["w8"] // 4,
               zw=np.array([3, -5, 0, 20], np.int8)), ["copy_nd", "conv2d_i8", "copy_nd"]),
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3, w8=SHARED["w8"].view(np.uint8),
               zw=np.array([0, 255, 128, 9], np.uint8)), ["copy_nd", "conv2d_i8", "copy_nd"]),
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3,
               w8=(SHARED["w8"] % 16).astype(ml_dtypes.uint4),
               zw=np.array([0, 15, 8, 9], ml_dtypes.uint4)), ["copy_nd", "conv2d_i8", "copy_nd"]),
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3,
               w8=(SHARED["w8"] % 16 - 8).astype(ml_dtypes.int4), zw=np.zeros(4, ml_dtypes.int4)),
     ["copy_nd", "conv2d_i8", "copy_nd"]),
    # A residual connection and its activation are one instruction.
    (quantized(IN + "w=DequantizeLinear<axis=0>(w3,sw3) t=Conv<pads=[1,1,1,1]>(d,w)"
               " q1=QuantizeLinear(t,s2,z2) d1=DequantizeLinear(q1,s2,z2) u=Add(d,d1) r=Relu(u)"
               " qy=QuantizeLinear(r,s3,z3)", w3=SHARED["w8"][:3], sw3=SHARED["sw"][:3]),
     ["copy_nd", "conv2d_i8", "add_i8", "copy_nd"]),
    # Whatever depends on one quantized value alone is one table.
    (quantized(IN + "a=Add(d,three) b=Clip(a,zero,six) c=Mul(d,b) t=Div(c,six) " + OUT3,
               three=np.float32(3), zero=np.float32(0), six=np.float32(6)), ["lut_i8"]),
    (quantized(IN + "a=Div(d,r) b=Erf(a) c=Add(b,one) e=Mul(d,c) t=Mul(e,half) " + OUT3,
               r=np.float32(2**0.5), one=np.float32(1), half=np.float32(0.5)), ["lut_i8"]),
    (quantized(IN + "r=QuantizeLinear(d,s2,z2) e=DequantizeLinear(r,s2,z2) t=Tanh(e) " + OUT3),
     ["lut_i8", "lut_i8"]),
    (quantized(IN + "qy=QuantizeLinear(d,s1,z1)"), []),
    # A scale and an offset per channel are one instruction.
    (quantized(IN + "a=Mul(d,m) b=Add(a,n) r=Relu(b) qy=QuantizeLinear(r,s3,z3)",
               m=floats(3, 1, 1), n=floats(3, 1, 1)), ["affine_i8"]),
    # Concat brings its operands to one scale.
    (quantized(IN + "e=DequantizeLinear(k,s2,z2) t=Concat<axis=1>(d,e) " + OUT3,
               "float[1,3,6,6] x, int8[1,2,6,6] k"), ["lut_i8", "lut_i8", "copy_nd", "copy_nd"]),
    (quantized(IN + "e=DequantizeLinear(k,s1,z1) t=Concat<axis=1>(d,e) " + OUT1,
               "float[1,3,6,6] x, int8[1,2,6,6] k"), ["copy_nd", "copy_nd"]),
    (quantized(IN + "t=MaxPool<kernel_shape=[2,2]>(d) " + OUT1),
     ["copy_nd", "maxpool_i8", "copy_nd"]),
    (quantized(IN + "t=MaxPool<kernel_shape=[2,2]>(d) " + OUT2),
     ["copy_nd", "maxpool_i8", "lut_i8", "copy_nd"]),
    (quantized(IN + "y=ArgMax<axis=1>(d)", outputs="int64[N,M,A,B] y"), ["argmax_i8"]),
    # Two quantizations of one value, and a quantized value that is an output too.
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3 + " qz=QuantizeLinear(t,s2,z2)",
               outputs="int8[N,M,A,B] qy, int8[N,M,A,B] qz"),
     ["copy_nd", "conv2d_i8f", "quantize_i8", "quantize_i8", "copy_nd", "copy_nd"]),
    (quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3 + " e=DequantizeLinear(qy,s3,z3) r=Relu(e)"
               " qz=QuantizeLinear(r,s3,z3)", outputs="int8[N,M,A,B] qy, int8[N,M,A,B] qz"),
     ["copy_nd", "conv2d_i8", "lut_i8", "copy_nd", "copy_nd"]),
)


@pytest.mark.parametrize(("proto", "expected"), FLOAT)
def test_float(proto: onnx.ModelProto, expected: list[str]) -> None:
    assert instructions(check(proto)) == expected


@pytest.mark.parametrize(("proto", "expected"), INTEGERS)
def test_integers(proto: onnx.ModelProto, expected: list[str]) -> None:
    assert sorted(families(check(proto))) == sorted(expected)  # the planner may reorder


def test_folded_names_what_absorbed_a_tensor() -> None:
    compiled = check(quantized(IN + KERNEL + "t=Conv(d,w) r=Relu(t) qy=QuantizeLinear(r,s3,z3)"))
    assert compiled.folded["t"] == compiled.folded["r"] == "t"  # the node that computes t


def test_layout_of_inputs_and_outputs() -> None:
    """`io_layout="nhwc"` drops the copies, and takes and gives the same images channels last."""
    proto = model(CONV + "y=Relu(t)}", **W)
    compiled = ternc.compile(proto, "host", io_layout="nhwc")
    assert instructions(compiled) == ["conv2d_f32"]
    assert compiled.program.inputs[0].shape == (1, 6, 6, 2)
    feed = feeds(proto)
    found = compiled.run({"x": feed["x"].transpose(0, 2, 3, 1)})
    wanted = Oracle(proto).run(feed)["y"].transpose(0, 2, 3, 1)
    assert differences(found, {"y": wanted})["y"] <= 1


@pytest.mark.parametrize("io", ["auto", "float"])
def test_quantized_ports(io: Any) -> None:
    """A float input and output at a border of the integers is exposed as integers, or stays."""
    proto = quantized(IN + "t=Sigmoid(d) " + OUT1 + " y=DequantizeLinear(qy,s1,z1)",
                      outputs="float[N,M,A,B] y")
    compiled = check(proto, io=io)
    port = compiled.program.inputs[0]
    assert (port.scale is not None) == (io == "auto")
    assert port.tensor.dtype.size == (1 if io == "auto" else 4)
    assert (compiled.program.outputs[0].scale is not None) == (io == "auto")


def test_narrow_inputs_stay_float() -> None:
    """The application saturates at int8's limits, so a 4-bit input is quantized by the program."""
    proto = quantized("q=QuantizeLinear(x,s1,z4) d=DequantizeLinear(q,s1,z4) t=Relu(d) " + OUT1,
                      z4=np.array(1, ml_dtypes.int4))
    assert check(proto).program.inputs[0].scale is None


def test_names_are_unique() -> None:
    """The tensors of a program have different names, whatever the model calls its values."""
    compiled = check(model(
        "g (float[1,2,6,6] x) => (float[N,M,A,B] y) {t=Conv(x,w) u=Conv(x,w) a=Add(t,u)"
        " y=Pad<mode=\"edge\">(a,p)}", **W, p=ints(0, 0, 1, 1, 0, 0, 1, 1)))
    names = [tensor.name for tensor in compiled.program.tensors()]
    assert len(set(names)) == len(names)
    assert all(names)


def test_diagnostics_name_a_node_without_a_name() -> None:
    proto = model("g (float[2,2] x) => (float y) {y=Det(x)}")
    assert not proto.graph.node[0].name
    with pytest.raises(CompileError) as caught:
        ternc.compile(proto, "host")
    assert caught.value.diagnostics[0].node


def test_integer_model_runs_in_integers() -> None:
    compiled = check(quantized(IN + KERNEL + "t=Conv(d,w) " + OUT3))
    assert compiled.float_instructions() == 0
