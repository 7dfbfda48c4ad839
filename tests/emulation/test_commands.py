"""`ternc bench` and `ternc validate --emulate`: what they print, and what they refuse."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ternc import emulation
from ternc.cli import main
from ternc.emulation import qemu_core, toolchain, unicorn_core
from ternc.validation import Verdict, validate
from tests.emulation.tools import GCC, needs_emulator, needs_gcc, needs_qemu
from tests.making import MODELS

MODEL, DATA = str(MODELS / "gesture_cnn.onnx"), str(MODELS / "gesture.npz")
BENCH = ["bench", MODEL, "--calibration", DATA]


def bench(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main([*BENCH, "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@needs_emulator
def test_bench_json(capsys: pytest.CaptureFixture[str]) -> None:
    data = bench(capsys, "--target", "esp32c3")
    assert {"instructions", "macs", "stack_bytes", "arena_bytes", "flash", "layers", "basis",
            "latency_ms"} <= set(data)
    assert set(data["flash"]) == {"weights", "program", "kernels"}
    for layer in data["layers"]:
        assert set(layer) == {"name", "op", "macs", "instructions", "scratch_bytes"}
    assert sum(layer["instructions"] for layer in data["layers"]) < data["instructions"]
    assert sum(layer["macs"] for layer in data["layers"]) == data["macs"] == 26176
    assert "clang" in data["basis"]
    assert "unicorn" in data["basis"]
    assert "-O2" in data["basis"]


@needs_emulator
def test_bench_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BENCH, "--data", DATA, "--samples", "2"]) == 0
    text = capsys.readouterr().out
    assert "instructions for one inference on esp32c3" in text
    assert "cycle model" in text
    assert "node_Conv_85" in text


@needs_emulator
@needs_qemu
def test_bench_in_qemu(capsys: pytest.CaptureFixture[str]) -> None:
    data = bench(capsys, "--emulator", "qemu")
    assert data["instructions"] == bench(capsys)["instructions"]
    assert "QEMU" in data["basis"]
    assert data["latency_ms"]["value"] == pytest.approx(data["instructions"] * 1.2 / 160e3)
    assert "CPI 1.2 (estimated" in data["latency_ms"]["basis"]


@needs_emulator
@needs_gcc
def test_bench_with_gcc(capsys: pytest.CaptureFixture[str]) -> None:
    data = bench(capsys, "--toolchain", GCC)
    assert data["basis"].startswith(f"{GCC} 1")
    assert "-march=rv32imc" in data["basis"]
    assert data["instructions"] != bench(capsys)["instructions"]


@needs_emulator
def test_bench_of_a_saved_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "gesture.tern"
    assert main([MODEL, "-o", str(saved), "--calibration", DATA, "--target", "esp32c3", "-q"]) == 0
    assert main(["bench", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instructions"] == bench(capsys)["instructions"]


@needs_emulator
def test_validate(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["validate", MODEL, "--calibration", DATA, "--data", DATA, "--target", "esp32c3",
                 "--emulate", "--json"]
    assert main(arguments) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["emulated"]["verdict"] == "passed"
    assert "same bytes" in checks["emulated"]["detail"]
    assert checks["stack"]["verdict"] == "passed"
    assert "measured instructions on emulated RV32IMC" in checks["latency"]["detail"]
    assert main([*arguments, "--max-stack", "100"]) == 3
    assert main([*arguments, "--max-latency-ms", "0.01"]) == 4


@needs_emulator
def test_validate_sees_another_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    real = emulation.host_bytes

    def changed(*arguments: Any) -> tuple[tuple[bytes, ...], ...]:
        (first, *rest), *samples = real(*arguments)
        return ((bytes([first[0] ^ 1]) + first[1:], *rest), *samples)

    monkeypatch.setattr(emulation, "host_bytes", changed)
    report = validate(MODEL, "esp32c3", DATA, emulate=True, calibration_data=DATA)
    (check,) = [check for check in report.checks if check.name == "emulated"]
    assert check.failed
    assert check.notes == ("output 'scores' of sample 1: 1 of 4 bytes",)
    assert report.exit_code == 4


@needs_emulator
def test_validate_when_it_runs_away() -> None:
    report = validate(MODEL, "esp32c3", emulate=True, max_instructions=1000, samples=1)
    (check,) = [check for check in report.checks if check.name == "emulated"]
    assert check.failed
    assert "stopped after 1,000 instructions" in check.detail
    assert report.exit_code == 4


@needs_emulator
def test_validate_for_xtensa() -> None:
    report = validate(MODEL, "esp32s3", emulate=True, samples=1)
    (check,) = [check for check in report.checks if check.name == "emulated"]
    assert check.verdict is Verdict.SKIPPED
    assert "only RISC-V" in check.detail
    assert report.passed


class TestMissing:
    """What is not there is named, with how to install it; exit code 2."""

    @pytest.fixture(autouse=True)
    def fresh(self) -> Any:
        yield
        toolchain.find_compiler.cache_clear()
        toolchain.builder_for.cache_clear()

    def refused(self, capsys: pytest.CaptureFixture[str], *more: str, code: str) -> str:
        assert main([*BENCH, *more]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert f"error[{code}]" in err
        return err

    @pytest.mark.parametrize("name", ["unicorn", "ziglang"])
    def test_packages(
        self, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toolchain.find_compiler.cache_clear()
        for module in (unicorn_core, toolchain):
            monkeypatch.setattr(module, "find_spec", lambda wanted: wanted != name or None)
        text = self.refused(capsys, code="TC0601")
        assert f"{name}, the" in text
        assert "pip install 'ternc[emulator]'" in text

    def test_a_compiler(self, capsys: pytest.CaptureFixture[str]) -> None:
        text = self.refused(capsys, "--toolchain", "no-such-gcc", code="TC0601")
        assert "'no-such-gcc' is not installed" in text

    def test_known_compilers(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toolchain.find_compiler.cache_clear()
        monkeypatch.setenv("PATH", "")
        assert "ESP-IDF" in self.refused(
            capsys, "--toolchain", "riscv32-esp-elf-gcc", code="TC0601")
        assert "picolibc" in self.refused(capsys, "--toolchain", GCC, code="TC0601")

    @needs_emulator
    def test_qemu(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        text = self.refused(capsys, "--emulator", "qemu", code="TC0601")
        assert "qemu-system-misc" in text

    @needs_emulator
    @pytest.mark.parametrize("script", ["echo broken >&2; exit 1", "echo gcc 1; kill -9 $$"])
    def test_a_compiler_that_fails(
        self, script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = tmp_path / "cc"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        text = self.refused(capsys, "--toolchain", str(command), code="TC0602")
        assert "cc" in text

    @needs_emulator
    def test_a_package_that_fails(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(name: str) -> None:
            raise ImportError("no lib")

        monkeypatch.setattr(unicorn_core, "import_module", refuse)
        assert "ImportError: no lib" in self.refused(capsys, code="TC0602")

    @needs_emulator
    @needs_qemu
    def test_an_emulator_that_fails(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = tmp_path / qemu_core.COMMAND
        command.write_text("#!/bin/sh\necho no such machine >&2\nexit 1\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        assert "no such machine" in self.refused(capsys, "--emulator", "qemu", code="TC0602")

    @needs_emulator
    @needs_qemu
    def test_qemu_that_does_not_end(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(qemu_core, "_PATIENCE", 0.01)
        arguments = [*BENCH, "--emulator", "qemu", "--max-instructions", "10"]
        assert main(arguments) == 4
        assert "--max-instructions" in capsys.readouterr().err
