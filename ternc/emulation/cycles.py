"""From counted instructions to time: a cycle model of the chips with RISC-V cores.

Cycles are the sum of each instruction class times its cost, a penalty for each branch or jump
taken, and the stalls for lines that the cache fetches from flash. The instructions, the branches
taken and, with the cache modelled as one that replaces the least recently used line, the misses
are counted in the emulator; what each costs is from the sources below or estimated, and no figure
was measured on a chip by this project.

Sources
    Espressif, ESP32-C3 datasheet, 3.1.5: read-only cache, 16 KB, 8 ways, blocks of 32 bytes.
    Espressif, ESP32-C3 technical reference manual, 1: four-stage pipeline, zero wait states for
        on-chip SRAM and cache.
    github.com/wled/WLED/issues/4206: on an ESP32-C3 at 160 MHz 127 M additions, 121 M
        multiplications and 4.63 M divisions a second, measured: a multiplication costs as much as
        an addition, a division 34.5 cycles with its share of the loop.
    Zephyr, soc/riscv/esp32c3/Kconfig.soc: flash at 80 MHz.
Estimates
    Two cycles for a taken branch (the pipeline's first two stages are fetched again); one for a
    load (its use in the very next instruction may stall for another); the wait for flash
    (`backends/esp32/flash.py`); caches of the other chips; floating point on the ESP32-P4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ternc.backends.esp32 import flash
from ternc.backends.esp32.cost import CPI
from ternc.backends.esp32.targets import Target
from ternc.emulation.classes import Kind
from ternc.emulation.counts import Cache, Counts


@dataclass(frozen=True, slots=True)
class CycleModel:
    """What a core's instructions cost; `verified` is false where only estimates are known."""

    costs: Mapping[Kind, float]
    taken: float
    cache: Cache
    verified: bool = False


_INTEGER: Final = MappingProxyType({
    Kind.ALU: 1.0, Kind.LOAD: 1.0, Kind.STORE: 1.0, Kind.MULTIPLY: 1.0, Kind.DIVIDE: 33.0,
    Kind.BRANCH: 1.0, Kind.JUMP: 1.0,
})
_FLOAT: Final = MappingProxyType({**_INTEGER, Kind.FLOAT: 1.0, Kind.FLOAT_DIVIDE: 20.0})

MODELS: Final[Mapping[str, CycleModel]] = MappingProxyType({
    "esp32c2": CycleModel(_INTEGER, 2, Cache(16 << 10, 8, 32)),
    "esp32c3": CycleModel(_INTEGER, 2, Cache(16 << 10, 8, 32), verified=True),
    "esp32c6": CycleModel(_INTEGER, 2, Cache(32 << 10, 4, 32)),
    "esp32h2": CycleModel(_INTEGER, 2, Cache(16 << 10, 4, 32)),
    "esp32p4": CycleModel(_FLOAT, 2, Cache(256 << 10, 8, 64)),
})


def cycles(counts: Counts, target: Target) -> float:
    """Cycles of one core for what was counted; by CPI alone where no classes were."""
    if not counts.kinds:
        return CPI[target.isa] * counts.instructions
    model = MODELS[target.name]
    core = sum(model.costs[kind] * count for kind, count in counts.kinds.items())
    line = flash.line_seconds(model.cache.line) * target.clock_hz
    misses = counts.code_misses + counts.data_misses
    return core + model.taken * counts.taken + line * misses


def milliseconds(counts: Counts, target: Target) -> float:
    """The time of what was counted, on one core at the target's clock."""
    return cycles(counts, target) / target.clock_hz * 1000


def basis(counts: Counts, target: Target) -> str:
    """What stands beside a latency from this model."""
    measured = (f"measured instructions on emulated {target.isa.upper()} "
                "\N{MULTIPLICATION SIGN} ")
    core = f"one core, {target.clock_hz // 1_000_000} MHz"
    if not counts.kinds:
        return f"{measured}CPI {CPI[target.isa]} (estimated; {core})"
    known = ("division, multiplication and cache geometry published, the rest estimated"
             if MODELS[target.name].verified else "estimated after the ESP32-C3's")
    return (f"{measured}cycle model ({known}; {core}, "
            f"flash by {flash.MODE})")
