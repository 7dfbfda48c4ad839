"""The chips that ternc compiles for: one table, each figure with its source.

`sram_bytes` is what a program can hold in static data: the data RAM segment of ESP-IDF's linker
script, without Bluetooth. On every chip but the ESP32 that segment also holds the code that the
application places in RAM, and everywhere the radio stacks, task stacks and the application itself
need their share, so a model that nearly fills it will not run beside Wi-Fi: `--ram` sets what the
application can spare. Figures named in `unverified` are commonly known, but their source could not
be read while this table was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from ternc.diagnostics import Diagnostic, UsageError, did_you_mean

Isa = Literal["xtensa-lx6", "xtensa-lx7", "rv32imc", "rv32imac", "rv32imafc", "host"]

KIB: Final = 1024
MIB: Final = 1024 * KIB
MHZ: Final = 1_000_000
UNBOUNDED: Final = 1 << 40  # of the host: more than any model needs

_COMPARISON = "ESP-IDF, hw-reference/chip-series-comparison.rst"
_ABOUT = "ESP-IDF, docs/en/about.rst"
_PRODUCTS = "espressif.com, products/socs"
_ZEPHYR = "Zephyr, boards/espressif/common/soc-{}-features, after Espressif's datasheet"


@dataclass(frozen=True, slots=True)
class Target:
    """A chip; `sources` says where figures are from, `unverified` which could not be checked."""

    name: str
    isa: Isa
    cores: int
    clock_hz: int
    fpu: bool
    sram_bytes: int  # static data, as the module's docstring says
    flash_bytes: int  # of the common module
    psram_bytes: int  # of the common module that has it, 0 where the chip has none
    simd: str  # "" where there is none
    sources: Mapping[str, str] = field(default_factory=dict, hash=False)
    unverified: tuple[str, ...] = ()


def _linker(chip: str) -> str:
    return f"ESP-IDF, components/esp_system/ld/{chip}/memory.ld.in"


def _caps(chip: str) -> str:
    return f"ESP-IDF, components/soc/{chip}/include/soc/soc_caps.h"


def _sources(**figures: str) -> Mapping[str, str]:
    return MappingProxyType(figures)


TARGETS: Final[tuple[Target, ...]] = (
    Target(
        "esp32", "xtensa-lx6", 2, 240 * MHZ, True, 0x2C200, 4 * MIB, 4 * MIB, "",
        _sources(
            isa=_COMPARISON, cores=_COMPARISON, clock_hz=_COMPARISON, fpu=_caps("esp32"),
            sram_bytes=f"{_linker('esp32')}: dram0_0_seg; 320 KB of DRAM with the heap "
            "(ESP-IDF, memory-types: 160 KB at most are static)",
            flash_bytes=f"{_COMPARISON}: embedded flash 2 MB, 4 MB or none",
            psram_bytes=f"{_COMPARISON}: 4 MB addressed at a time", simd="none known",
        ), ("simd",),
    ),
    Target(
        "esp32s2", "xtensa-lx7", 1, 240 * MHZ, False, 0x2C000, 4 * MIB, 2 * MIB, "",
        _sources(
            isa=_COMPARISON, cores=_COMPARISON, clock_hz=_COMPARISON,
            fpu="Espressif's datasheet lists none",
            sram_bytes=f"{_linker('esp32s2')}: dram0_0_seg with caches of 8 KB and 8 KB",
            flash_bytes=f"{_COMPARISON}: embedded flash 2 MB, 4 MB or none",
            psram_bytes="ESP32-S2 datasheet 1.7: variant ESP32-S2FN4R2", simd="none known",
        ), ("fpu", "simd"),
    ),
    Target(
        "esp32s3", "xtensa-lx7", 2, 240 * MHZ, True, 0x53700, 8 * MIB, 8 * MIB, "PIE, 128 bit",
        _sources(
            isa=_COMPARISON, cores=_COMPARISON, clock_hz=_COMPARISON, fpu=_caps("esp32s3"),
            sram_bytes=f"{_linker('esp32s3')}: dram0_0_seg",
            flash_bytes=f"{_COMPARISON}: embedded flash 8 MB or none",
            psram_bytes=f"{_PRODUCTS}: variant ESP32-S3R8",
            simd=f"{_PRODUCTS}: vector instructions; their width from the manual",
        ), ("simd",),
    ),
    Target(
        "esp32c2", "rv32imc", 1, 120 * MHZ, False, 0x2EB70, 2 * MIB, 0, "",
        _sources(
            isa=_ABOUT, cores=_ABOUT, clock_hz=_ZEPHYR.format("esp32c2"),
            fpu=f"{_ABOUT}: RV32IMC has no F", sram_bytes=f"{_linker('esp32c2')}: dram0_0_seg",
            flash_bytes=f"{_ZEPHYR.format('esp32c2')}: 2 MB or 4 MB",
            psram_bytes="none known", simd=f"{_ABOUT}: RV32IMC",
        ), ("psram_bytes",),
    ),
    Target(
        "esp32c3", "rv32imc", 1, 160 * MHZ, False, 0x50000, 4 * MIB, 0, "",
        _sources(
            isa=_ABOUT, cores=_COMPARISON, clock_hz=_COMPARISON,
            fpu=f"{_ABOUT}: RV32IMC has no F", sram_bytes=f"{_linker('esp32c3')}: dram0_0_seg",
            flash_bytes=f"{_COMPARISON}: embedded flash 4 MB or none",
            psram_bytes=f"{_COMPARISON}: no external RAM", simd=f"{_ABOUT}: RV32IMC",
        ),
    ),
    Target(
        "esp32c6", "rv32imac", 1, 160 * MHZ, False, 0x6E610, 4 * MIB, 0, "",
        _sources(
            isa=_ABOUT, cores=_ABOUT, clock_hz="ESP32-C6 datasheet",
            fpu=f"{_ABOUT}: RV32IMAC has no F", sram_bytes=f"{_linker('esp32c6')}: sram_seg",
            flash_bytes="variant ESP32-C6FH4", psram_bytes="none known",
            simd=f"{_ABOUT}: RV32IMAC",
        ), ("clock_hz", "flash_bytes", "psram_bytes"),
    ),
    Target(
        "esp32h2", "rv32imac", 1, 96 * MHZ, False, 0x3EFD0, 2 * MIB, 0, "",
        _sources(
            isa=_ABOUT, cores=_ABOUT, clock_hz="Zephyr, boards/espressif/esp32h2_devkitm",
            fpu=f"{_ABOUT}: RV32IMAC has no F", sram_bytes=f"{_linker('esp32h2')}: sram_seg",
            flash_bytes="ESP32-H2 datasheet 1.1: variants ESP32-H2FH2S and FH4S",
            psram_bytes="none known", simd=f"{_ABOUT}: RV32IMAC",
        ), ("psram_bytes",),
    ),
    Target(
        "esp32p4", "rv32imafc", 2, 400 * MHZ, True, 0x6EFC0, 16 * MIB, 32 * MIB, "PIE, 128 bit",
        _sources(
            isa="ESP-IDF's toolchain flags", cores=f"{_PRODUCTS}: high-performance dual core",
            clock_hz="ESP-IDF, esp32p4/about", fpu=_caps("esp32p4"),
            sram_bytes=f"{_linker('esp32p4')}: sram_seg of revision 3 with 256 KB of L2 cache",
            flash_bytes=f"{_ZEPHYR.format('esp32p4')}: up to 16 MB",
            psram_bytes=f"{_PRODUCTS}: 16 MB or 32 MB in the package",
            simd=f"{_caps('esp32p4')}: SOC_CPU_HAS_PIE; its width from the manual",
        ), ("isa", "simd"),
    ),
    Target(
        "host", "host", 1, 0, True, UNBOUNDED, UNBOUNDED, 0, "",
        _sources(name="the machine that compiles: no limits, no latency"),
    ),
)

BY_NAME: Final[Mapping[str, Target]] = MappingProxyType({item.name: item for item in TARGETS})


def target_named(name: str) -> Target:
    """The target called `name`; "ESP32-C3" and "esp32c3" are the same.

    Raises:
        UsageError: there is none (TC0401).
    """
    plain = name.lower().replace("-", "").replace("_", "")
    if plain in BY_NAME:
        return BY_NAME[plain]
    raise UsageError((Diagnostic(
        "TC0401", f"unknown target {name!r}",
        help=f"{did_you_mean(plain, BY_NAME)}the targets are {', '.join(BY_NAME)}"),))
