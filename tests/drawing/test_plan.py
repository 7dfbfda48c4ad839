"""The picture of the memory plan: what it is drawn from, as text and as SVG."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import ternc
from ternc import compiler
from ternc.backends.esp32.bands import pooled_layers, split_into_bands
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.memory_plan import plan_memory
from ternc.cli import main
from ternc.diagnostics import Diagnostics
from ternc.drawing.plan import Plan, plan_of
from ternc.drawing.plan_svg import plan_svg
from ternc.drawing.plan_text import plan_text
from tests.backends.test_bands import Case
from tests.making import MODELS, dense, saved


@pytest.fixture(scope="module")
def compiled() -> ternc.CompiledModel:
    return ternc.compile(MODELS / "shapes_cnn.onnx", "esp32c3",
                         calibration_data=MODELS / "shapes.npz")


@pytest.fixture(scope="module")
def plan(compiled: ternc.CompiledModel) -> Plan:
    return plan_of(encode(compiled.program, names=True))


def test_the_plan_is_the_planners(plan: Plan, compiled: ternc.CompiledModel) -> None:
    assert plan.arena_bytes == compiled.plan.arena_bytes
    assert plan.peak_bytes <= plan.arena_bytes
    assert plan.peak_bytes == sum(box.size for box in plan.at_peak)
    assert len(plan.layers) == len(compiled.program.instructions)
    assert max(box.start + box.size for box in plan.boxes) <= plan.arena_bytes


def test_marks(plan: Plan) -> None:
    uses = {box.use for box in plan.boxes}
    assert uses == {"tensor", "input", "output", "scratch"}
    placed = [box for box in plan.boxes if box.in_place]
    assert placed  # the residual addition works in place
    for box in placed:
        before = [other for other in plan.boxes if other.replaced and other.start == box.start]
        assert any(other.last == box.first for other in before)


def test_scratch_lives_for_one_step(plan: Plan) -> None:
    for box in plan.boxes:
        if box.use == "scratch":
            assert box.first == box.last
            assert box.name == f"scratch of {plan.layers[box.first]}"


@pytest.mark.parametrize("residual", [False, True])
def test_rows_of_an_image_are_no_tensors_of_their_own(residual: bool) -> None:
    case = Case((14, 9), (3, 8), (3, 3), 1, 1, (1, 1, 1, 1), (2, 2), "MaxPool", (0, 0, 0, 0),
                ternary=True, integers=True, residual=residual)
    final = compiler.compile(case.model(), "host", calibration_data={"x": case.data}).model
    program, _ = lower(final, Diagnostics(), channels_last_io=True, room=lambda _: Room(40960))
    split_into_bands(program, dict.fromkeys(pooled_layers(program), 3))
    plan_memory(program)
    plan = plan_of(encode(program, names=True))
    for step in range(-1, len(plan.layers) + 1):
        alive = sorted((box for box in plan.boxes if box.alive(step) and not box.replaced),
                       key=lambda box: box.start)
        for one, other in pairwise(alive):
            assert one.start + one.size <= other.start, (one, other)
    images = [box.name for box in plan.boxes if box.use == "tensor"]
    assert sum(":band" in name for name in images) == 3
    assert not any(":rows" in name for name in images)


def test_text(plan: Plan) -> None:
    text = plan_text(plan)
    assert f"peak: {plan.peak_bytes:,} bytes" in text
    for box in plan.boxes:
        assert box.name in text
    rows = [line.split() for line in text.splitlines()[3:] if "^" not in line][: len(plan.boxes)]
    starts = [int(row[0]) for row in rows]
    assert starts == sorted(starts, reverse=True)  # addresses up
    assert ">" in text
    assert "+" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_long_programs_share_columns() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    model = dense(outputs=8, weight=weight)
    for i in range(150):
        model.graph.node.add(op_type="Sigmoid" if i % 2 else "Tanh", name=f"n{i}",
                             input=["y" if i == 0 else f"v{i - 1}"], output=[f"v{i}"])
    model.graph.output[0].name = "v149"
    text = plan_text(plan_of(ternc.compile(model, "host").blob))
    assert "to a column" in text
    assert max(map(len, text.splitlines())) < 120


def test_svg(plan: Plan) -> None:
    root = ElementTree.fromstring(plan_svg(plan, alone=True))
    space = "{http://www.w3.org/2000/svg}"
    boxes = [item for item in root.iter(f"{space}rect") if "box" in item.attrib.get("class", "")]
    assert len(boxes) == len(plan.boxes)
    titles = " ".join(item.text or "" for item in root.iter(f"{space}title"))
    for box in plan.boxes:
        assert box.name in titles
    said = " ".join(item.text or "" for item in root.iter(f"{space}text"))
    assert f"peak {plan.peak_bytes:,} B" in said
    for item in boxes:  # inside the picture
        assert 0 <= float(item.attrib["x"]) <= 960
        assert 0 <= float(item.attrib["y"]) <= 440


def test_hostile_names() -> None:
    model = dense()
    model.graph.node[0].name = '"><script>'
    compiled = ternc.compile(model, "host")
    ElementTree.fromstring(plan_svg(plan_of(encode(compiled.program, names=True)), alone=True))


@pytest.mark.parametrize("suffix", [".onnx", ".tern", ".h"])
def test_inspect_writes_it(suffix: str, tmp_path: Path) -> None:
    model = saved(dense(), tmp_path)
    path = model.with_suffix(suffix)
    if suffix != ".onnx":
        assert main([str(model), "-o", str(path), "-q", "--target", "host"]) == 0
    assert main(["inspect", str(path), "-q", "--svg", str(tmp_path / "plan.svg")]) == 0
    ElementTree.parse(tmp_path / "plan.svg")
    assert main(["inspect", str(path), "-q", "--svg", str(tmp_path / "no" / "plan.svg")]) == 2
