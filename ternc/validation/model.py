"""The checks that need no samples: does the model compile, and does it fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ternc.diagnostics import CompileError
from ternc.validation.checks import Check, Stage, Verdict, held

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel

_FAMILIES = {"onnx": ("TC00",), "operators": ("TC0101", "TC0102", "TC0104", "TC0105")}


def refusals(error: CompileError) -> list[Check]:
    """The checks of a model that was refused, from the codes of its errors."""
    errors = [item for item in error.diagnostics if item.severity.value == "error"]
    checks = []
    for name, codes in _FAMILIES.items():
        hits = [item.message for item in errors if item.code.startswith(codes)]
        if hits:
            checks.append(Check(name, Verdict.FAILED, "; ".join(hits), stage=Stage.COMPILES))
    if not checks:
        checks.append(Check("compiles", Verdict.FAILED,
                            "; ".join(item.message for item in errors), stage=Stage.COMPILES))
    return checks


def compiles(compiled: CompiledModel) -> list[Check]:
    """The checks of a model that was compiled."""
    count = len(compiled.program.instructions)
    return [
        Check("onnx", Verdict.PASSED, "valid, with its repairs listed as warnings",
              stage=Stage.COMPILES),
        Check("operators", Verdict.PASSED, f"all supported, in {count} instructions",
              stage=Stage.COMPILES),
        Check("compiles", Verdict.PASSED, f"for {compiled.target.name}", stage=Stage.COMPILES),
    ]


def fits(compiled: CompiledModel, ram: int | None, flash: int | None) -> list[Check]:
    """Arena and flash against what the target, or the user, offers."""
    chip = compiled.target
    return [
        _fits("fits RAM", compiled.plan.arena_bytes, chip.sram_bytes if ram is None else ram),
        _fits("fits flash", compiled.flash_bytes, chip.flash_bytes if flash is None else flash),
    ]


def _fits(name: str, needed: int, available: int) -> Check:
    return Check(name, held(needed <= available), f"{needed:,} of {available:,} bytes", needed,
                 available, stage=Stage.FITS)
