"""Sum, Mean, Max and Min of several operands, CumSum, Hardmax, LpNormalization: onnxruntime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ternc import compiler as ternc
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from tests.agreement import check, feeds, floats, form, instructions, ints, model
from tests.quantized import OUT3, quantized

SETTINGS = settings(deadline=None, max_examples=40, derandomize=True,
                    suppress_health_check=list(HealthCheck))
TWO = ("d=DequantizeLinear(x,s1,z1) e=DequantizeLinear(k,s2,z2) ",
       "int8[2,3,4] x, int8[2,3,4] k", "int8[2,3,4] qy")

FORMS = (
    form("cumsum int32", "g (int32[2,3,4] x) => (int32[2,3,4] y) {y=CumSum(x,a)}",
         a=np.int32(1)),
    form("cumsum nhwc",
         "g (float[1,3,4,5] x) => (float[1,3,4,5] y) {c=Conv(x,w) y=CumSum(c,a)}",
         w=floats(3, 3, 1, 1), a=ints(1)),
    form("hardmax of ties", "g (float[3] x) => (float[2,3] y) {e=Mul(x,c) y=Hardmax(e)}",
         c=np.zeros((2, 1), np.float32)),
    form("hardmax nhwc",
         "g (float[1,3,4,5] x) => (float[1,3,4,5] y) {c=Conv(x,w) y=Hardmax<axis=1>(c)}",
         w=floats(3, 3, 1, 1)),
    form("lp 1", "g (float[2,3,4] x) => (float[2,3,4] y) {y=LpNormalization<p=1,axis=1>(x)}"),
    form("lp 2", "g (float[2,3,4] x) => (float[2,3,4] y) {y=LpNormalization(x)}"),
    form("max nhwc",
         "g (float[1,3,4,5] x) => (float[1,3,4,5] y) {c=Conv(x,w) y=Max(c,x,k)}",
         w=floats(3, 3, 1, 1), k=floats(3, 1, 1)),
    form("int32 max", "g (int32[2,3] a, int32[3] b) => (int32[2,3] y) {y=Max(a,b)}"),
    form("int64 min", "g (int64[2,3] a, int64[2,1] b) => (int64[2,3] y) {y=Min(a,b)}"),
    form("uint8 max 3",
         "g (uint8[2,3] a, uint8[3] b, uint8[1] c) => (uint8[2,3] y) {y=Max(a,b,c)}"),
    form("int8 max of a constant", "g (int8[2,3] a) => (int8[2,3] y) {y=Max(a,b)}",
         b=np.array([-3, 5, 100], np.int8)),
    quantized("max", TWO[0] + "t=Max(d,e) " + OUT3, inputs=TWO[1], outputs=TWO[2]),
    quantized("min then relu", TWO[0] + "u=Min(d,e) t=Relu(u) " + OUT3, inputs=TWO[1],
              outputs=TWO[2]),
    quantized("max of one scale",
              "d=DequantizeLinear(x,s3,z3) e=DequantizeLinear(k,s3,z3) t=Max(d,e) " + OUT3,
              inputs="int8[2,3,4] x, int8[3,1] k", outputs=TWO[2]),
    quantized("sum of three", TWO[0] + "t=Sum(d,e,d) " + OUT3, inputs=TWO[1], outputs=TWO[2]),
    quantized("hardmax", TWO[0] + "m=Max(d,e) t=Hardmax<axis=1>(d) " + OUT3, inputs=TWO[1],
              outputs=TWO[2]),
)  # fmt: skip


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)
    check(model, fuse=False)


@SETTINGS
@given(st.sampled_from(("Sum", "Mean", "Max", "Min")), st.integers(1, 4), st.data())
def test_any_number_of_operands(name: str, count: int, data: st.DataObject) -> None:
    """Shapes that broadcast, of ranks that differ."""
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    shapes = [[1 if data.draw(st.booleans()) else size for size in sizes[data.draw(
        st.integers(0, len(sizes) - 1)):]] for _ in range(count)]
    inputs = ", ".join(f"float[{','.join(map(str, shape))}] x{i}"
                       for i, shape in enumerate(shapes))
    whole = ",".join(map(str, np.broadcast_shapes(*map(tuple, shapes))))
    names = ",".join(f"x{i}" for i in range(count))
    check(model(f"g ({inputs}) => (float[{whole}] y) {{y={name}({names})}}"))


@SETTINGS
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_every_axis(shape: list[int], data: st.DataObject) -> None:
    """CumSum and Hardmax along any axis of any shape."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    flags = f"exclusive={data.draw(st.integers(0, 1))},reverse={data.draw(st.integers(0, 1))}"
    dims = ",".join(map(str, shape))
    check(model(f"g (float[{dims}] x) => (float[{dims}] y, float[{dims}] z) "
                f"{{y=CumSum<{flags}>(x,a) z=Hardmax<axis={axis}>(x)}}", a=ints(axis)))


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize(("body", "used"), [
    ("y=Sum(c,x,e)", {"add"}), ("y=Mean(c,x,e)", {"add", "affine"}),
    ("y=Max(c,x,e)", {"extremum", "lut", "rescale"}),
    ("y=Min(c,x,e)", {"extremum", "lut", "rescale"}),
])
def test_calibrated(activations: Any, body: str, used: set[str]) -> None:
    proto = model("g (float[1,3,4,5] x) => (float[1,3,4,5] y) "
                  f"{{c=Conv(x,w) e=Sigmoid(c) {body}}}", w=floats(3, 3, 1, 1))
    data = [feeds(proto, seed) for seed in range(4)]
    compiled = ternc.compile(proto, "host", calibration_data=data, activations=activations,
                             check_fit=False)
    for result in check_layers(compiled.model, data):
        assert result.worst <= 1, result
    names = {name.split("_")[0] for name in instructions(compiled)}
    assert names & used
    assert not any("f32" in name for name in instructions(compiled))


def test_sums_of_int32_wrap() -> None:
    proto = model("g (int32[3] x) => (int32[3] y) {y=CumSum(x,a)}", a=np.int64(0))
    x = np.array([2**31 - 1, 5, -(2**31)], np.int32)
    (got,) = ternc.compile(proto, "host").run(x).values()
    np.testing.assert_array_equal(got, Oracle(proto).run({"x": x})["y"])
