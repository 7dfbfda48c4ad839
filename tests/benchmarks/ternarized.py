"""Whole models with ternary weights on emulated RV32IMC, beside esp-tflite-micro with esp-nn.

    python -m tests.benchmarks.ternarized [size|default|speed ...]

The float models of MLPerf Tiny from ../shared/models, calibrated on inputs as they see them
(realistic.py) and made ternary; keyword spotting and ResNet8 keep their first and last layer int8.
The outputs of the emulated program are compared with the host's, byte for byte.

Flash is counted as theirs was: all code and constants that were linked (what the program needs of
libgcc and libc among them), the start-up code and harness of the emulated program included, and
the model. Theirs is of the smaller of their two builds (-Os, NDEBUG); ours is compiled with -O2.
"""

from __future__ import annotations

import sys

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.emulation import program, toolchain
from tests.benchmarks import emulate
from tests.benchmarks.realistic import samples
from tests.shared_models import MODELS

_SAMPLES = 16
# Model, whether the ends stay int8, and esp-tflite-micro's instructions, arena and flash (peers).
CASES = {
    "keyword spotting": (
        "mlperf_tiny_kws_ref_model_float32",
        True,
        25_825_408,
        22_780,
        145_778,
    ),
    "ResNet8": ("mlperf_tiny_pretrainedResnet", True, 96_412_505, 54_364, 186_534),
    "anomaly detection": ("mlperf_tiny_ad01_fp32", False, 2_454_270, 2_380, 320_736),
}


def compiled_case(model: str, ends_int8: bool, optimize: str) -> CompiledModel:
    """The model, calibrated and ternary."""
    path, data = MODELS / f"{model}.onnx", samples(model, _SAMPLES)
    keep = {}
    if ends_int8:
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


def main(arguments: list[str]) -> int:
    """Prints a row for each model and optimization."""
    if missing := emulate.missing_tools():
        print(missing, file=sys.stderr)
        return 2
    print("| model | -O | instructions | of theirs | arena B | of theirs | flash B | of theirs |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (model, ends, instructions, arena, flash) in CASES.items():
        for optimize in arguments or ["size", "default", "speed"]:
            compiled = compiled_case(model, ends, optimize)
            found = emulate.run(compiled)
            bytes_ = flash_bytes(compiled)
            print(f"| {name} | {optimize} | {found.instructions:,} | "
                  f"{found.instructions / instructions:.2f} | {compiled.plan.arena_bytes:,} | "
                  f"{compiled.plan.arena_bytes / arena:.2f} | {bytes_:,} | "
                  f"{bytes_ / flash:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
