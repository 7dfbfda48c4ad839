"""The quantize pass: where Q and DQ go, with which parameters, and how close the result stays."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from ternc.calibrate import Ranges, calibrate
from ternc.diagnostics import Diagnostics
from ternc.feeds import Feed, input_specs, random_feeds
from ternc.oracle import Oracle
from ternc.passes.quantize import Quantize, tensors_to_observe
from tests.passes.running import Array, graph, ops


def weights(*shape: int, seed: int = 0) -> Array:
    fan_in = int(np.prod(shape[1:])) or 1
    values: Array = np.random.default_rng(seed).standard_normal(shape) / np.sqrt(fan_in)
    return values.astype(np.float32)


def quantized(
    model: ir.Model, *, threshold: float, keep_float: AbstractSet[str] = frozenset(),
    count: int = 16,
) -> ir.Model:
    """`model` after the pass, with an SQNR of every output of at least `threshold` dB."""
    feeds = list(random_feeds(input_specs(model), count))
    before = answers(model, feeds)
    diagnostics = Diagnostics()
    ranges = calibrate(model, feeds, tensors_to_observe(model, keep_float))
    result = Quantize(ranges, diagnostics, keep_float)(model)
    assert result.modified
    assert not diagnostics.items
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    after = answers(model, feeds)
    assert before.keys() == after.keys()
    for name, exact in before.items():
        noise = ((exact - after[name]) ** 2).sum()
        found = 10 * np.log10((exact**2).sum() / max(noise, 1e-30))
        assert found >= threshold, (name, found)
    return model


def answers(model: ir.Model, feeds: list[Feed]) -> dict[str, Array]:
    oracle = Oracle(model)
    runs = [oracle.run(feed) for feed in feeds]
    return {name: np.stack([run[name] for run in runs]) for name in oracle.outputs}


def node(model: ir.Model, op_type: str, index: int = 0) -> ir.Node:
    return [item for item in model.graph if item.op_type == op_type][index]


def input_of(item: ir.Node, index: int = 0) -> ir.Value:
    value = item.inputs[index]
    assert value is not None
    return value


def source_op(item: ir.Node, index: int = 0) -> str | None:
    producer = input_of(item, index).producer()
    return producer.op_type if producer else None


def quantizer(value: ir.Value) -> ir.Node:
    """The one QuantizeLinear behind `value`."""
    found = [use.node for use in value.uses() if use.node.op_type == "QuantizeLinear"]
    assert len(found) == 1
    return found[0]


def parameters(item: ir.Node) -> tuple[float, int]:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear."""
    tensors = [input_of(item, index).const_value for index in (1, 2)]
    scale, zero = (tensor.numpy() for tensor in tensors if tensor is not None)
    assert scale.dtype == np.float32
    assert zero.dtype == np.int8
    return float(scale), int(zero)


def pairs(model: ir.Model) -> int:
    return ops(model).count("QuantizeLinear")


W, B = weights(8, 3, 3, 3), weights(8)


class TestStructure:
    def test_conv_relu_is_one_layer(self) -> None:
        model = quantized(graph(
            "c = Conv<pads=[1,1,1,1]>(x, w, b)  y = Relu(c)",
            "float[1,3,8,8] x", "float[1,8,8,8] y", w=W, b=B,
        ), threshold=35)
        assert ops(model) == [
            "QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "Relu",
            "QuantizeLinear", "DequantizeLinear",
        ]
        conv = node(model, "Conv")
        codes = input_of(node(model, "DequantizeLinear", 1))
        assert codes.dtype is ir.DataType.INT8
        assert node(model, "DequantizeLinear", 1).attributes.get_int("axis", 1) == 0
        assert input_of(conv, 2).dtype is ir.DataType.FLOAT
        assert model.graph.outputs[0].name == "y"
        assert model.graph.inputs[0].name == "x"
        assert "w" not in model.graph.initializers
        scale, zero = parameters(quantizer(node(model, "Relu").outputs[0]))
        assert scale > 0
        assert zero == -128  # nothing below 0 after Relu

    def test_names_go_to_the_dequantized_tensors(self) -> None:
        model = quantized(graph(
            "c = Conv(x, w, b)  s = Sigmoid(c)  y = Mul(c, s)",
            "float[1,3,8,8] x", "float[1,8,6,6] y", w=W, b=B,
        ), threshold=25)
        for name in ("c", "s", "y"):
            producers = [n for n in model.graph for out in n.outputs if out.name == name]
            assert [n.op_type for n in producers] == ["DequantizeLinear"]

    def test_clip_with_constant_bounds(self) -> None:
        text = "c = Conv(x, w, b)  y = Clip(c, lo, hi)"
        model = quantized(graph(
            text, "float[1,3,8,8] x", "float[1,8,6,6] y", w=W, b=B,
            lo=np.array(0, np.float32), hi=np.array(6, np.float32)), threshold=30)
        assert pairs(model) == 2
        dynamic = quantized(graph(
            text, "float[1,3,8,8] x, float lo, float hi", "float[1,8,6,6] y", w=W, b=B,
        ), threshold=5)
        assert pairs(dynamic) == 5  # three inputs, c, y

    def test_matmul_bias_relu_is_one_layer(self) -> None:
        model = quantized(graph(
            "m = MatMul(x, w)  a = Add(m, b)  y = Relu(a)",
            "float[4,16] x", "float[4,8] y", w=weights(8, 16).T.copy(), b=weights(8),
        ), threshold=35)
        assert pairs(model) == 2
        assert node(model, "DequantizeLinear", 1).attributes.get_int("axis", 0) == 1

    def test_an_addend_that_is_no_bias_is_a_layer(self) -> None:
        model = quantized(graph(
            "m = MatMul(x, w)  y = Add(m, b)", "float[4,16] x", "float[4,8] y",
            w=weights(16, 8), b=weights(4, 8),
        ), threshold=30)
        assert pairs(model) == 3
        assert source_op(node(model, "Add"), 1) is None  # the constant stays float

    def test_a_shared_result_is_not_fused(self) -> None:
        model = quantized(graph(
            "c = Conv(x, w, b)  r = Relu(c)  y = Add(c, r)",
            "float[1,3,8,8] x", "float[1,8,6,6] y", w=W, b=B,
        ), threshold=30)
        assert pairs(model) == 4

    @pytest.mark.parametrize(("op", "shape", "axis"), [
        ("Gemm<transB=1>(x, w)", (8, 16), 0), ("Gemm(x, w)", (16, 8), 1),
        ("MatMul(x, w)", (16, 8), 1),
    ])
    def test_channel_axis_of_dense(self, op: str, shape: tuple[int, ...], axis: int) -> None:
        model = quantized(graph(
            f"y = {op}", "float[4,16] x", "float[4,8] y", w=weights(*shape)), threshold=35)
        dequantize = [n for n in model.graph if n.attributes.get_int("axis", -9) != -9]
        assert [n.attributes.get_int("axis", -9) for n in dequantize] == [axis]
        assert input_of(dequantize[0], 1).shape == (8,)

    def test_channel_axis_of_conv_transpose(self) -> None:
        model = quantized(graph(
            "y = ConvTranspose<group=2>(x, w)", "float[1,4,5,5] x", "float[1,6,7,7] y",
            w=weights(4, 3, 3, 3)), threshold=30)
        assert node(model, "DequantizeLinear", 1).attributes.get_int("axis", -1) == 1

    def test_ternary_weight_stays(self) -> None:
        codes = np.random.default_rng(0).integers(-1, 2, (8, 16)).astype(ml_dtypes.int2)
        model = graph(
            "y = Gemm<transB=1>(x, f)", "float[4,16] x, float[8,16] f", "float[4,8] y", opset=25)
        model.ir_version = 13
        codes_value = ir.Value(
            name="w", const_value=ir.tensor(codes), shape=ir.Shape((8, 16)),
            type=ir.TensorType(ir.DataType.INT2))
        scale = ir.Value(
            name="s", const_value=ir.tensor(np.full(8, 0.25, np.float32)), shape=ir.Shape((8,)),
            type=ir.TensorType(ir.DataType.FLOAT))
        for value in (codes_value, scale):
            model.graph.register_initializer(value)
        weight = ir.node("DequantizeLinear", [codes_value, scale], {"axis": 0}, name="dq")
        weight.outputs[0].name = "wf"
        model.graph.insert_before(node(model, "Gemm"), weight)
        node(model, "Gemm").replace_input_with(1, weight.outputs[0])
        del model.graph.inputs[1]
        quantized(model, threshold=30)
        assert input_of(node(model, "Gemm"), 1) is weight.outputs[0]
        assert input_of(weight).dtype is ir.DataType.INT2
        assert pairs(model) == 2

    def test_movement_keeps_the_scale(self) -> None:
        model = quantized(graph(
            """p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x)
               t = Transpose<perm=[0,2,3,1]>(p)  f = Flatten(t)
               a, b = Split<num_outputs=2, axis=1>(f)
               e = Pad(a, pads)  g = Gather<axis=1>(b, rows)
               y = Concat<axis=1>(e, g)""",
            "float[1,2,8,8] x", "float[1,23] y", pads=np.array([0, 1, 0, 1]),
            rows=np.array([0, 5, 9, 3, 2])), threshold=35)
        given = parameters(quantizer(model.graph.inputs[0]))
        for op in ("MaxPool", "Transpose", "Flatten", "Pad", "Gather"):
            assert source_op(node(model, op)) == "DequantizeLinear"
            assert parameters(quantizer(node(model, op).outputs[0])) == given
        for output in node(model, "Split").outputs:
            assert parameters(quantizer(output)) == given
        # Moving codes moves them exactly: only the input and the concatenation round.
        assert tensors_to_observe(graph(
            "t = Transpose(x)  y = Concat<axis=0>(t, t)", "float[2,3] x", "float[6,2] y",
        )) == ("x", "y")

    def test_fixed_scales(self) -> None:
        model = quantized(graph(
            "a = Softmax(x)  b = Sigmoid(x)  c = Tanh(x)", "float[2,8] x",
            "float[2,8] a, float[2,8] b, float[2,8] c"), threshold=25)
        for op, expected in (
            ("Softmax", (1 / 256, -128)), ("Sigmoid", (1 / 256, -128)), ("Tanh", (1 / 128, 0)),
        ):
            assert parameters(quantizer(node(model, op).outputs[0])) == expected

    def test_integers_are_left_alone(self) -> None:
        model = quantized(graph(
            "c = Conv(x, w, b)  y = ArgMax<axis=1, keepdims=0>(c)", "float[1,3,8,8] x",
            "int64[1,6,6] y", w=W, b=B), threshold=10)
        assert source_op(node(model, "ArgMax")) == "DequantizeLinear"
        assert model.graph.outputs[0] is node(model, "ArgMax").outputs[0]
        assert tensors_to_observe(graph(
            "f = Cast<to=1>(x)  y = Relu(f)", "int64[4] x", "float[4] y")) == ("f", "y")

    def test_embedding_table(self) -> None:
        table = weights(20, 6)
        model = graph("y = Gather(t, i)", "int64[3] i", "float[3,6] y", t=table)
        Quantize({}, Diagnostics())(model)
        result = Oracle(model).run({"i": np.array([0, 7, 19])})["y"]
        step = (table.max() - table.min()) / 255
        assert np.abs(result - table[[0, 7, 19]]).max() <= 0.51 * step
        assert model.graph.initializers["t_int8"].dtype is ir.DataType.INT8
        assert "t" not in model.graph.initializers

    def test_shared_weight_is_quantized_once(self) -> None:
        model = quantized(graph(
            "h = MatMul(x, w)  y = MatMul(h, w)", "float[2,8] x", "float[2,8] y", w=weights(8, 8),
        ), threshold=30)
        assert input_of(node(model, "MatMul"), 1) is input_of(node(model, "MatMul", 1), 1)

    def test_an_output_that_is_also_read(self) -> None:
        model = quantized(graph(
            "h = Relu(x)  y = MatMul(h, w)", "float[2,8] x", "float[2,8] h, float[2,4] y",
            w=weights(8, 4)), threshold=30)
        assert [out.name for out in model.graph.outputs] == ["h", "y"]
        assert input_of(node(model, "MatMul")) is model.graph.outputs[0]


class TestKeepFloat:
    BODY = """a = Conv<pads=[1,1,1,1]>(x, w, b)  r = Relu(a)
              d = Conv<pads=[1,1,1,1]>(r, w2)  s = Relu(d)
              y = Conv<pads=[1,1,1,1]>(s, w2)"""

    def model(self) -> ir.Model:
        model = graph(self.BODY, "float[1,3,6,6] x", "float[1,8,6,6] y",
                      w2=weights(8, 8, 3, 3), w=W, b=B)
        for index, item in enumerate(model.graph):
            item.name = f"n{index}"
        return model

    def test_one_in_the_middle(self) -> None:
        model = quantized(self.model(), threshold=30, keep_float={"n2"})
        middle = node(model, "Conv", 1)
        assert source_op(middle) == "DequantizeLinear"
        assert source_op(middle, 1) is None  # its weight is the float initializer
        assert source_op(node(model, "Conv", 2), 1) == "DequantizeLinear"
        last = node(model, "Relu", 1)
        assert input_of(last) is middle.outputs[0]
        assert [use.node.op_type for use in last.outputs[0].uses()] == ["QuantizeLinear"]

    def test_neighbours_exchange_floats(self) -> None:
        model = quantized(self.model(), threshold=30, keep_float={"n2", "n4"})
        assert input_of(node(model, "Conv", 2)) is node(model, "Relu", 1).outputs[0]
        assert model.graph.outputs[0].producer() is node(model, "Conv", 2)
        assert pairs(model) == 2

    def test_everything(self) -> None:
        model = self.model()
        names = {item.name or "" for item in model.graph}
        assert tensors_to_observe(model, names) == ()
        assert not Quantize({}, Diagnostics(), names)(model).modified
        assert pairs(model) == 0

    def test_both_kinds_of_readers(self) -> None:
        model = graph(
            "a = Exp(x)  p = Sqrt(a)  q = Relu(a)  y = Add(p, q)", "float[4] x", "float[4] y")
        for item in model.graph:
            item.name = item.op_type
        quantized(model, threshold=25, keep_float={"Exp", "Sqrt"})
        assert input_of(node(model, "Sqrt")) is node(model, "Exp").outputs[0]
        assert source_op(node(model, "Relu")) == "DequantizeLinear"


    def test_bitlinear_keeps_its_own_quantization(self) -> None:
        model = quantized(graph(
            """h = Relu(x)
               a = Abs(h)  m = ReduceMax<keepdims=1>(a, last)  c = Clip(m, tiny)
               i = Reciprocal(c)  s = Mul(i, top)
               u = Mul(h, s)  r = Round(u)  k = Clip(r, low, top)  d = Div(k, s)
               g = Gemm<transB=1>(d, w)  y = Relu(g)""",
            "float[4,16] x", "float[4,8] y", w=weights(8, 16), last=np.array([-1]),
            tiny=np.array(1e-5, np.float32), top=np.array(127, np.float32),
            low=np.array(-128, np.float32)), threshold=35)
        assert pairs(model) == 2  # x and h: no tensor between, nor the result, is static int8
        assert source_op(node(model, "Gemm"), 1) is None
        for op in ("Abs", "Mul"):
            assert source_op(node(model, op, -1 if op == "Mul" else 0)) == "DequantizeLinear"


class TestAccuracy:
    def test_residual(self) -> None:
        model = quantized(graph(
            """a = Conv<pads=[1,1,1,1]>(x, w, b)  r = Relu(a)
               c = Conv<pads=[1,1,1,1]>(r, w2)  s = Add(c, r)  t = Relu(s)
               g = GlobalAveragePool(t)  f = Flatten(g)  y = Gemm<transB=1>(f, w3, b3)""",
            "float[1,3,8,8] x", "float[1,10] y", w2=weights(8, 8, 3, 3), w3=weights(10, 8),
            b3=weights(10), w=W, b=B), threshold=28)
        assert pairs(model) == 7  # x, r, c, t, g, f, y
        add = node(model, "Add")
        assert [source_op(add, index) for index in (0, 1)] == ["DequantizeLinear"] * 2

    def test_dense(self) -> None:
        quantized(graph(
            "h = Gemm<transB=1>(x, w, b)  r = Relu(h)  y = Gemm<transB=1>(r, w2)",
            "float[1,32] x", "float[1,10] y", w=weights(64, 32), b=weights(64),
            w2=weights(10, 64)), threshold=32)

    def test_attention(self) -> None:
        model = quantized(graph(
            """q = MatMul(x, wq)  k = MatMul(x, wk)  v = MatMul(x, wv)
               kt = Transpose<perm=[0,2,1]>(k)
               s = MatMul(q, kt)  d = Mul(s, scale)  p = Softmax<axis=-1>(d)
               o = MatMul(p, v)  n = Add(o, x)  y = LayerNormalization(n, gamma)""",
            "float[1,6,16] x", "float[1,6,16] y", wq=weights(16, 16),
            gamma=np.ones(16, np.float32), wk=weights(16, 16, seed=1), wv=weights(16, 16, seed=2),
            scale=np.array(0.25, np.float32),
        ), threshold=28)
        for index in (3, 4):  # both operands are activations
            for operand in (0, 1):
                assert source_op(node(model, "MatMul", index), operand) == "DequantizeLinear"

    def test_squeeze_conv1d_and_pool(self) -> None:
        quantized(graph(
            """u = Unsqueeze(x, axes)  c = Conv(u, w)  q = Squeeze(c, axes)  r = Relu(q)
               p = AveragePool<kernel_shape=[2], strides=[2]>(r)  y = Reshape(p, shape)""",
            "float[1,4,20] x", "float[1,72] y", axes=np.array([2]), w=weights(8, 4, 1, 3),
            shape=np.array([1, 72])), threshold=28)


class TestRanges:
    MODEL = ("m = MatMul(x, w)  y = Add(m, x)", "float[2,8] x", "float[2,8] y")

    def test_missing(self) -> None:
        model, diagnostics = graph(*self.MODEL, w=weights(8, 8)), Diagnostics()
        assert not Quantize({"x": (-1, 1)}, diagnostics)(model).modified
        assert [item.code for item in diagnostics.errors] == ["TC0301", "TC0301"]
        assert "'m'" in diagnostics.errors[0].message
        assert ops(model) == ["MatMul", "Add"]

    @pytest.mark.parametrize("bad", [(np.nan, 1.0), (0.0, np.inf), (2.0, 1.0)])
    def test_unusable(self, bad: tuple[float, float]) -> None:
        model, diagnostics = graph(*self.MODEL, w=weights(8, 8)), Diagnostics()
        Quantize({"x": (-1, 1), "m": bad, "y": (-1, 1)}, diagnostics)(model)
        assert [(item.code, item.op_type) for item in diagnostics.errors] == [
            ("TC0301", "MatMul")
        ]

    def test_all_zero_is_a_warning(self) -> None:
        model, diagnostics = graph(*self.MODEL, w=weights(8, 8)), Diagnostics()
        assert Quantize({"x": (-1, 1), "m": (0, 0), "y": (-1, 1)}, diagnostics)(model).modified
        assert [item.code for item in diagnostics] == ["TC0202"]
        assert not diagnostics.errors

    def test_zero_is_always_included(self) -> None:
        model = graph("y = Sqrt(x)", "float[4] x", "float[4] y")
        Quantize(Ranges({"x": (3, 4), "y": (1.5, 2)}, "minmax", 1), Diagnostics())(model)
        assert parameters(quantizer(model.graph.inputs[0])) == (
            float(np.float32(4 / 255)), -128
        )
