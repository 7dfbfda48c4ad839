"""Thresholds: each fails a validation on its own, by name, and with exit code 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import ternc
from ternc.cli import main
from ternc.diagnostics import UsageError
from ternc.validation import Check, Report, Verdict, junit
from ternc.validation.accuracy import accuracy
from ternc.validation.limits import Limits
from tests.making import MODELS, dense, saved

GESTURE = MODELS / "gesture_cnn.onnx"
DATA = MODELS / "gesture.npz"


@pytest.fixture(scope="module")
def compiled() -> ternc.CompiledModel:
    return ternc.compile(GESTURE, "esp32c3", calibration_data=DATA)


def failed(report: Report) -> list[str]:
    return [check.name for check in report.checks if check.failed]


@pytest.mark.parametrize(("limit", "name"), [
    ({"min_agreement": 1.0}, ""),
    ({"min_sqnr": 30.0}, ""),
    ({"min_sqnr": 60.0}, "signal to noise of scores"),
    ({"min_layer_sqnr": 100.0}, ""),  # the quantized model's own numbers, to the bit
    ({"min_accuracy": 0.99}, ""),
    ({"max_accuracy_drop": 0.0}, ""),
    ({"max_saturation": 0.0001}, "saturation"),
    ({"max_latency_ms": 0.1}, "latency"),
    ({"max_latency_ms": 1.0}, ""),
    ({"max_arena": 1024}, "arena"),
    ({"max_arena": 65536}, ""),
    ({"max_flash": 1024}, "flash"),
])
def test_each_limit_has_its_check(
    limit: dict[str, Any], name: str, compiled: ternc.CompiledModel
) -> None:
    report = ternc.validate(compiled, data=DATA, samples=32, **limit)
    assert failed(report) == ([name] if name else [])
    assert report.exit_code == (4 if name else 0)


def test_agreement_below_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ternc.compile(dense(batch="N"), "host")
    real = ternc.CompiledModel.run

    def turned(self: Any, inputs: Any, **more: Any) -> dict[str, Any]:
        return {name: -value for name, value in real(self, inputs, **more).items()}

    monkeypatch.setattr(ternc.CompiledModel, "run", turned)
    report = ternc.validate(model, min_agreement=0.5)
    assert "top-1 of y" in failed(report)


@pytest.mark.parametrize("limit", [
    {"min_agreement": 1.5}, {"min_accuracy": -0.1}, {"max_arena": -1}, {"max_latency_ms": -1.0},
    {"max_saturation": float("nan")},
])
def test_limits_that_are_none(limit: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(limit))):
        ternc.validate(dense(), **limit)


def test_a_latency_limit_on_the_host_is_not_passed() -> None:
    report = ternc.validate(dense(), "host", max_latency_ms=1.0)
    check = next(item for item in report.checks if item.name == "latency")
    assert check.verdict is Verdict.SKIPPED
    assert not check.passed
    assert not check.failed


def test_accuracy_without_labels_fails_its_limit() -> None:
    report = ternc.validate(dense(), min_accuracy=0.5)
    assert failed(report) == ["accuracy"]


def test_accuracy_is_for_information_when_labels_are_few() -> None:
    report = ternc.validate(GESTURE, data=DATA, samples=4)
    labels = next(item for item in report.checks if item.name == "labels")
    assert labels.verdict is Verdict.INFORMATION
    assert accuracy.__doc__


def test_limits_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["validate", str(GESTURE), "--data", str(DATA), "--samples", "16", "-q",
                 "--calibration", str(DATA), "--target", "esp32c3"]
    assert main([*arguments, "--min-agreement", "99%", "--min-accuracy", "0.9", "--min-sqnr",
                 "20", "--max-arena", "16K", "--max-flash", "16K", "--max-latency-ms", "50"]) == 0
    assert main([*arguments, "--max-arena", "1K"]) == 4
    assert "FAILED  arena" in capsys.readouterr().out
    for wrong in ("101%", "1.2", "-1", "all"):
        assert main([*arguments, f"--min-agreement={wrong}"]) == 2
    assert not list(tmp_path.iterdir())


def test_every_limit_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--help"]) == 0
    text = capsys.readouterr().out
    for name in Limits.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text


# --- JUnit XML -----------------------------------------------------------------------------------


def test_junit_says_what_the_report_says(tmp_path: Path) -> None:
    written = tmp_path / "report.xml"
    arguments = ["validate", str(GESTURE), "--data", str(DATA), "--samples", "8", "-q",
                 "--max-arena", "1K", "--junit", str(written)]
    assert main(arguments) == 4
    suite = ElementTree.parse(written).getroot()[0]
    assert suite.attrib["name"] == "ternc validate gesture_cnn.onnx for esp32"
    cases = {case.attrib["name"]: case for case in suite.iter("testcase")}
    assert int(suite.attrib["tests"]) == len(cases)
    assert int(suite.attrib["failures"]) == 1
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["arena"]
    assert cases["stack"].find("skipped") is not None
    assert "limit 1,024" in str(cases["arena"].findtext("failure"))


def test_junit_of_hostile_names() -> None:
    check = Check("a<b>\0", Verdict.FAILED, "x & y\x1b", notes=("\ud800",))
    suite = ElementTree.fromstring(junit(Report('"m"\x01', "esp32", (check,))))[0]
    case = suite.find("testcase")
    assert case is not None
    assert case.attrib["name"] == "a<b>\N{REPLACEMENT CHARACTER}"
    assert "x & y" in case[0].attrib["message"]


def test_junit_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(dense(), tmp_path)
    before = model.read_bytes()
    for where in (tmp_path / "missing" / "report.xml", tmp_path, model):
        assert main(["validate", str(model), "--junit", str(where)]) == 2
        assert "[TC0007]" in capsys.readouterr().err
    assert model.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_junit_of_a_model_that_does_not_compile(tmp_path: Path) -> None:
    model = saved(dense(op="RandomNormalLike"), tmp_path)
    assert main(["validate", str(model), "-q", "--junit", str(tmp_path / "r.xml")]) == 1
    text = (tmp_path / "r.xml").read_text()
    assert "TC0101" in text


def test_data_of_another_range() -> None:
    """Pixels from 0 to 255 for a model of 0 to 1, and the other way round."""
    data = np.load(MODELS / "shapes.npz")
    samples = {"image": data["image"][:16]}
    compiled = ternc.compile(MODELS / "shapes_cnn.onnx", calibration_data=samples)
    assert failed(ternc.validate(compiled, data=samples)) == []
    too_large = ternc.validate(compiled, data={"image": samples["image"] * 255})
    assert "input range" in failed(too_large)
    too_small = ternc.validate(compiled, data={"image": samples["image"] / 255})
    check = next(item for item in too_small.checks if item.name == "input range")
    assert check.failed
    assert "scaled otherwise" in check.notes[0]


@pytest.mark.parametrize("shift", [4, -1])
def test_labels_that_are_no_classes(shift: int) -> None:
    data = dict(np.load(DATA))
    data["labels"] = data["labels"].astype(np.int64) + shift
    with pytest.raises(UsageError, match="the model has 4 classes"):
        ternc.validate(GESTURE, data=data, samples=20)


def test_two_outputs_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, same = saved(dense(), tmp_path), tmp_path / "out.h"
    assert main(["validate", str(model), "--junit", str(same), "--report", str(same)]) == 2
    assert "two outputs are the same file" in capsys.readouterr().err
    assert main([str(model), "-o", str(same), "--report", str(same)]) == 2
    assert not same.exists()
