"""What an emulation found, in figures that name their origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ternc.backends.esp32.targets import Target
from ternc.emulation import cycles
from ternc.emulation.counts import Counts
from ternc.emulation.program import Layer


@dataclass(frozen=True, slots=True)
class Flash:
    """Bytes of flash: constants of the model, the rest of its blob, and code with its tables.

    The code is what was linked of the runtime, generated code, and of the compiler's library
    (floats in software, memcpy).
    """

    weights: int
    program: int
    kernels: int


@dataclass(frozen=True, slots=True)
class EmulationResult:
    """Answers and exact counts of a model on the emulated target.

    `instructions` and `layers` are of the sample that took the most. `outputs` has, for each
    sample, the bytes of each output as the chip holds them.
    """

    target: Target
    basis: str  # compiler, version, flags, emulator
    outputs: tuple[tuple[bytes, ...], ...]
    layers: tuple[tuple[Layer, Counts], ...]
    whole: Counts
    stack_bytes: int
    arena_bytes: int  # what load demands
    arena_used_bytes: int  # up to the last byte that was written to
    slow_bytes: int
    flash: Flash

    @property
    def instructions(self) -> int:
        """Of one inference, the callbacks' own left out."""
        return self.whole.instructions

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference; None where only the blob is known."""
        counts = [layer.macs for layer, _ in self.layers]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def latency_ms(self) -> float:
        """By the cycle model; where the emulator counts no classes, by an estimated CPI."""
        return cycles.milliseconds(self.whole, self.target)

    @property
    def latency_basis(self) -> str:
        """What stands beside that time."""
        return f"{cycles.basis(self.whole, self.target)}; {self.basis}"

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data: what `ternc bench --json` prints."""
        return {
            "target": self.target.name, "instructions": self.instructions, "macs": self.macs,
            "stack_bytes": self.stack_bytes, "arena_bytes": self.arena_bytes,
            "arena_used_bytes": self.arena_used_bytes,
            "flash": {"weights": self.flash.weights, "program": self.flash.program,
                      "kernels": self.flash.kernels},
            "latency_ms": {"value": self.latency_ms, "basis": self.latency_basis},
            "classes": _by_name(self.whole), "taken": self.whole.taken,
            "cache_misses": {"code": self.whole.code_misses, "data": self.whole.data_misses},
            "layers": [
                {"name": layer.name, "op": layer.op, "macs": layer.macs,
                 "instructions": counts.instructions, "scratch_bytes": layer.scratch_bytes}
                for layer, counts in self.layers],
            "basis": self.basis,
        }


def _by_name(counts: Counts) -> dict[str, int]:
    return {kind.name.lower(): count for kind, count in counts.kinds.items()}
