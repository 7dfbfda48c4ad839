from __future__ import annotations

import numpy as np
import pytest

from ternc.passes.normalise_groups import NormaliseGroups
from tests.passes.running import Constants, check, graph, ops


def _scales(seed: int = 0) -> Constants:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=6).astype(np.float32) for name in "sb"}


@pytest.mark.parametrize("shape", ["2,6,5", "1,6,4,3", "2,6,2,3,2"])
@pytest.mark.parametrize("node", [
    "InstanceNormalization", "InstanceNormalization<epsilon=0.1>",
    "GroupNormalization<num_groups=3>", "GroupNormalization<num_groups=1, epsilon=0.1>"])
def test_as_onnxruntime(node: str, shape: str) -> None:
    model = graph(f"n = {node}(x, s, b) r = Relu(n) y = {node}(r, b, s)", f"float[{shape}] x",
                  f"float[{shape}] y", **_scales())
    assert check(NormaliseGroups(), model).modified
    assert ops(model).count("LayerNormalization") == 2
    assert not any("Instance" in op or "Group" in op for op in ops(model))


def test_scales_of_run_time() -> None:
    model = graph("y = InstanceNormalization(x, s, b)", "float[1,6,5] x, float[6] s",
                  "float[1,6,5] y", b=_scales()["b"])
    assert check(NormaliseGroups(), model).modified


def test_unknown_shapes_stay() -> None:
    model = graph("y = InstanceNormalization(x, s, b)", "float[N,6,M] x", "float[N,6,M] y",
                  **_scales())
    assert not NormaliseGroups()(model).modified
    assert ops(model) == ["InstanceNormalization"]
