"""W and R of a recurrent layer, and rows of them, as choices of mixed precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes import common

import ternc
from ternc.feeds import Samples
from ternc.mixed.search import Price, Search
from ternc.passes.split_channels import Split
from ternc.precision import Precision
from tests.models.synthetic import gestures

MODEL = Path(__file__).parent.parent / "models" / "sequence_rnn.onnx"


def _motion(count: int, seed: int) -> tuple[Any, Any]:
    x, labels = gestures(count, seed=seed)
    return x[:, :, ::2].transpose(0, 2, 1).copy(), labels


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of few steps: it is the choices that are looked at."""
    monkeypatch.setattr("ternc.reconstruction.descent._STEPS", 60)
    monkeypatch.setattr("ternc.reconstruction.descent._RESTARTS", 1)


def _ternary_rows(model: onnx.ModelProto, name: str) -> int:
    (codes,) = (onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
                if tensor.name.startswith(f"{name}_") and tensor.dims[:1] == [1]
                and tensor.data_type == onnx.TensorProto.INT8)
    return int(np.isin(codes, (-1, 0, 1)).all(axis=2).sum())


def test_rows_of_one_matrix() -> None:
    """n.R[:k] are k of its rows, whatever the split is said to be of."""
    x, labels = _motion(96, 9)
    data = Samples(lambda: iter({"motion": one[None]} for one in x), len(x))
    model = ir.load(MODEL)
    common.ShapeInferencePass()(model)
    search = Search(model, Precision(max_drop=1.0), data, labels, None,
                    lambda _: Price(0, 0, 0))
    assert (search.channels("rnn.R"), search.channels("rnn.W")) == (20, 20)
    assert search.channels("rnn") == 0
    assert search.splits_in_order("rnn.R")
    assert not search.splits_in_order("head")
    choice = search.choice(["rnn.R[:8]", "head"], {"rnn.R": Split(8)})
    assert choice.ternary == ("rnn.R[:8]", "head")
    assert _ternary_rows(choice.model, "R_fitted") == 8
    assert _ternary_rows(choice.model, "W_fitted") == 0


@pytest.mark.parametrize(("keep", "free"), [
    ({}, ["rnn.W", "rnn.R", "head"]), ({"rnn": "int8"}, ["head"]),
    ({"rnn.W": "int8", "head": "ternary"}, ["rnn.R"]), ({"rnn.R": "ternary"}, ["rnn.W", "head"])])
def test_they_are_measured_by_themselves(keep: dict[str, str], free: list[str]) -> None:
    x, labels = _motion(160, 9)
    compiled = ternc.compile(MODEL, "host", calibration_data={"motion": x, "labels": labels},
                             max_drop=60.0, keep=keep)
    mixed = compiled.mixed
    assert mixed is not None
    assert [one.node for one in mixed.sensitivity] == free
    wanted = {name for name in ("rnn.W", "rnn.R", "head")
              if keep.get(name, keep.get(name.partition(".")[0])) != "int8"}
    assert set(mixed.chosen.ternary) == wanted
    assert compiled.report()["flash_bytes"] == mixed.chosen.flash_bytes
