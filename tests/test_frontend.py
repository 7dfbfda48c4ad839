"""Reading models: every accepted form, and files that are damaged or mean harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ternc import frontend
from ternc.diagnostics import CompileError
from tests.agreement import floats, model

SMALL = model("g (float[1,4] x) => (float[1,3] y) {y=MatMul(x,w)}", w=floats(4, 3))


def code(source: frontend.Source) -> str:
    """The code of the error with which a model is refused."""
    with pytest.raises(CompileError) as caught:
        frontend.load(source)
    first = caught.value.diagnostics[0]
    assert first.message
    return first.code


@pytest.mark.parametrize("form", ["path", "text", "bytes", "proto", "ir"])
def test_forms(form: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(SMALL, path)
    source: frontend.Source = {
        "path": path, "text": str(path), "bytes": path.read_bytes(), "proto": SMALL,
        "ir": ir.from_proto(SMALL)}[form]
    loaded = frontend.load(source)
    assert [node.op_type for node in loaded.graph.node] == ["MatMul"]
    np.testing.assert_array_equal(
        numpy_helper.to_array(loaded.graph.initializer[0]), floats(4, 3))


def test_missing_file(tmp_path: Path) -> None:
    assert code(tmp_path / "nothing.onnx") == "TC0001"
    assert code(tmp_path) == "TC0001"  # a folder
    assert code("a\0b.onnx") == "TC0001"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(SMALL, path)
    path.chmod(0)
    assert code(path) == "TC0001"


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 100, b"\x89PNG\r\n\x1a\n" * 20])
def test_not_onnx(data: bytes) -> None:
    assert code(data) == "TC0002"


def loads(data: bytes) -> bool:
    """Whether a model is loaded; it is refused properly, or this fails."""
    try:
        frontend.load(data)
    except CompileError as error:
        return not error.diagnostics
    return True


def test_truncated() -> None:
    """Most of what is cut short is refused; what protobuf can still read is a smaller model."""
    whole = SMALL.SerializeToString()
    loaded = [loads(whole[:length]) for length in range(len(whole))]
    assert sum(loaded) < len(loaded) // 10


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_damaged_bytes(place: int, noise: bytes) -> None:
    """Whatever bytes change, a model is loaded or refused; nothing else is raised."""
    data = bytearray(SMALL.SerializeToString())
    place %= len(data)
    data[place : place + len(noise)] = noise
    loads(bytes(data))


def change(edit: Callable[[TensorProto], object]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(SMALL)
    edit(copy.graph.initializer[0])
    return copy


def test_impossible_shapes() -> None:
    def dims(*values: int) -> Callable[[TensorProto], None]:
        def edit(tensor: TensorProto) -> None:
            tensor.ClearField("dims")
            tensor.dims.extend(values)
        return edit

    assert code(change(dims(2**62, 2**62))) == "TC0106"
    assert code(change(dims(-4, 3))) == "TC0106"
    assert code(change(dims(4, 4))) == "TC0003"  # more than the data holds
    assert code(change(dims(4))) == "TC0003"


def test_unknown_element_type() -> None:
    assert code(change(lambda tensor: setattr(tensor, "data_type", 99))) == "TC0104"


def external(folder: Path, *, location: str = "weights.bin", **entries: str) -> Path:
    """A model whose weights are in a file beside it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(SMALL)
    tensor = copy.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(copy.SerializeToString())
    return path


def test_external_data(tmp_path: Path) -> None:
    loaded = frontend.load(external(tmp_path, offset="0", length="48"))
    np.testing.assert_array_equal(
        numpy_helper.to_array(loaded.graph.initializer[0]), floats(4, 3))
    assert loaded.graph.initializer[0].data_location == TensorProto.DEFAULT


@pytest.mark.parametrize("entries", [
    {"location": "missing.bin"},
    {"location": ""},
    {"location": "../weights.bin"},
    {"location": "/etc/passwd"},
    {"location": "a\0b"},
    {"offset": "40", "length": "48"},
    {"offset": "-8", "length": "48"},
    {"offset": "0", "length": "-1"},
    {"offset": "x"},
    {"offset": "999999999999999999999"},
])
def test_bad_external_data(entries: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 48)
    path = external(folder, **entries)
    assert code(path) == "TC0004"


def test_external_data_of_another_size(tmp_path: Path) -> None:
    assert code(external(tmp_path, offset="0", length="8")) in ("TC0003", "TC0004")
    path = external(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100)
    assert code(path) in ("TC0003", "TC0004")


def test_external_data_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 48)
    path = external(folder, location="link.bin")
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    assert code(path) == "TC0004"


def test_external_data_without_a_folder(tmp_path: Path) -> None:
    assert code(external(tmp_path).read_bytes()) == "TC0004"
    assert code(onnx.load(external(tmp_path), load_external_data=False)) == "TC0004"


def test_external_data_in_a_branch(tmp_path: Path) -> None:
    """A tensor inside the body of an If is checked too."""
    value = numpy_helper.from_array(floats(3), "c")
    value.ClearField("raw_data")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="../secret")
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, [3])
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["b"])], "body", [], [out],
                             [value])
    node = helper.make_node("If", ["k"], ["y"], then_branch=body, else_branch=body)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("k", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])])
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 12)
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert code(path) == "TC0004"


def test_the_object_given_is_left_alone(tmp_path: Path) -> None:
    before = SMALL.SerializeToString(deterministic=True)
    frontend.load(SMALL)
    assert SMALL.SerializeToString(deterministic=True) == before
