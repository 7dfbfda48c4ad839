"""Ternary or int8 for each layer under a limit, and the options that fix single layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import ternc
from ternc.cli import main
from ternc.diagnostics import CompileError, TerncError, UsageError
from ternc.mixed.result import MixedPrecision, Point
from ternc.oracle import Oracle
from ternc.passes.split_channels import Split
from ternc.quality import Drop, accuracy, sqnr
from tests.passes.running import named_graph

RNG = np.random.default_rng(0)
F = np.float32


def _network() -> ir.Model:
    """A classifier of 4 classes."""
    return named_graph(
        "a = MatMul (x, w1)\nb = Relu (a)\nc = MatMul (b, w2)\nd = Relu (c)\ny = MatMul (d, w3)",
        "float[1,16] x", "float[1,4] y",
        w1=(RNG.standard_normal((16, 48)) / 4).astype(F),
        w2=(RNG.standard_normal((48, 32)) / 7).astype(F),
        w3=(RNG.standard_normal((32, 4)) / 5).astype(F))


MODEL = _network()
X = RNG.standard_normal((96, 16)).astype(F)
_ORACLE = Oracle(MODEL)
LABELS = np.array([int(_ORACLE.run({"x": x[None]})["y"].argmax()) for x in X])


def _kinds(compiled: ternc.CompiledModel) -> dict[str, str]:
    return {layer["name"]: layer["weights"] for layer in compiled.report()["layers"]
            if layer.get("weights")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, ["float32"] * 3), ({"weights": "int8"}, ["int8"] * 3),
     ({"weights": "ternary"}, ["ternary"] * 3), ({"ternarize": "twn"}, ["ternary"] * 3),
     ({"ternarize": True, "keep": {"a": "float32", "y": "int8"}}, ["float32", "ternary", "int8"]),
     ({"keep": {"c": "ternary"}}, ["float32", "ternary", "float32"]),
     ({"calibration_data": X, "weights": "float32"}, ["float32"] * 3),
     ({"calibration_data": X, "keep": {"c": "ternary"}}, ["int8", "ternary", "int8"]),
     ({"calibration_data": X, "activations": "float32", "weights": "int8"}, ["int8"] * 3),
     ({"calibration_data": X, "ternarize": True, "keep": {"y": "int8"}},
      ["ternary", "ternary", "int8"])])
def test_weights_become_what_was_asked_for(options: dict[str, Any], expected: list[str]) -> None:
    compiled = ternc.compile(MODEL, **options)
    suffixes = {"float32": "dense_f32", "int8": "w8", "ternary": "t2"}
    names = [i.opcode.name for i in compiled.program.instructions if "dense" in i.opcode.name]
    static = "calibration_data" in options and options.get("weights") not in ("float32", "int8")
    for name, kind in zip(names, expected, strict=True):
        if static:
            assert name.startswith("dense_i8")
            assert ("t2" in name) == (kind == "ternary")
        else:
            assert suffixes[kind] in name


def test_limit_in_accuracy_holds() -> None:
    """The chosen program is smaller than int8's, and what was measured is what it gives."""
    compiled = ternc.compile(MODEL, calibration_data={"x": X, "labels": LABELS}, max_drop=50.0)
    mixed = compiled.mixed
    assert mixed is not None
    assert (mixed.measure, mixed.reference, mixed.samples) == ("accuracy", 100.0, 48)
    assert mixed.confirmed.bound <= 50.0
    assert mixed.sure
    assert mixed.confirmed.samples == 32  # of 48 measured, every third chose
    assert len(mixed.sensitivity) == 3
    int8 = ternc.compile(MODEL, calibration_data=X)
    assert len(compiled.blob) < len(int8.blob)
    assert compiled.report()["mixed_precision"]["chosen"]["ternary"] == list(mixed.chosen.ternary)
    text = mixed.table()
    assert text.count("\n*") == 1
    flash = [point.flash_bytes for point in mixed.frontier]
    assert flash == sorted(flash)


def test_limit_in_decibels_counts_from_int8() -> None:
    """Without labels; a limit of nothing leaves int8, a wide one takes every layer."""
    strict = ternc.compile(MODEL, calibration_data=X, max_drop=0.0)
    assert strict.mixed is not None
    assert strict.mixed.measure == "sqnr"
    assert strict.mixed.chosen.ternary == ()
    assert strict.mixed.chosen.drop == 0.0
    loose = ternc.compile(MODEL, calibration_data=X, max_drop=100.0)
    assert loose.mixed is not None
    assert loose.mixed.chosen.ternary == ("a", "c", "y")


def test_kept_layers_are_not_chosen() -> None:
    compiled = ternc.compile(MODEL, calibration_data=X, max_drop=100.0,
                             keep={"a": "int8", "c": "float32"})
    assert compiled.mixed is not None
    assert compiled.mixed.chosen.ternary == ("y",)
    forced = ternc.compile(MODEL, calibration_data=X, max_drop=100.0, keep={"y": "ternary"})
    assert forced.mixed is not None
    assert all("y" in point.ternary for point in forced.mixed.frontier)


def test_separate_data_to_measure_on() -> None:
    compiled = ternc.compile(MODEL, calibration_data=X[:32], evaluation_data=X[32:],
                             labels=LABELS[32:], max_drop=100.0)
    assert compiled.mixed is not None
    assert compiled.mixed.samples == 64


def test_limit_that_cannot_be_held() -> None:
    """By how much it was missed, and what was nearest."""
    wrong = (LABELS + 1) % 4
    wrong[1::2] = LABELS[1::2]
    with pytest.raises(CompileError, match="TC0208") as caught:
        ternc.compile(MODEL, calibration_data={"x": X, "labels": wrong}, max_drop=0.0,
                      keep={"a": "ternary", "c": "ternary", "y": "ternary"})
    note = caught.value.diagnostics[-1].notes[0]
    assert "nearest" in note
    assert "too much" in note


@pytest.mark.parametrize(
    "options",
    [{"max_drop": 1.0}, {"max_drop": -1.0, "calibration_data": X}, {"ternarize": "best"},
     {"max_drop": float("nan"), "calibration_data": X},
     {"max_drop": 1.0, "minimize": "arena", "calibration_data": X}, {"keep": {"a": "int4"}},
     {"keep": {"nobody": "int8"}}, {"ternarize": "reconstruct"},
     {"weights": "int8", "ternarize": True},
     {"activations": "int8", "weights": "float32", "calibration_data": X},
     {"max_drop": 1.0, "weights": "int8", "calibration_data": X}])
def test_options_that_contradict(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="TC0403"):
        ternc.compile(MODEL, **options)


@pytest.mark.parametrize("labels", [LABELS[:5], np.zeros((96, 2)), np.int64(3),
                                    np.full(96, np.nan), np.array(["cat"] * 96)])
def test_labels_that_do_not_fit(labels: Any) -> None:
    with pytest.raises(TerncError, match="TC0301"):
        ternc.compile(MODEL, calibration_data=X, labels=labels, max_drop=1.0)


def test_answers_of_the_model_as_labels() -> None:
    """Without labels: the share answered otherwise than by the float model."""
    compiled = ternc.compile(MODEL, calibration_data=X, labels="model", max_drop=50.0)
    assert compiled.mixed is not None
    assert (compiled.mixed.measure, compiled.mixed.reference) == ("accuracy", 100.0)
    labelled = ternc.compile(MODEL, calibration_data=X, labels=LABELS, max_drop=50.0)
    assert labelled.mixed == compiled.mixed  # LABELS are the model's answers
    one_hot = ternc.compile(MODEL, calibration_data=X, labels=np.eye(4)[LABELS], max_drop=50.0)
    assert one_hot.mixed == compiled.mixed


def test_the_table_says_which_part_of_a_layer() -> None:
    point = Point(("a/b;a/c[:12]", "d"), 1000, 200, 3000, 50.0, 0.5, 0.1)
    found = MixedPrecision("sqnr", "flash", 1.0, 50.0, 9, (), (point,), point, Drop(0.5, 0.1, 6),
                           sure=True, splits={"a/b;a/c": Split(12)})
    assert "2 ternary: a/b[:12], d" in found.table()


def test_few_samples_prove_nothing() -> None:
    """A point holds on the samples measured, and the warning says what is sure."""
    compiled = ternc.compile(MODEL, calibration_data=X, labels=LABELS, max_drop=5.0)
    mixed = compiled.mixed
    assert mixed is not None
    assert not mixed.sure
    assert mixed.chosen.drop <= 5.0
    (warning,) = [item for item in compiled.diagnostics if item.code == "TC0209"]
    assert f"at most {mixed.confirmed.bound:.2f}" in warning.notes[0]
    assert mixed.confirmed.bound > 5.0


def test_enough_samples_decide() -> None:
    """Where int8 is proven, nothing unproven is taken; and what is taken holds on new samples."""
    measured = RNG.standard_normal((3000, 16)).astype(F)
    for limit in (2.0, 25.0):
        compiled = ternc.compile(MODEL, "host", calibration_data=X, evaluation_data=measured,
                                 labels="model", max_drop=limit)
        mixed = compiled.mixed
        assert mixed is not None
        assert mixed.sure
        assert mixed.confirmed.bound <= limit
        assert (mixed.chosen.ternary != ()) == (limit == 25.0)
        assert any(item.code == "TC0210" for item in compiled.diagnostics) == (limit == 2.0)
        new = RNG.standard_normal((2000, 16)).astype(F)
        changed = sum(int(_ORACLE.run({"x": x[None]})["y"].argmax()) != int(
            compiled.run(x[None])["y"].argmax()) for x in new)
        assert 100 * changed / len(new) <= limit


def test_nothing_saved_says_what_would() -> None:
    compiled = ternc.compile(MODEL, calibration_data=X, max_drop=0.0)
    (note,) = [item for item in compiled.diagnostics if item.code == "TC0210"]
    assert "nearest" in note.notes[0]
    assert "--labels model" in note.help


def test_part_of_a_layer() -> None:
    """Where a layer is too much as a whole, some of its output channels are ternary."""
    rng = np.random.default_rng(1)
    model = named_graph(
        "a = MatMul (x, w1)\nb = Relu (a)\ny = MatMul (b, w2)", "float[1,64] x", "float[1,4] y",
        w1=(rng.standard_normal((64, 256)) / 8).astype(F),
        w2=(rng.standard_normal((256, 4)) / 16).astype(F))
    samples = rng.standard_normal((600, 64)).astype(F)
    data: dict[str, Any] = {"calibration_data": samples[:200], "evaluation_data": samples[200:]}
    nothing = ternc.compile(model, "host", **data, max_drop=0.0).mixed
    assert nothing is not None
    limit = min(s.drop for s in nothing.sensitivity) - 3.0
    compiled = ternc.compile(model, "host", **data, max_drop=limit)
    mixed, int8 = compiled.mixed, ternc.compile(model, "host", calibration_data=samples[:200])
    assert mixed is not None
    ((name, split),) = mixed.splits.items()
    k = split.channels
    assert mixed.chosen.ternary == (f"{name}[:{k}]",)
    assert compiled.report()["mixed_precision"]["splits"] == {name: k}
    assert len(compiled.blob) == mixed.chosen.flash_bytes < len(int8.blob)
    reference = Oracle(model)
    new = rng.standard_normal((300, 64)).astype(F)
    wanted = [reference.run({"x": x[None]})["y"] for x in new]
    lost = sqnr(wanted, [int8.run(x[None])["y"] for x in new]) - sqnr(
        wanted, [compiled.run(x[None])["y"] for x in new])
    assert lost <= limit


def test_latency_as_the_objective() -> None:
    """A layer that ternary weights make slower stays int8, however much flash it would save."""
    fast = ternc.compile(MODEL, "esp32c3", calibration_data=X, max_drop=100.0,
                         minimize="latency")
    int8 = ternc.compile(MODEL, "esp32c3", calibration_data=X)
    assert fast.mixed is not None
    gains = {s.node: s.saved_instructions for s in fast.mixed.sensitivity}
    assert set(fast.mixed.chosen.ternary) == {name for name, gain in gains.items() if gain > 0}
    assert fast.mixed.chosen.instructions == sum(
        layer["instructions"] for layer in fast.report()["layers"])
    assert fast.mixed.chosen.instructions <= sum(
        layer["instructions"] for layer in int8.report()["layers"])


def test_iterators_are_read_once() -> None:
    """A generator of samples serves every layer."""
    made = ternc.compile(MODEL, calibration_data=(x[None] for x in X), ternarize=True)
    again = ternc.compile(MODEL, calibration_data=X, ternarize=True)
    assert made.blob == again.blob


def test_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    path, data, out = tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "m.h"
    onnx.save(ir.to_proto(MODEL), path)
    np.savez(data, x=X, labels=LABELS)
    assert main(["--ternarize", str(path), "-o", str(out)]) == 0
    assert main([str(path), "--ternarize=twn", "-o", str(out), "--keep", "int8:y"]) == 0
    assert main([str(path), "--ternarize=c", "-o", str(out), "--mean", "0.5", "--std", "2"]) == 0
    assert main([str(path), "-o", str(out), "--activations", "dynamic"]) == 0
    capsys.readouterr()
    assert main([str(path), "-o", str(out), "--calibration", str(data), "--max-drop", "20"]) == 0
    assert "mixed precision, accuracy on 48 samples" in capsys.readouterr().err


def test_measures() -> None:
    assert sqnr([np.ones(4)], [np.ones(4)]) == 200.0
    assert sqnr([np.ones(4)], [np.full(4, 1.1)]) == pytest.approx(20.0)
    outputs = [np.array([[0.1, 0.9]]), np.array([[0.8, 0.2]]), np.array([1])]
    assert accuracy(outputs, np.array([1, 1, 1])) == pytest.approx(200 / 3)
