"""The figures of the layer table are as good as recorded, and the bytes are the host's."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks import count, emulate


@pytest.mark.slow
@pytest.mark.skipif(bool(emulate.missing_tools()), reason=emulate.missing_tools() or "-")
def test_layers_are_as_recorded() -> None:
    baseline = json.loads(count.BASELINE.read_text(encoding="utf-8"))
    found = {"layers": count.count_layers()}
    assert set(found["layers"]) == set(baseline["layers"])
    assert count.worse(found, baseline) == []


def test_a_worse_figure_is_named() -> None:
    old = {"layers": {"dense": {"instructions": 1000, "scratch": 100}}}
    assert count.worse({"layers": {"dense": {"instructions": 1019, "scratch": 100}}}, old) == []
    (problem,) = count.worse({"layers": {"dense": {"instructions": 1021, "scratch": 90}}}, old)
    assert "dense" in problem
    assert "1021" in problem
