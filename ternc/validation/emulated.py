"""The program on the emulated target: the same bytes as on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ternc.diagnostics import UsageError
from ternc.validation.checks import Check, Verdict, held
from ternc.validation.evidence import Evidence, device_feed

if TYPE_CHECKING:
    from ternc.compiled import CompiledModel
    from ternc.emulation import EmulatorName

SAMPLES: Final = 4  # at most: a float model takes seconds for each


@dataclass(frozen=True, slots=True)
class Emulation:
    """How to emulate; None is the default of `ternc.emulation.emulate`."""

    toolchain: str | None
    emulator: EmulatorName
    max_instructions: int | None


def emulated(compiled: CompiledModel, seen: Evidence, how: Emulation | None) -> list[Check]:
    """Whether the target's core computes what this machine does; nothing unless asked for.

    Raises:
        ToolError: a compiler or emulator is missing (TC0601) or does not work (TC0602).
    """
    from ternc import emulation

    if how is None:
        return []
    feeds = [device_feed(compiled, feed) for feed in seen.feeds[:SAMPLES]]
    try:
        found = emulation.emulate(
            compiled, feeds, toolchain=how.toolchain, emulator=how.emulator,
            max_instructions=how.max_instructions or emulation.MAX_INSTRUCTIONS)
    except UsageError as error:  # no RISC-V core
        return [Check("emulated", Verdict.SKIPPED, error.diagnostics[0].message,
                      notes=(error.diagnostics[0].help,))]
    except emulation.EmulationError as error:
        return [Check("emulated", Verdict.FAILED, error.diagnostics[0].message,
                      notes=(error.diagnostics[0].help,))]
    names = [port.name for port in compiled.program.outputs]
    wrong = [f"output {name!r} of sample {sample + 1}: {_different(ours, theirs):,} of "
             f"{len(theirs):,} bytes"
             for sample, (emulated_bytes, host_bytes) in enumerate(zip(
                 found.outputs, emulation.host_bytes(compiled, feeds), strict=True))
             for name, ours, theirs in zip(names, emulated_bytes, host_bytes, strict=True)
             if ours != theirs]
    detail = (f"{'the same bytes as on this machine' if not wrong else 'other bytes'} in "
              f"{len(feeds)} samples, {found.instructions:,} instructions; {found.basis}")
    return [Check("emulated", held(not wrong), detail, found.instructions, notes=tuple(wrong[:5]))]


def _different(ours: bytes, theirs: bytes) -> int:
    return sum(a != b for a, b in zip(ours, theirs, strict=True))
