"""Memory and time against what the target offers and the user allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ternc.report import duration, short
from ternc.validation.checks import Check, Stage, Verdict, held
from ternc.validation.limits import Limits

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.frontend import Source

MAIN_TASK_STACK: Final = 3584  # ESP-IDF, CONFIG_ESP_MAIN_TASK_STACK_SIZE by default


def fits(compiled: CompiledModel, ram: int | None, flash: int | None) -> list[Check]:
    """Arena and flash against what the target, or the user, offers."""
    chip, plan = compiled.target, compiled.plan
    peak = ", ".join(f"{short(name)} ({size:,} B)" for name, size in plan.peak_tensors[:4])
    have_ram = chip.sram_bytes if ram is None else ram
    have_flash = chip.flash_bytes if flash is None else flash
    note = (f"alive at the peak (step {plan.peak_step}): {peak}",)
    return [
        _fits("fits RAM", plan.arena_bytes, have_ram,
              note if plan.arena_bytes > have_ram else ()),
        _fits("fits flash", compiled.flash_bytes, have_flash, ()),
    ]


def _fits(name: str, needed: int, available: int, notes: tuple[str, ...]) -> Check:
    share = f" ({100 * needed / available:.1f} %)" if 0 < available < 1 << 40 else ""
    offered = f"of {available:,} bytes" if available < 1 << 40 else "bytes, without a limit"
    return Check(name, held(needed <= available), f"{needed:,} {offered}{share}", needed,
                 available, stage=Stage.FITS, notes=notes)


def with_changes(
    checks: list[Check], source: Source, compiled: CompiledModel, options: dict[str, Any]
) -> list[Check]:
    """The same checks, the last that failed with the changes that would make the model fit."""
    from ternc.fitting import changes_that_fit

    failed = [check for check in checks if check.failed]
    if not failed:
        return checks
    given = {name: value for name, value in options.items() if name not in ("observe", "progress")}
    changes = tuple(map(str, changes_that_fit(source, compiled, given)))
    last = replace(failed[-1], notes=(*failed[-1].notes, *changes))
    return [last if check is failed[-1] else check for check in checks]


def thresholds(compiled: CompiledModel, limits: Limits) -> list[Check]:
    """The user's own limits on memory."""
    checks = []
    for name, needed, limit in (("arena", compiled.plan.arena_bytes, limits.max_arena),
                                ("flash", compiled.flash_bytes, limits.max_flash)):
        if limit is not None:
            checks.append(Check(name, held(needed <= limit),
                                f"{needed:,} bytes, limit {limit:,}", needed, limit))
    return checks


def latency(compiled: CompiledModel, limits: Limits) -> Check:
    """The time of one run and its basis: measured instructions, or an estimate."""
    from ternc.report import latency_of

    time = latency_of(compiled)
    limit = limits.max_latency_ms
    if time.milliseconds is None:
        verdict = Verdict.INFORMATION if limit is None else Verdict.SKIPPED
        return Check("latency", verdict, time.basis, None, limit)
    said = "" if limit is None else f", limit {limit:g} ms"
    return Check("latency", held(limit is None or time.milliseconds <= limit,
                                 limited=limit is not None),
                 f"{duration(time.milliseconds)}{said}; {time.basis}", time.milliseconds, limit)


def stack(compiled: CompiledModel, limits: Limits) -> Check:
    """The deepest stack of one run, measured where the program was emulated."""
    limit = MAIN_TASK_STACK if limits.max_stack is None else limits.max_stack
    if compiled.emulation is None:
        return Check("stack", Verdict.SKIPPED, "not measured: it needs the emulator (--emulate)",
                     None, limit)
    measured = compiled.emulation.stack_bytes
    return Check("stack", held(measured <= limit),
                 f"{measured:,} of {limit:,} bytes of a task's stack", measured, limit,
                 stage=Stage.FITS)
