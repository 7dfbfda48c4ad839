"""A model on the emulated target: the host's bytes, and what is counted on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ternc import compiler, loaded
from ternc.backends.esp32.program import Region
from ternc.compiled import CompiledModel
from ternc.diagnostics import UsageError
from ternc.emulation import memory
from ternc.emulation.errors import EmulationError
from ternc.emulation.program import START, DeviceProgram, of_compiled
from ternc.emulation.run import emulate, host_bytes
from tests.emulation.tools import gesture, gestures, needs_emulator, needs_qemu
from tests.making import MODELS

pytestmark = needs_emulator


@pytest.mark.parametrize("optimize", ["default", "speed"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_same_bytes_as_on_the_host(precision: str, optimize: str) -> None:
    compiled, feeds = gesture(precision, optimize), gestures(3)
    found = emulate(compiled, feeds)
    assert found.outputs == host_bytes(compiled, feeds)
    assert len({bytes(outputs[0]) for outputs in found.outputs}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("target", ["esp32c6", "esp32p4"])
def test_other_cores(target: str) -> None:
    compiled = gesture("float32", target=target)
    found = emulate(compiled, gestures(1))
    assert found.outputs == host_bytes(compiled, gestures(1))
    kinds = found.to_dict()["classes"]
    assert ("float" in kinds) == (target == "esp32p4")
    assert f"{compiled.target.isa.removeprefix('rv32i')[-1]}" in found.basis


def test_figures() -> None:
    compiled = gesture("int8")
    found = emulate(compiled, gestures(2))
    items = compiled.program.instructions
    assert [layer.name for layer, _ in found.layers] == [item.layer for item in items]
    assert found.macs == sum(item.macs for item in items) == compiled.report()["macs"]
    within = sum(counts.instructions for _, counts in found.layers)
    assert within < found.instructions < within + 1000
    assert found.instructions == sum(found.whole.kinds.values())
    for _, counts in found.layers:
        assert counts.instructions == sum(counts.kinds.values())
    assert 100 < found.stack_bytes < 4096
    assert found.arena_bytes == compiled.plan.arena_bytes
    assert 0 < found.arena_used_bytes <= found.arena_bytes
    assert found.flash.weights + found.flash.program == len(compiled.blob)
    assert 5_000 < found.flash.kernels < 50_000


def test_counts_are_the_same_every_time() -> None:
    compiled, feeds = gesture("int8"), gestures(1)
    first, second = emulate(compiled, feeds), emulate(compiled, feeds * 2)
    assert first.layers[1:] == tuple(
        (layer, replace(counts, code_misses=first.layers[i][1].code_misses,
                        data_misses=first.layers[i][1].data_misses))
        for i, (layer, counts) in enumerate(second.layers))[1:]
    assert first.instructions == second.instructions


def test_the_slowest_sample_is_shown() -> None:
    compiled, feeds = gesture("int8"), gestures(4)
    each = [emulate(compiled, [feed]).instructions for feed in feeds]
    assert emulate(compiled, feeds).instructions == max(each) > min(each)


def test_report_has_the_measured_figures() -> None:
    compiled = compiler.compile(MODELS / "gesture_cnn.onnx", "esp32c3",
                                calibration_data=MODELS / "gesture.npz")
    before, header = compiled.report(), compiled.header()
    assert before["kernel_bytes"] is None
    assert before["latency_ms"]["basis"].startswith("estimate")
    found = emulate(compiled, gestures(1))
    after = compiled.report()
    assert after["latency_ms"] == {"value": found.latency_ms, "basis": found.latency_basis}
    assert after["latency_ms"]["basis"].startswith(
        "measured instructions on emulated RV32IMC \N{MULTIPLICATION SIGN} cycle model")
    assert after["kernel_bytes"] == found.flash.kernels
    assert compiled.header() == header
    assert [layer["instructions"] for layer in after["layers"]] == [
        counts.instructions for _, counts in found.layers]


def test_another_target_leaves_the_report_alone() -> None:
    compiled = compiler.compile(MODELS / "digits_mlp.onnx", "esp32c3")
    feed = {port.name: np.zeros(port.shape, np.float32) for port in compiled.program.inputs}
    assert emulate(compiled, [feed], "esp32c6").target.name == "esp32c6"
    assert compiled.emulation is None


def test_a_saved_program(tmp_path: Path) -> None:
    compiled = gesture("int8")
    compiled.save(tmp_path / "gesture.tern")
    model = loaded.load(tmp_path / "gesture.tern")
    found = emulate(model, gestures(1), "esp32c3")
    reference = emulate(compiled, gestures(1))
    assert found.outputs == reference.outputs == host_bytes(model, gestures(1))
    assert found.macs is None
    assert [layer.name for layer, _ in found.layers] == [
        layer.name for layer, _ in reference.layers]
    assert [counts.instructions for _, counts in found.layers[1:]] == [
        counts.instructions for _, counts in reference.layers[1:]]


def test_state_is_kept_from_sample_to_sample() -> None:
    compiled = compiler.compile(MODELS / "sequence_gru.onnx", "esp32c3", stateful=True)
    port = compiled.program.inputs[0]
    sample = np.random.default_rng(0).standard_normal(port.shape).astype(np.float32)
    found = emulate(compiled, [{port.name: sample}] * 3)
    assert found.outputs == host_bytes(compiled, [{port.name: sample}] * 3)
    assert len(set(found.outputs)) == 3


def test_a_chip_without_a_riscv_core() -> None:
    with pytest.raises(UsageError) as caught:
        emulate(gesture("int8"), gestures(1), "esp32s3")
    (item,) = caught.value.diagnostics
    assert item.code == "TC0604"
    assert "estimate" in item.help
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_program_that_runs_away(limit: int) -> None:
    with pytest.raises(EmulationError, match=f"stopped after {limit:,} instructions") as caught:
        emulate(gesture("float32"), gestures(1), max_instructions=limit)
    assert "--max-instructions" in caught.value.diagnostics[0].help
    assert caught.value.exit_code == 4


class TestBrokenPrograms:
    """Start-up code with a fault stands for a kernel with one."""

    def start(self, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
        assert START.count(old) == 1
        monkeypatch.setattr("ternc.emulation.toolchain.START", START.replace(old, new))

    def run(self, **options: Any) -> str:
        with pytest.raises(EmulationError) as caught:
            emulate(gesture("int8"), gestures(1), **options)
        return caught.value.diagnostics[0].message

    @pytest.mark.parametrize("place", [
        0x40, memory.FLASH, memory.STACK - 4, memory.DATA + memory.DATA_BYTES, None])
    def test_a_write_outside_its_memory(
        self, place: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None stands for the first byte behind the arena."""
        if place is None:
            place = memory.ARENA + memory.pages(of_compiled(gesture("int8")).fast_bytes)
        self.start(monkeypatch, "  li a0, 0\n", f"  li a0, {place:#x}\n  sw a0, 0(a0)\n")
        message = self.run()
        assert "ternc_mark" in message
        assert "write" in message.lower()

    def test_a_jump_to_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start(monkeypatch, "  li a0, 0\n", f"  li t0, {memory.ARENA:#x}\n  jr t0\n")
        assert f"0x{memory.ARENA:08x}" in self.run()

    @needs_qemu
    def test_a_trap_in_qemu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start(monkeypatch, "  li a0, 0\n", "  .4byte 0xffffffff\n")
        assert self.run(emulator="qemu") .startswith("the program trapped in ternc_mark (0x800000")

    def test_a_status(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def without_memory(compiled: CompiledModel) -> DeviceProgram:
            made = of_compiled(compiled)
            size = f"SCRATCH_BYTES {made.scratch_bytes}u"
            assert size in made.header
            return replace(made, header=made.header.replace(size, "SCRATCH_BYTES 16u"))

        monkeypatch.setattr("ternc.emulation.run.of_compiled", without_memory)
        assert self.run() == ("the emulated runtime answered status -11 at sample 1: "
                              "too little memory")


def test_more_memory_than_any_chip_has() -> None:
    compiled = compiler.compile(MODELS / "digits_mlp.onnx", "esp32c3")
    compiled.program.region_bytes[Region.SCRATCH] = 32 << 20
    feed = {port.name: np.zeros(port.shape, np.float32) for port in compiled.program.inputs}
    with pytest.raises(EmulationError, match="arena takes 33,554,432 bytes"):
        emulate(compiled, [feed])
