"""Diagnostics to learn from: explanations of every code, and names that were meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ternc.cli import main
from ternc.diagnostics import CODES, did_you_mean
from ternc.explanations import EXPLANATIONS, explain, listing
from tests.making import dense, saved

ROOT = Path(__file__).resolve().parents[1]
_CODE = re.compile(r'"(TC\d{4})"')


def used_codes() -> set[str]:
    """Every code that the sources name, the tables themselves left out."""
    found: set[str] = set()
    for folder in ("ternc", "passes", "backends"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name not in ("diagnostics.py", "explanations.py"):
                found |= set(_CODE.findall(path.read_text(encoding="utf-8")))
    return found


def test_each_code_has_an_explanation() -> None:
    assert used_codes() <= set(CODES)
    assert set(EXPLANATIONS) == set(CODES)


def test_each_code_is_used() -> None:
    assert set(CODES) <= used_codes()


@pytest.mark.parametrize("code", CODES)
def test_explanations_are_whole(code: str) -> None:
    item = EXPLANATIONS[code]
    for text in (item.why, item.example, item.remedy):
        assert len(text) > 8
    assert item.why[0].isupper() or item.why.startswith(("float32", "torch", "--max-drop"))
    assert item.why.endswith(".")
    assert item.remedy.endswith(".")
    lines = explain(code).splitlines()
    assert lines[0] == f"{code}: {CODES[code]}"
    assert max(map(len, lines)) <= 100


def test_commands_in_examples_have_options_that_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known: set[str] = set()
    for command in ([], ["validate"], ["bench"], ["inspect"], ["ops"], ["targets"]):
        assert main([*command, "--help"]) == 0
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for item in EXPLANATIONS.values():
        for text in (item.example, item.remedy, item.why):
            options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
            assert options <= known, options - known


@pytest.mark.parametrize("text", ["TC0402", "tc0402", "402", "0402", "TC402"])
def test_explain(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", text]) == 0
    assert capsys.readouterr().out.startswith("TC0402: the model does not fit the target\n")


def test_explain_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out == listing()
    assert all(code in listing() for code in CODES)


def test_explain_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "TC0410"]) == 2
    text = capsys.readouterr().err
    assert "no diagnostic has the code 'TC0410'" in text
    assert "did you mean 'TC0401'" in text or "did you mean 'TC0" in text


# --- what was meant ------------------------------------------------------------------------------


def test_did_you_mean() -> None:
    assert did_you_mean("esp32c33", ["esp32c3", "host"]) == "did you mean 'esp32c3'? "
    assert did_you_mean("conv", ["model/conv2d_7/Conv2D"]) == (
        "did you mean 'model/conv2d_7/Conv2D'? ")
    assert did_you_mean("xyz", ["esp32c3"]) == ""
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(("arguments", "meant"), [
    (["validat", "m.onnx"], "'validate'"),
    (["m.onnx", "-o", "m.h", "--calibraton", "x.npz"], "'--calibration'"),
    (["m.onnx", "-o", "m.h", "--aktivations=int8"], "'--activations'"),
    (["validate", "m.onnx", "--min-agreemnt", "0.9"], "'--min-agreement'"),
])
def test_options_and_commands(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(dense(), tmp_path)
    assert main([str(model), "-o", str(tmp_path / "m.h"), "--keep", "float32:fcc"]) == 2
    assert "did you mean 'fc'?" in capsys.readouterr().err


def test_a_model_called_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(dense(), tmp_path, "validat")
    monkeypatch.chdir(tmp_path)
    assert main(["validat", "-o", "m.h", "-q"]) == 0
    assert capsys.readouterr().err == ""
