from __future__ import annotations

import numpy as np
import pytest
from onnx_ir.passes import common

from ternc.passes.fold_pad import FoldPad
from tests.passes.running import check, graph, ops

W = np.random.default_rng(23).standard_normal((4, 3, 3, 3)).astype(np.float32)
PADS = np.array([0, 0, 1, 2, 0, 0, 0, 1])
LOWEST = np.float32(-np.inf)


def _fold(body: str, pads: np.ndarray = PADS, outputs: str = "float y") -> tuple[bool, list[str]]:
    model = graph(body, "float[1,3,8,8] x", outputs, w=W, p=pads, v=np.float32(0), n=LOWEST,
                  two=np.float32(2), a=np.array([2, 3]), q=np.array([1, 2, 0, 1]))
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}{index}"
    common.ShapeInferencePass()(model)
    modified = bool(check(FoldPad(), model).modified)
    return modified, ops(model)


@pytest.mark.parametrize("body", [
    "t = Pad(x, p) y = Conv(t, w)",
    "t = Pad(x, p, v) y = Conv<pads=[1,0,1,0], strides=[2,2]>(t, w)",
    "t = Pad(x, q, v, a) y = Conv(t, w)",
    "t = Pad(x, p) y = AveragePool<kernel_shape=[3,3]>(t)",
    "t = Pad(x, p) y = AveragePool<kernel_shape=[3,3], pads=[1,0,0,0], count_include_pad=1>(t)",
    "t = Pad(x, p, n) y = MaxPool<kernel_shape=[3,3]>(t)",
])
def test_folds(body: str) -> None:
    assert _fold(body) == (True, [body.rsplit("y = ", 1)[1].split("<")[0].split("(")[0]])


def test_zeros_in_front_of_a_maximum_behind_relu() -> None:
    body = "r = Relu(x) t = Pad(r, p) y = MaxPool<kernel_shape=[3,3]>(t)"
    assert _fold(body) == (True, ["Relu", "MaxPool"])


@pytest.mark.parametrize("body", [
    "t = Pad(x, p) y = MaxPool<kernel_shape=[3,3]>(t)",
    "t = Pad(x, p, two) y = Conv(t, w)",
    'y0 = Pad<mode="reflect">(x, p) y = Conv(y0, w)',
    "t = Pad(x, p) y = AveragePool<kernel_shape=[2,2]>(t)",
    "t = Pad(x, p) y = AveragePool<kernel_shape=[3,3], pads=[1,0,0,0]>(t)",
    'y0 = Pad(x, p) y = Conv<auto_pad="SAME_UPPER">(y0, w)',
    "t = Pad(x, p) c = Conv(t, w) s = ReduceSum<keepdims=0>(t) y = Add(c, s)",
    "t = Pad(x, p) y = Relu(t)",
])
def test_left_alone(body: str) -> None:
    assert not _fold(body)[0]


def test_channel_and_negative_padding_are_left_alone() -> None:
    pads = np.array([0, 0, -1, 0, 0, 0, 0, 0])
    assert not _fold("t = Pad(x, p) y = Conv(t, w)", pads)[0]
    assert not _fold("t = Pad(x, p) y = AveragePool<kernel_shape=[3,3]>(t)",
                     np.array([0, 1, 0, 0, 0, 0, 0, 0]))[0]


def test_padded_tensor_that_is_an_output_is_left_alone() -> None:
    assert not _fold("t = Pad(x, p) y = Conv(t, w)", outputs="float y, float t")[0]
