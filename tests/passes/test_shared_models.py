"""Every real model through the front, pass by pass, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from ternc.diagnostics import Diagnostics
from ternc.passes import front
from ternc.passes.import_qonnx import DOMAINS
from tests.passes.running import assert_same, ops, random_feeds, run

SHARED = Path(__file__).parents[2].parent / "shared" / "models"
MODELS = sorted(path.relative_to(SHARED).as_posix() for path in SHARED.glob("**/*.onnx"))

pytestmark = pytest.mark.skipif(
    not MODELS, reason="the real models of ../shared/models are not here")


def _is_qonnx(model: onnx.ModelProto) -> bool:
    return any(node.domain in DOMAINS for node in model.graph.node)


def _through_front(name: str, diagnostics: Diagnostics) -> ir.Model:
    proto = onnx.load(SHARED / name)
    twin = name.replace(".onnx", "_std.onnx") if _is_qonnx(proto) else name
    standard = onnx.load(SHARED / twin)
    feeds = random_feeds(standard, seed=1)
    before, model = run(standard, feeds), ir.from_proto(proto)
    for step in front(diagnostics):
        model = step(model).model
        if not any(node.domain in DOMAINS for node in model.graph):
            after = run(model, feeds)
            try:
                assert_same(before, after)
            except AssertionError as error:
                raise AssertionError(f"after {type(step).__name__}: {error}") from error
            before = after
    return model


@pytest.mark.parametrize("name", MODELS)
def test_front_keeps_the_answer(name: str) -> None:
    """After every pass onnxruntime still answers the same, and at the end all is static."""
    diagnostics = Diagnostics()
    model = _through_front(name, diagnostics)
    assert not diagnostics.errors, [item.render() for item in diagnostics]
    for node in model.graph:
        for value in node.outputs:
            assert value.shape is not None, value.name
            assert value.shape.is_static(), value.name
    assert not {"Dropout", "Shape", "Constant", "Gather", "Quant"} & set(ops(model))
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
