"""The command line: what it writes and prints, and every way to use it wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ternc import cli, compiler, console
from ternc.cli import main
from ternc.diagnostics import Diagnostic, Severity
from tests.making import MODELS, dense, saved


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(dense(), tmp_path)


# --- compile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h", ".tern", ".onnx"])
def test_compiles_to_each_form(
    suffix: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = model.with_name(f"out{suffix}")
    assert main([str(model), "-o", str(output), "--target", "host"]) == 0
    assert output.stat().st_size > 0
    printed = capsys.readouterr()
    assert "model for host" in printed.out
    assert f"wrote {output}" in printed.err
    assert sorted(p.name for p in model.parent.iterdir()) == sorted(["model.onnx", output.name])


def test_the_default_target_is_printed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(model), "-o", str(model.with_suffix(".h"))]) == 0
    assert "model for esp32\n" in capsys.readouterr().out
    assert "target     esp32: xtensa-lx6" in model.with_suffix(".h").read_text()


def test_json_is_the_only_thing_on_stdout(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(model), "-o", str(model.with_suffix(".h")), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["target"] == "esp32"
    assert data["macs"] == 32


def test_quiet_prints_nothing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(model), "-o", str(model.with_suffix(".h")), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_name_is_the_prefix_in_c(model: Path) -> None:
    output = model.with_suffix(".h")
    assert main([str(model), "-o", str(output), "-q", "--name", "eyes"]) == 0
    assert "EYES_ARENA_BYTES" in output.read_text()


def test_calibration_makes_the_model_int8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gesture.onnx"
    arguments = [str(MODELS / "gesture_cnn.onnx"), "-o", str(output), "--json",
                 "--calibration", str(MODELS / "gesture.npz")]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["weights"]["ternary"]["count"] > 0
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(output).graph.node)


def test_shape_fixes_a_dynamic_input(tmp_path: Path) -> None:
    proto = dense()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "time_steps"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "time_steps"
    path = saved(proto, tmp_path)
    output = str(tmp_path / "out.h")
    assert main([str(path), "-o", output, "-q"]) == 1
    assert not Path(output).exists()
    assert main([str(path), "-o", output, "-q", "--shape", "x:3x8"]) == 0
    assert "{3, 8}" in Path(output).read_text()


def test_options_reach_the_compiler(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}
    real = compiler.compile

    def spy(source: str, **given: object) -> object:
        seen.update(given)
        return real(source, "host")

    monkeypatch.setattr(compiler, "compile", spy)
    assert main([
        str(model), "-o", str(model.with_suffix(".h")), "--ram", "160K", "--flash", "4M",
        "--keep", "float32:fc", "--shape", "a:b:1x16", "--io", "float", "--io-layout", "nhwc",
        "--no-fuse", "--calibration-method", "mse", "--verify-passes", "-q",
    ]) == 0
    assert seen["ram"] == 160 * 1024
    assert seen["flash"] == 4 * 1024 * 1024
    assert seen["keep"] == {"fc": "float32"}
    assert seen["shapes"] == {"a:b": (1, 16)}
    assert (seen["io"], seen["io_layout"], seen["fuse"]) == ("float", "nhwc", False)
    assert (seen["calibration_method"], seen["verify_passes"]) == ("mse", True)


def test_verify_passes_finds_nothing_wrong(tmp_path: Path) -> None:
    assert main([str(MODELS / "shapes_cnn.onnx"), "-o", str(tmp_path / "s.h"), "-q",
                 "--verify-passes"]) == 0


# --- wrong usage: exit code 2 --------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    [], ["{model}"], ["{model}", "-o"], ["{model}", "-o", "{out}.h", "--nonsense"],
    ["{model}", "-o", "{out}.h", "--ram", "lots"], ["{model}", "-o", "{out}.h", "--shape", "1x2"],
    ["{model}", "-o", "{out}.h", "--shape", "x:1x-2"],
    ["{model}", "-o", "{out}.h", "--keep", "int4:fc"],
    ["{model}", "-o", "{out}.h", "--name", "2fast"], ["{model}", "-o", "{out}.h", "--name", "int"],
    ["{model}", "-o", "{out}.h", "--activations", "int4"],
    ["{model}", "-o", "{out}.h", "-q", "-v"],
    ["{model}", "-o", "{out}.h", "{model}"],
    # What later versions may have is refused, not ignored.
    ["{model}", "-o", "{out}.h", "--ternarize=best"], ["{model}", "-o", "{out}.h", "-O", "fast"],
    ["bench", "{model}", "--target", "esp32c9"], ["bench", "{model}", "--target", "esp32"],
    ["validate"], ["validate", "{model}", "--samples", "0"], ["inspect"], ["targets", "x"],
])
def test_wrong_arguments(arguments: list[str], model: Path) -> None:
    out = str(model.with_name("out"))
    given = [a.format(model=model, out=out) for a in arguments]
    assert main(given) == 2
    assert [p.name for p in model.parent.iterdir()] == ["model.onnx"]


def _refused(
    arguments: list[str], code: int, diagnostic: str, capsys: pytest.CaptureFixture[str]
) -> str:
    """Runs twice, for people and as JSON; checks exit code, diagnostic and that nothing leaks."""
    assert main([*arguments, "--json"]) == code
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert data["exit_code"] == code
    assert diagnostic in [item["code"] for item in data["diagnostics"]]
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"[{diagnostic}]" in printed.err
    assert "Traceback" not in printed.err
    assert "help:" in printed.err or "expected:" in printed.err
    return printed.err


def test_unknown_target(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _refused([str(model), "-o", str(model.with_suffix(".h")), "--target", "esp32c33"], 2,
                    "TC0401", capsys)
    assert "did you mean 'esp32c3'" in text
    assert not model.with_suffix(".h").exists()


def test_suffix_that_means_nothing(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = _refused([str(model), "-o", str(model.with_suffix(".bin"))], 2, "TC0403", capsys)
    for suffix in (".h", ".tern", ".onnx"):
        assert suffix in text


@pytest.mark.parametrize("where", ["missing/out.h", "folder.h", "model.onnx", "file/out.h"])
def test_output_that_cannot_be_written(
    where: str, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (model.parent / "folder.h").mkdir()
    (model.parent / "file").write_text("in the way")
    before = model.read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("compiled before looking at the output")

    monkeypatch.setattr(compiler, "compile", never)
    _refused([str(model), "-o", str(model.parent / where)], 2, "TC0007", capsys)
    assert model.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = model.parent / "locked"
    folder.mkdir(mode=0o555)
    _refused([str(model), "-o", str(folder / "out.h")], 2, "TC0007", capsys)


def test_int8_without_data(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused([str(model), "-o", str(model.with_suffix(".h")), "--activations", "int8"], 2,
             "TC0403", capsys)


# --- models that cannot be compiled: exit code 1 -------------------------------------------------


def _bad_models() -> dict[str, tuple[str, bytes]]:
    """What is wrong -> (the diagnostic's code, the file)."""
    good = dense().SerializeToString()
    nan = np.ones((8, 4), np.float32)
    nan[3, 2] = np.nan
    infinite = np.ones((8, 4), np.float32)
    infinite[0, 0] = np.inf
    dynamic = dense()
    for value in (*dynamic.graph.input, *dynamic.graph.output):
        value.type.tensor_type.shape.dim[1].dim_param = "n"
    overflow = dense()
    overflow.graph.initializer[0].dims[:] = [2**62, 2**62]
    negative = dense()
    negative.graph.initializer[0].dims[:] = [-8, 4]
    short = dense()
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-4]
    external = dense()
    tensor = external.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    escaping = onnx.ModelProto()
    escaping.CopyFrom(external)
    escaping.graph.initializer[0].external_data[0].value = "../../etc/passwd"
    return {
        "truncated": ("TC0002", good[: len(good) // 2]),
        "empty": ("TC0002", b""),
        "text": ("TC0002", b"this is no model, but the README of one\n" * 20),
        "picture": ("TC0002", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        "unsupported operator": ("TC0101", dense(op="RandomNormalLike").SerializeToString()),
        "NaN": ("TC0006", dense(weight=nan).SerializeToString()),
        "infinity": ("TC0006", dense(weight=infinite).SerializeToString()),
        "dynamic": ("TC0103", dynamic.SerializeToString()),
        "overflow": ("TC0106", overflow.SerializeToString()),
        "negative": ("TC0106", negative.SerializeToString()),
        "short data": ("TC0003", short.SerializeToString()),
        "external data missing": ("TC0004", external.SerializeToString()),
        "external data outside": ("TC0004", escaping.SerializeToString()),
    }


@pytest.mark.parametrize("what", _bad_models())
def test_bad_models(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a diagnostic of its own; an output that exists stays as it was."""
    code, data = _bad_models()[what]
    path, output = tmp_path / "bad.onnx", tmp_path / "out.h"
    path.write_bytes(data)
    output.write_text("what was here before")
    _refused([str(path), "-o", str(output)], 1, code, capsys)
    assert output.read_text() == "what was here before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.onnx", "out.h"]


def test_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused([str(tmp_path / "no.onnx"), "-o", str(tmp_path / "out.h")], 1, "TC0001", capsys)
    assert not list(tmp_path.iterdir())


def test_every_problem_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = dense(op="RandomNormalLike")
    proto.graph.node.append(
        onnx.helper.make_node("RandomUniformLike", ["h"], ["z"], name="another"))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, [1, 4]))
    assert main([str(saved(proto, tmp_path)), "-o", str(tmp_path / "o.h")]) == 1
    text = capsys.readouterr().err
    assert "'act' (RandomNormalLike)" in text
    assert "'another' (RandomUniformLike)" in text


def test_bad_calibration_data(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = model.with_name("data.npz")
    np.savez(data, x=np.zeros((4, 9), np.float32))
    _refused([str(model), "-o", str(model.with_suffix(".h")), "--calibration", str(data)], 1,
             "TC0301", capsys)


# --- a model that does not fit: exit code 3 ------------------------------------------------------


@pytest.mark.parametrize("limit", ["--ram", "--flash"])
def test_does_not_fit(limit: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = model.with_suffix(".h")
    output.write_text("what was here before")
    _refused([str(model), "-o", str(output), limit, "16"], 3, "TC0402", capsys)
    assert output.read_text() == "what was here before"


# --- an error of ours: exit code 70 --------------------------------------------------------------


def test_internal_errors(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(compiler, "compile", broken)
    arguments = [str(model), "-o", str(model.with_suffix(".h"))]
    text = _refused(arguments, 70, "TC0901", capsys)
    assert "report" in text
    assert main([*arguments, "-v"]) == 70
    assert "Traceback" in capsys.readouterr().err


# --- validate ------------------------------------------------------------------------------------


def test_validate_passes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["validate", str(MODELS / "gesture_cnn_int8.onnx"), "--target", "esp32c3",
                 "--data", str(MODELS / "gesture.npz")]
    assert main(arguments) == 0
    assert "checks passed" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    names = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert {"layer by layer", "accuracy", "fits RAM"} <= set(names)


def test_validate_has_its_own_exit_codes(model: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.npy"
    data = tmp_path / "data.npz"
    np.savez(data, x=np.zeros((4, 8), np.float32))
    np.save(labels, np.arange(3))
    bad = saved(dense(op="RandomNormalLike"), tmp_path, "bad.onnx")
    assert main(["validate", str(model), "-q"]) == 0
    assert main(["validate", str(bad), "-q"]) == 1
    assert main(["validate", str(tmp_path / "none.onnx"), "-q"]) == 1
    assert main(["validate", str(model), "-q", "--target", "esp99"]) == 2
    assert main(["validate", str(model), "-q", "--data", str(data), "--labels", str(labels)]) == 2
    assert main(["validate", str(model), "-q", "--ram", "8"]) == 3


def test_validate_below_its_threshold(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runtime that answered wrongly would be caught."""
    from ternc.compiled import CompiledModel

    real = CompiledModel.run

    def wrong(self: CompiledModel, inputs: Any, **more: Any) -> dict[str, Any]:
        return {name: value + 0.01 for name, value in real(self, inputs, **more).items()}

    monkeypatch.setattr(CompiledModel, "run", wrong)
    assert main(["validate", str(model)]) == 4
    assert "FAILED  agreement of y" in capsys.readouterr().out


# --- inspect, targets, ops -----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".onnx", ".tern", ".h"])
def test_inspect(suffix: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model.with_suffix(suffix)
    if suffix != ".onnx":
        assert main([str(model), "-o", str(path), "-q", "--target", "host"]) == 0
    assert main(["inspect", str(path), "--plan", "-q"]) == 0
    printed = capsys.readouterr().out
    assert "dense_f32 x=" in printed
    assert "memory plan: " in printed
    assert "#" in printed
    assert main(["inspect", str(path), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["arena_bytes"] >= 48


@pytest.mark.parametrize("suffix", [".tern", ".h"])
def test_inspect_refuses_a_damaged_program(
    suffix: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model.with_suffix(suffix)
    assert main([str(model), "-o", str(path), "-q"]) == 0
    data = bytearray(path.read_bytes())
    at = data.index(b"0x", len(data) // 2) + 4 if suffix == ".h" else len(data) // 2
    data[at] ^= 1
    path.write_bytes(data)
    _refused(["inspect", str(path)], 1, "TC0002", capsys)


def test_inspect_refuses_another_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.h").write_text("int x;\n")
    _refused(["inspect", str(tmp_path / "other.h")], 1, "TC0002", capsys)


def test_targets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    assert "esp32c3" in capsys.readouterr().out
    assert main(["targets", "--json"]) == 0
    chips = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert not chips["esp32c3"]["fpu"]
    for chip in chips.values():
        if chip["name"] != "host":
            figures = {"isa", "cores", "clock_hz", "fpu", "sram_bytes", "flash_bytes",
                       "psram_bytes", "simd"}
            assert set(chip["sources"]) == figures
            assert set(chip["unverified"]) <= figures


def test_ops(capsys: pytest.CaptureFixture[str]) -> None:
    from ternc.backends.esp32.lower.registry import OPERATORS

    assert main(["ops", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert set(OPERATORS) <= {row["operator"] for row in rows}
    assert main(["ops", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith(
        "| operator | float32 | int8 | int16 | note |\n|---|")
    assert main(["ops"]) == 0


# --- the terminal --------------------------------------------------------------------------------


class _Terminal:
    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    item = Diagnostic("TC0101", "no", Severity.ERROR, help="do")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = _Terminal()
    console.print_diagnostics([item], terminal)  # type: ignore[arg-type]
    assert terminal.text.startswith("\x1b[1;31merror[TC0101]\x1b[0m: no\n")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = _Terminal()
    console.print_diagnostics([item], plain)  # type: ignore[arg-type]
    assert plain.text == "error[TC0101]: no\n  help: do\n"


def test_errors_come_last() -> None:
    items = [Diagnostic("TC0101", "bad"), Diagnostic("TC0005", "mended", Severity.WARNING)]
    terminal = _Terminal()
    console.print_diagnostics(items, terminal)  # type: ignore[arg-type]
    assert terminal.text.index("mended") < terminal.text.index("bad")


def test_the_command_and_its_version() -> None:
    done = subprocess.run([sys.executable, "-m", "ternc.cli", "--version"], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "ternc")


def test_a_reader_that_leaves_is_no_error() -> None:
    """`ternc ops | head -1`."""
    program = f"{sys.executable} -m ternc.cli ops --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f"ternc {command}" in text
