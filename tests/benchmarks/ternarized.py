"""Whole models with ternary weights on emulated RV32IMC, beside esp-tflite-micro with esp-nn.

    python -m tests.benchmarks.ternarized [size|default|speed ...]

The float models of MLPerf Tiny from ../shared/models, calibrated on inputs as they see them
(realistic.py) and made ternary; keyword spotting and ResNet8 keep their first and last layer int8.
The outputs of the emulated program are compared with the host's, byte for byte. Fails where a
figure exceeds its limit (`Case.limits`).

Flash is counted as theirs was: all code and constants that were linked (what the program needs of
libgcc and libc among them), the start-up code and harness of the emulated program included, and
the model. Theirs is of the smaller of their two builds (-Os, NDEBUG); ours is compiled with -O2.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.emulation import program, toolchain
from tests.benchmarks import emulate
from tests.benchmarks.realistic import samples
from tests.shared_models import MODELS

_SAMPLES = 16
LEVELS = ("size", "default", "speed")


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and what esp-tflite-micro takes for it (peers), in instructions and bytes."""

    model: str
    ends_int8: bool
    instructions: int
    arena: int
    flash: int
    goal: int  # of instructions, without -O

    def limits(self, level: str) -> tuple[float, float, float]:
        """Instructions, arena and flash, all at once; -O speed has none."""
        if level == "speed":
            return math.inf, math.inf, math.inf
        if level == "size":
            return 0.5 * self.instructions, 0.8 * self.arena, self.flash / 4
        return self.goal, 1.5 * self.arena, self.flash / 4


CASES = {
    "keyword spotting": Case("mlperf_tiny_kws_ref_model_float32", True, 25_825_408, 22_780,
                             145_778, 3_500_000),
    "ResNet8": Case("mlperf_tiny_pretrainedResnet", True, 96_412_505, 54_364, 186_534, 8_000_000),
    "anomaly detection": Case("mlperf_tiny_ad01_fp32", False, 2_454_270, 2_380, 320_736,
                              400_000),
}


def compiled_case(case: Case, optimize: str) -> CompiledModel:
    """The model, calibrated and ternary."""
    path, data = MODELS / f"{case.model}.onnx", samples(case.model, _SAMPLES)
    keep = {}
    if case.ends_int8:
        plain = compiler.compile(path, "esp32c3", calibration_data=data, check_fit=False)
        layers = [item.layer for item in plain.program.instructions if item.macs]
        keep = dict.fromkeys((layers[0], layers[-1]), "int8")
    return compiler.compile(path, "esp32c3", calibration_data=data, check_fit=False, keep=keep,
                            ternarize="optimal", optimize=optimize)  # type: ignore[arg-type]


def flash_bytes(compiled: CompiledModel) -> int:
    """Code, constants and the model, as linked for the emulator."""
    built = program.of_compiled(compiled)
    image = toolchain.builder_for(emulate.COMPILER).image(built, compiled.target.isa)
    names = (".harness", ".text", ".rodata", ".data")
    return sum(image.section(name).size for name in names)


def measured(case: Case, level: str) -> tuple[int, int, int]:
    """Instructions of one run, arena and flash."""
    compiled = compiled_case(case, level)
    return (emulate.run(compiled).instructions, compiled.plan.arena_bytes, flash_bytes(compiled))


def main(arguments: list[str]) -> int:
    """Prints a row for each model and optimization; 1 where a limit is exceeded."""
    if missing := emulate.missing_tools():
        print(missing, file=sys.stderr)
        return 2
    exceeded = 0
    print("| model | -O | instructions | of theirs | arena B | of theirs | flash B | of theirs |")
    print("|---|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        for level in arguments or LEVELS:
            found = measured(case, level)
            theirs = case.instructions, case.arena, case.flash
            figures = (f"{ours:,} | {ours / other:.2f}"
                       for ours, other in zip(found, theirs, strict=True))
            print(f"| {name} | {level} |", " | ".join(figures), "|", flush=True)
            for what, ours, limit in zip(("instructions", "arena", "flash"), found,
                                         case.limits(level), strict=True):
                if ours > limit:
                    exceeded = 1
                    print(f"{name}, -O {level}: {what} {ours:,}, limit {limit:,.0f}",
                          file=sys.stderr)
    return exceeded


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
