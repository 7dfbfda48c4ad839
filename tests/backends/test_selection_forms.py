"""Comparisons, logic, Where, OneHot and TopK: against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ternc import compiler as ternc
from ternc.oracle import Oracle
from tests.agreement import check, floats, form, instructions, ints
from tests.quantized import IN, OUT1, OUT2, OUT3, quantized

COMPARISONS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
FORMS = (
    *(form(f"{op} of {kind}", f"g ({kind}[3,1,4] a, {kind}[2,4] b) => (bool[3,2,4] y) "
                              f"{{y={op}(a,b)}}")
      for op in COMPARISONS for kind in ("float", "int64", "int32", "int8", "uint8")),
    *(form(f"{op} of int16", f"g (int16[4] a, int16[3,4] b) => (bool[3,4] y) {{y={op}(a,b)}}")
      for op in ("Less", "Equal")),
    *(form(f"{op} of bool", f"g (bool[3,1,4] a, bool[2,4] b) => (bool[3,2,4] y) {{y={op}(a,b)}}")
      for op in ("And", "Or", "Xor", "Equal")),
    form("not", "g (bool[3,4] a) => (bool[3,4] y) {y=Not(a)}"),
    form("cast of a comparison", "g (float[3,4] a) => (float[3,4] y) "
                                 "{c=Greater(a,z) y=Cast<to=1>(c)}", z=np.float32(0.5)),
    form("where", "g (bool[3,1] c, float[3,4] a, float[4] b) => (float[3,4] y) {y=Where(c,a,b)}"),
    form("where of int64", "g (bool[3,4] c, int64[3,4] a, int64[1] b) => (int64[3,4] y) "
                           "{y=Where(c,a,b)}"),
    form("where of uint8", "g (bool[3,4] c, uint8[3,4] a, uint8[4] b) => (uint8[3,4] y) "
                           "{y=Where(c,a,b)}"),
    form("masked fill", "g (float[2,4,4] x) => (float[2,4,4] y) {y=Where(m,x,v)}",
         m=np.tril(np.ones((4, 4), bool)), v=np.float32(-1e9)),
    form("where of a comparison", "g (float[2,3] x) => (float[2,3] y) "
                                  "{c=Less(x,z) n=Neg(x) y=Where(c,n,x)}", z=np.float32(0)),
    form("where channels last",
         "g (float[1,3,4,4] x) => (float[1,3,4,4] y) "
         "{t=Conv(x,w) c=Greater(t,z) u=Where(c,t,z) y=Conv(u,w)}",
         w=floats(3, 3, 1, 1), z=np.float32(0.1)),
    form("top k", "g (float[3,7] x) => (float[A,B] y, int64[A,B] i) {y,i=TopK(x,k)}", k=ints(3)),
    form("top k of the smallest", "g (float[3,7,2] x) => (float[A,B,C] y, int64[A,B,C] i) "
                                  "{y,i=TopK<axis=1,largest=0>(x,k)}", k=ints(7)),
    form("top k of equal numbers", "g (int64[3,9] x) => (int64[A,B] y, int64[A,B] i) "
                                   "{y,i=TopK(x,k)}", k=ints(5)),
    form("top k of one", "g (float[3,1] x) => (float[A,B] y, int64[A,B] i) {y,i=TopK(x,k)}",
         k=ints(1)),
    form("top 1", "g (float[3,4] x) => (float[A,B] y) {y,i=TopK<axis=0>(x,k)}", k=ints(1)),
    form("top k, only where", "g (float[3,4] x) => (int64[A,B] i) {y,i=TopK<axis=0>(x,k)}",
         k=ints(2)),
    form("top k channels last",
         "g (float[1,5,3,3] x) => (float[A,B,C,D] y, int64[A,B,C,D] i) "
         "{t=Conv(x,w) y,i=TopK<axis=1>(t,k)}", w=floats(6, 5, 1, 1), k=ints(2)),
    form("one hot", "g (int64[2,3] x) => (float[A,B,C] y) {y=OneHot(x,d,v)}",
         d=np.int64(4), v=floats(2)),
    form("one hot first axis", "g (int64[2,3] x) => (int64[A,B,C] y) {y=OneHot<axis=0>(x,d,v)}",
         d=ints(4), v=ints(-1, 7)),
    form("one hot of floats", "g (float[5] x) => (float[A,B] y) "
                              "{r=Round(x) y=OneHot<axis=-2>(r,d,v)}", d=np.float32(3),
         v=floats(2)),
    form("one hot of values at run time", "g (int64[2] x, float[2] v) => (float[A,B] y) "
                                          "{y=OneHot(x,d,v)}", d=np.int64(3)),
)
QUANTIZED = (
    *(quantized(f"{op} with a constant", IN + f"y={op}(d,c)", outputs="bool[N,M,A,B] y",
                c=np.float32(np.float32(20) * np.float32(0.02))) for op in COMPARISONS),
    quantized("constant first", IN + "y=Less(c,d)", outputs="bool[N,M,A,B] y", c=np.float32(0.3)),
    quantized("of a function", IN + "r=Sigmoid(d) y=Less(r,c)", outputs="bool[N,M,A,B] y",
              c=np.float32(0.6)),
    quantized("two activations", IN + "e=DequantizeLinear(k,s2,z2) y=Less(d,e)",
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k", outputs="bool[N,M,A,B] y"),
    quantized("broadcast", IN + "y=Greater(d,c)", outputs="bool[N,M,A,B] y",
              c=floats(2, 3, 1, 1)),
    quantized("is nan", IN + "y=IsNaN(d)", outputs="bool[N,M,A,B] y"),
    quantized("top k", IN + "t,i=TopK(d,k) " + OUT1, k=ints(3),
              outputs="int8[N,M,A,B] qy, int64[N,M,A,B] i"),
    quantized("top k of uint8", "q=QuantizeLinear(x,su,zu) d=DequantizeLinear(q,su,zu) "
              "t,i=TopK<axis=1,largest=0>(d,k) qy=QuantizeLinear(t,su,zu)", k=ints(2),
              outputs="uint8[N,M,A,B] qy, int64[N,M,A,B] i"),
    quantized("where two scales", IN + "e=DequantizeLinear(k,s2,z2) t=Where(c,d,e) " + OUT3,
              inputs="float[1,3,6,6] x, int8[1,3,6,6] k, bool[6] c"),
    quantized("where one scale", IN + "t=Where(c,d,f) " + OUT1, f=np.float32(0),
              inputs="float[1,3,6,6] x, bool[1,3,1,6] c"),
    quantized("where with constants", IN + "t=Where(c,f,d) " + OUT2, f=floats(6, 1),
              c=np.array([True, False, True, False, True, False])),
    quantized("where then float", IN + "y=Where(c,f,d)", f=floats(6, 1),
              outputs="float[N,M,A,B] y", c=np.array([True, False, True, False, True, False])),
)


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)


@pytest.mark.parametrize("model", QUANTIZED)
def test_agrees_quantized(model: onnx.ModelProto) -> None:
    check(model)


def test_where_of_two_scales_chooses_bytes() -> None:
    (model,) = next(item.values for item in QUANTIZED if item.id == "where-two-scales")
    assert isinstance(model, onnx.ModelProto)
    assert instructions(check(model))[-1] == "where"
    assert not [item for item in instructions(check(model)) if item.endswith("f32")]


@pytest.mark.parametrize("op", [*COMPARISONS, "IsNaN", "IsInf", "negative", "positive", "neither"])
def test_special_numbers(op: str) -> None:
    special = np.array([np.nan, -np.inf, np.inf, -0.0, 0.0, 1e-42, -3.4e38], np.float32)
    names, attributes = ["x", "z"], dict[str, Any]()
    if op not in COMPARISONS:
        names = ["x"]
    if op in ("negative", "positive", "neither"):
        attributes = {"detect_negative": int(op == "negative"),
                      "detect_positive": int(op == "positive")}
    kind = "IsInf" if attributes else op
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
         for name, shape in (("x", [7, 1]), ("z", [7])) if name in names],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    feed = {"x": special[:, None], "z": special}
    feed = {name: feed[name] for name in names}
    compiled = ternc.compile(proto, "host", check_fit=False)
    np.testing.assert_array_equal(compiled.run(feed)["y"], Oracle(proto).run(feed)["y"])
