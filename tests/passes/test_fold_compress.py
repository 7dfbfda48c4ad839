"""Compress with a constant condition against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from ternc.oracle import Oracle
from ternc.passes.fold_compress import FoldCompress
from tests.agreement import feeds, model


@pytest.mark.parametrize("axis", ["", "<axis=0>", "<axis=1>", "<axis=-1>"])
def test_becomes_gather(axis: str) -> None:
    proto = model(f"g (float[4,4] x) => (float[A,B] y) {{z=Relu(x) y=Compress{axis}(z,c)}}"
                  if axis else "g (float[4,4] x) => (float[A] y) {z=Relu(x) y=Compress(z,c)}",
                  c=np.array([False, True, True]))
    found = ir.from_proto(proto)
    assert FoldCompress()(found).modified
    assert "Compress" not in [node.op_type for node in found.graph]
    feed = feeds(proto)
    np.testing.assert_array_equal(
        Oracle(ir.to_proto(found)).run(feed)["y"], Oracle(proto).run(feed)["y"])


@pytest.mark.parametrize("condition", [[False, False], None])
def test_stays(condition: list[bool] | None) -> None:
    constants: dict[str, Any]
    inputs, constants = ("float[4,4] x, bool[2] c", {}) if condition is None else (
        "float[4,4] x", {"c": np.array(condition)})
    proto = model(f"g ({inputs}) => (float[A,4] y) {{y=Compress<axis=0>(x,c)}}", **constants)
    assert not FoldCompress()(ir.from_proto(proto)).modified
