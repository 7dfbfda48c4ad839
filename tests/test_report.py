"""Reports: every key of the contract, figures that add up, and what people see."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ternc
from ternc.backends.esp32 import cost, targets
from ternc.backends.esp32.isa import OPCODES
from ternc.backends.esp32.kernel_forms import FORMS
from ternc.diagnostics import UsageError
from ternc.report import float32_bytes, header_comment, print_report, short
from tests.making import MODELS, dense


@pytest.fixture(scope="module")
def gesture() -> ternc.CompiledModel:
    return ternc.compile(MODELS / "gesture_cnn.onnx", "esp32c3",
                         calibration_data=MODELS / "gesture.npz")


def test_every_key_of_the_contract(gesture: ternc.CompiledModel) -> None:
    data = gesture.report()
    assert {
        "target", "flash_bytes", "arena_bytes", "arena_lower_bound_bytes", "macs", "weights",
        "layers", "folded", "latency_ms", "kernel_bytes", "kernel_bytes_reason", "layer_count",
        "float32_bytes", "compression", "peak",
    } <= set(data)
    assert set(data["weights"]) == {"ternary", "int8", "float32"}
    assert set(data["latency_ms"]) == {"value", "basis"}
    for layer in data["layers"]:
        assert {"name", "op", "instruction", "kernel", "macs", "output_shape", "weights", "zeros",
                "flash_bytes"} <= set(layer)
    assert json.loads(json.dumps(data)) == data


def test_figures_add_up(gesture: ternc.CompiledModel) -> None:
    data = gesture.report()
    assert data["flash_bytes"] == len(gesture.blob)
    assert data["arena_lower_bound_bytes"] <= data["arena_bytes"]
    assert data["macs"] == sum(layer["macs"] for layer in data["layers"])
    assert data["layer_count"] == len(data["layers"]) == len(gesture.program.instructions)
    weights = sum(kind["bytes"] for kind in data["weights"].values())
    assert weights < data["flash_bytes"]
    assert sum(k["count"] for k in data["weights"].values()) == sum(
        layer["weight_count"] for layer in data["layers"])
    assert data["compression"] == data["float32_bytes"] / data["flash_bytes"]
    assert data["arena_bytes"] >= max(item["bytes"] for item in data["peak"]["tensors"])
    assert data["latency_ms"]["value"] > 0
    assert data["latency_ms"]["basis"].startswith("estimate: ")
    assert data["kernel_bytes"] is None
    assert data["kernel_bytes_reason"]


def test_ternary_weights_take_a_quarter_byte() -> None:
    weight = np.random.default_rng(0).choice([-0.5, 0, 0, 0.5], (64, 16)).astype(np.float32)
    data = ternc.compile(dense(inputs=64, outputs=16, weight=weight)).report()
    assert data["weights"]["ternary"] == {"count": 1024, "bytes": 256}
    assert data["weights"]["float32"] == {"count": 0, "bytes": 0}
    layer = next(layer for layer in data["layers"] if layer["weights"])
    assert layer["zeros"] == pytest.approx(float((weight == 0).mean()))
    assert layer["name"] == "fc"
    assert data["float32_bytes"] == 4096
    assert data["macs"] == 1024


@pytest.mark.parametrize("ternary", [True, False])
def test_weights_that_layers_share_count_once(ternary: bool) -> None:
    rng = np.random.default_rng(0)
    weight = rng.choice([-0.5, 0, 0.5], (48, 48)) if ternary else rng.normal(size=(48, 48))
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["h"], name="one"),
         helper.make_node("Relu", ["h"], ["r"]),
         helper.make_node("Gemm", ["r", "w"], ["y"], name="two")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 48])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data = ternc.compile(model).report()
    size = 2304 // 4 if ternary else 2304 * 4
    assert data["weights"]["ternary" if ternary else "float32"] == {"count": 2304, "bytes": size}
    assert 0 < data["program_bytes"] < data["flash_bytes"] - size + 1


def test_depthwise_weights_are_counted_once_a_channel() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 1, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="dw", group=6)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 3, 3])],
        [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data = ternc.compile(model).report()
    assert data["weights"]["float32"] == {"count": 54, "bytes": 216}
    assert data["layers"][-1]["output_shape"] == [1, 6, 3, 3]


def test_float32_bytes_are_the_parameters_alone() -> None:
    """Quantized weights count as the floats they stand for; scales and shapes do not count."""
    def constant(name: str, array: object) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(array), name)

    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
         helper.make_node("Reshape", ["x", "shape"], ["r"]),
         helper.make_node("Gemm", ["r", "w", "b"], ["y"], transB=1)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [constant("q", np.ones((4, 8), np.int8)), constant("s", np.ones(4, np.float32)),
         constant("z", np.zeros(4, np.int8)), constant("shape", np.array([1, 8], np.int64)),
         constant("b", np.ones(4, np.float32))])
    assert float32_bytes(helper.make_model(graph)) == 4 * (32 + 4)


@pytest.mark.parametrize("target", [item.name for item in targets.TARGETS])
def test_every_target_has_a_latency_with_its_basis(target: str) -> None:
    data = ternc.compile(dense(), target).report()
    if target == "host":
        assert data["latency_ms"]["value"] is None
    else:
        assert 0 < data["latency_ms"]["value"] < 1
    assert data["latency_ms"]["basis"]


def test_floats_cost_more_without_a_floating_point_unit() -> None:
    soft = ternc.compile(dense(inputs=256, outputs=64), "esp32c3").report()
    hard = ternc.compile(dense(inputs=256, outputs=64), "esp32s3").report()
    assert soft["latency_ms"]["value"] > 5 * hard["latency_ms"]["value"]


def test_costs_are_of_instructions_that_exist() -> None:
    # Also generated code, a kernel's other form of weights, and its smaller forms.
    names = {name.removesuffix(".t2") for name in cost.COSTS} - {"lines"}
    assert names <= {opcode.name for opcode in OPCODES} | {form.name for form in FORMS}
    for opcode in OPCODES:
        assert cost.cost_of(opcode.name).hard > 0
    for item in cost.COSTS.values():
        assert 0 < item.hard <= item.soft


def test_a_guess_is_called_one() -> None:
    assert not cost.cost_of("dense_i8_t2_faster").measured
    assert cost.cost_of("dense_i8_t2_faster").unit is cost.Unit.MAC
    assert cost.cost_of("lstm_i8").unit is cost.Unit.MAC
    assert not cost.cost_of("unheard_of").measured


def test_tables_for_people(gesture: ternc.CompiledModel) -> None:
    data, file = gesture.report(), io.StringIO()
    print_report(data, file)
    text = file.getvalue()
    assert text.startswith("gesture_cnn for esp32c3\n")
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    for layer in data["layers"]:
        assert layer["instruction"] in text


def test_names_from_the_model_are_not_markup() -> None:
    model = dense()
    model.graph.node[0].name = "[bold]fc[/bold]"
    model.graph.node[1].name = "[/]"
    file = io.StringIO()
    print_report(ternc.compile(model, name="m").report(), file)
    assert "[bold]fc[/bold]" in file.getvalue()


def test_long_names_keep_their_end() -> None:
    assert short("conv1") == "conv1"
    assert short("functional_1/conv2d/BiasAdd;functional_1/bn") == "functional_1/conv2d/BiasAdd"
    assert short("model/" + "block/" * 20 + "conv").endswith("block/conv")
    assert max(len(short("x" * n)) for n in range(1, 100)) <= 36


def test_header_comment(gesture: ternc.CompiledModel) -> None:
    text = "\n".join(header_comment(gesture))
    data = gesture.report()
    assert "esp32c3: rv32imc, 1 core, 160 MHz, without floating-point unit" in text
    assert f"{targets.target_named('esp32c3').sram_bytes:,} bytes of RAM" in text
    assert f"{data['arena_bytes']:,} bytes (lower bound" in text
    assert f"MACs       {data['macs']:,}" in text
    assert "ms: estimate: " in text
    for layer in data["layers"]:
        assert re.search(rf"\): {layer['instruction']} -> ", text)
    assert gesture.header().startswith("/*")


def test_target_names_are_forgiving() -> None:
    assert targets.target_named("ESP32-C3").name == "esp32c3"
    with pytest.raises(UsageError, match="did you mean 'esp32s3'"):
        targets.target_named("esp32s33")
