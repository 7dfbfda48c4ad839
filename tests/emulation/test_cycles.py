"""The cycle model: what each class, branch and miss adds, and what stands beside the time."""

from __future__ import annotations

import pytest

from ternc.backends.esp32.targets import TARGETS, target_named
from ternc.emulation import can_emulate, cycles
from ternc.emulation.classes import Kind
from ternc.emulation.counts import Counts, total

C3 = target_named("esp32c3")


def test_every_riscv_chip_has_a_model() -> None:
    assert set(cycles.MODELS) == {chip.name for chip in TARGETS if can_emulate(chip)}
    for name, model in cycles.MODELS.items():
        kinds = set(Kind) - {Kind.NONE}
        if not target_named(name).fpu:
            kinds -= {Kind.FLOAT, Kind.FLOAT_DIVIDE}
        assert set(model.costs) == kinds


@pytest.mark.parametrize(("counts", "wanted"), [
    (Counts(7, {Kind.ALU: 4, Kind.LOAD: 2, Kind.MULTIPLY: 1}), 7),
    (Counts(1, {Kind.DIVIDE: 1}), 33),
    (Counts(3, {Kind.BRANCH: 2, Kind.JUMP: 1}, taken=2), 7),
    (Counts(1, {Kind.ALU: 1}, code_misses=1, data_misses=2), 1 + 3 * (24 + 2 * 32) * 2),
    (Counts(10, {}), 12),
])
def test_cycles_of_an_esp32c3(counts: Counts, wanted: float) -> None:
    assert cycles.cycles(counts, C3) == pytest.approx(wanted)
    assert cycles.milliseconds(counts, C3) == pytest.approx(wanted / 160_000)


def test_basis_names_what_is_estimated() -> None:
    measured = cycles.basis(Counts(1, {Kind.ALU: 1}), C3)
    assert measured.startswith("measured instructions on emulated RV32IMC \N{MULTIPLICATION SIGN}")
    assert "cycle model" in measured
    assert "estimated" in measured
    assert "160 MHz" in measured
    assert "CPI 1.2 (estimated" in cycles.basis(Counts(1, {}), C3)
    assert "after the ESP32-C3" in cycles.basis(
        Counts(1, {Kind.ALU: 1}), target_named("esp32h2"))


def test_total() -> None:
    parts = (Counts(3, {Kind.ALU: 2, Kind.LOAD: 1}, 1, 2, 3), Counts(4, {Kind.ALU: 4}, 5, 6, 7))
    assert total(parts) == Counts(7, {Kind.ALU: 6, Kind.LOAD: 1}, 6, 8, 10)
