"""Damaged and hostile models: refused with a diagnostic, never with an exception of ours."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ternc
from ternc.cli import main
from ternc.diagnostics import CompileError, Diagnostics
from ternc.structure import blames_the_model, check_structure
from tests.making import MODELS, dense


def errors(model: onnx.ModelProto) -> list[str]:
    diagnostics = Diagnostics()
    check_structure(model, diagnostics)
    assert {item.code for item in diagnostics} <= {"TC0003"}
    return [item.message for item in diagnostics]


def conv(**attributes: object) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)], "g",  # type: ignore[arg-type]
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((2, 2, 3, 3), np.float32), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("path", sorted(MODELS.rglob("*.onnx")), ids=lambda path: path.stem)
def test_real_models_are_sound(path: Path) -> None:
    assert errors(onnx.load(path)) == []


def test_a_name_that_nothing_produces() -> None:
    model = dense()
    model.graph.node[1].input[0] = "nowhere"
    model.graph.output[0].name = "nothing"
    assert errors(model) == ["tensor 'nowhere' is read, but nothing produces it",
                             "output 'nothing' is produced by no node"]


def test_a_name_that_two_nodes_produce() -> None:
    model = dense()
    model.graph.node[1].output[0] = "h"
    assert errors(model)[0] == "tensor 'h' is defined twice"


def test_nodes_in_another_order_are_sound() -> None:
    """Sorting them is a repair, not a refusal."""
    model = dense()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert errors(model) == []


def test_bodies_of_control_flow_see_the_names_outside() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])], "body", [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    model = dense()
    node = helper.make_node("If", ["c"], ["z2"], then_branch=body, else_branch=body)
    model.graph.node.append(node)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))
    assert errors(model) == []
    model.graph.node[2].attribute[0].g.node[0].input[0] = "nowhere"
    assert errors(model) == ["tensor 'nowhere' is read, but nothing produces it"]


@pytest.mark.parametrize("attributes", [
    {"group": 0}, {"group": -1}, {"strides": [1, 0]}, {"dilations": [0, 1]},
    {"kernel_shape": [3, -3]},
])
def test_attributes_that_count_something(attributes: dict[str, object]) -> None:
    assert errors(conv(**attributes)) == [
        f"attribute {next(iter(attributes))!r} is not above zero"]
    assert errors(conv(group=1, strides=[1, 1])) == []


def test_text_that_is_not_utf8() -> None:
    data = dense().SerializeToString()
    model = onnx.ModelProto.FromString(data.replace(b"fc", b"f\xff"))
    assert errors(model) == ["the model holds text that is not UTF-8: b'f\\xff'"]
    model = conv(auto_pad="VALID")
    model.graph.node[0].attribute[0].s = b"VAL\x80D"
    assert errors(model) == ["attribute 'auto_pad' is not UTF-8: b'VAL\\x80D'"]


def test_an_attribute_without_a_type() -> None:
    model = conv(group=1)
    model.graph.node[0].attribute[0].type = onnx.AttributeProto.UNDEFINED
    assert errors(model) == ["attribute 'group' has no type"]


def test_a_broken_file_lists_a_few_problems() -> None:
    model = dense()
    for i in range(100):
        model.graph.node.append(helper.make_node("Relu", [f"n{i}"], [f"m{i}"]))
    assert len(errors(model)) == 5


def test_blame_falls_on_a_model_that_breaks_the_specification() -> None:
    @blames_the_model
    def fails(model: onnx.ModelProto) -> None:
        raise ZeroDivisionError

    unknown = dense(op="NoSuchOperator")
    with pytest.raises(CompileError, match=r"onnx\.checker refuses the model: No Op registered"):
        fails(unknown)
    with pytest.raises(ZeroDivisionError):  # the model is fine: the fault is ours
        fails(dense())
    unknown.graph.node[1].domain = "qonnx.custom_op.general"
    with pytest.raises(ZeroDivisionError):  # the checker does not know what ternc imports
        fails(unknown)


def _mutations(count: int) -> list[bytes]:
    generator = random.Random(0)
    sources = [(MODELS / f"{name}.onnx").read_bytes()
               for name in ("gesture_cnn", "gesture_cnn_int8")]
    out = []
    for _ in range(count):
        data = bytearray(generator.choice(sources))
        if generator.random() < 0.25:
            del data[generator.randrange(len(data)) :]
        for _ in range(generator.choice((1, 1, 2, 4))):
            if data:
                at = generator.randrange(len(data))
                data[at] = generator.choice((0, 1, 127, 128, 255, data[at] ^ 1, data[at] ^ 16))
        out.append(bytes(data))
    return out


def test_mutated_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiled, refused, or too large: never an internal error, and nothing written on failure."""
    path, output = tmp_path / "m.onnx", tmp_path / "m.h"
    seen = set()
    for i, data in enumerate(_mutations(150)):
        path.write_bytes(data)
        output.unlink(missing_ok=True)
        code = main([str(path), "-o", str(output), "-v"])
        seen.add(code)
        assert code in (0, 1, 3), (i, capsys.readouterr().err[-3000:])
        assert output.exists() == (code == 0)
    assert {0, 1} <= seen


def test_compile_raises_what_the_command_prints() -> None:
    model = dense()
    model.graph.node[1].input[0] = "nowhere"
    with pytest.raises(CompileError) as caught:
        ternc.compile(model)
    assert [item.code for item in caught.value.diagnostics] == ["TC0003"]
