"""What a program costs: instructions per layer by a simple model, and the time they take.

Where the compiler chose a kernel, or generated code, its estimate for that very layer counts
(kernel_choice.py, native.py; tests/benchmarks/estimates.py compares it with what is counted). Else
an instruction of the program costs so many machine instructions for each multiply-accumulate,
element or window tap (`Unit`). The figures are for the plain C kernels, counted by
`tests/benchmarks/count_kernels.py`: riscv64-unknown-elf-gcc 12.2, -O2, and QEMU 7.2
with -icount shift=0, once for RV32IMC (software floating point) and once for RV32IMAFC. What that
script does not run is an estimate. Time is instructions x CPI / clock, where the CPI is an
estimate for code and weights in the cache, and the wait for weights and constants, each byte of
which is taken to come from flash once in a run (`flash.py`). No figure was measured on a chip.

Xtensa: integer kernels take `XTENSA` times RISC-V's instructions, as counted by
`tests/benchmarks/xtensa.py` with the compiler of the ESP8266's core, which lacks the upper half of
a product, sign extension and loops that the LX6 and LX7 have: an upper bound. Float kernels are
taken to need as many instructions as on RISC-V.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Final

from ternc.backends.esp32 import flash
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.kernel_forms import linked_kernel
from ternc.backends.esp32.program import Instruction, Program
from ternc.backends.esp32.targets import Target


class Unit(Enum):
    """What the cost of an instruction grows with."""

    MAC = "multiply-accumulate"
    ELEMENT = "output element"
    TAP = "window tap"
    INPUT = "input element"


@dataclass(frozen=True, slots=True)
class Cost:
    """Machine instructions per unit, without and with a floating-point unit, and per output."""

    unit: Unit
    soft: float
    hard: float
    measured: bool = True
    output: float = 0


CPI: Final[Mapping[str, float]] = MappingProxyType({
    "xtensa-lx6": 1.3, "xtensa-lx7": 1.2, "rv32imc": 1.2, "rv32imac": 1.2, "rv32imafc": 1.2,
})
XTENSA: Final[Mapping[str, float]] = MappingProxyType({
    "dense_i8_t2_lut": 1.08, "dense_i8_t2_lut5": 0.86, "dense_i8_t2_lut_short": 1.05,
    "dense_i8_t2_lut5_short": 0.84,
    "conv2d_i8_t2_lut": 3.55,
    "conv2d_i8_t2_taps": 3.22, "conv2d_i8_t2_lists": 4.3,
    "conv2d_i8_blocked": 1.87, "dense_i8_blocked": 1.76, "conv2d_i8_depthwise": 2.21,
    "lstm_i8_t2_lut": 1.60, "gru_i8_t2_lut": 1.64, "rnn_i8_t2_lut": 1.55, "lstm_i8": 1.60,
})
_XTENSA_INTEGER: Final = 1.8  # of integer kernels that were not counted
_PER_INSTRUCTION: Final = 200  # decoding, dispatch, arguments (estimate)


@dataclass(frozen=True, slots=True)
class Latency:
    """Machine instructions of each instruction, the time in all, and how they came about."""

    instructions: tuple[int, ...]
    milliseconds: float | None  # None for the host
    basis: str


def units(item: Instruction, unit: Unit) -> int:
    """How many of `unit` an instruction does."""
    if unit is Unit.MAC:
        return item.macs
    elements = sum(math.prod(tensor.shape) for tensor in item.writes)
    if unit is Unit.ELEMENT:
        return elements
    if unit is Unit.INPUT:
        return sum(math.prod(tensor.shape) for tensor in item.tensors(Kind.IN))
    taps = 1
    for name in ("kernel_h", "kernel_w"):
        value = item.operand(name)
        assert isinstance(value, int)
        taps *= value
    return elements * taps


def cost_of(name: str) -> Cost:
    """The cost of an instruction; that of its plain form for a variant that was not counted."""
    if name in COSTS:
        return COSTS[name]
    family, _, form = name.partition("_")
    if family in _RECURRENT:
        name = f"dense_{form}"
    plain = max((known for known in COSTS if name.startswith(known)), key=len, default="")
    return replace(COSTS[plain], measured=False) if plain else _UNKNOWN


def instructions(item: Instruction, target: Target) -> int:
    """Machine instructions of one instruction on one core."""
    cost = cost_of(_form(item))
    if item.instructions is not None:
        count = item.instructions
    else:
        count = units(item, cost.unit) * (cost.hard if target.fpu else cost.soft)
        count += units(item, Unit.ELEMENT) * cost.output
    if target.isa.startswith("xtensa"):
        count *= _xtensa(item.opcode.name)
    return _PER_INSTRUCTION + round(count)


def _form(item: Instruction) -> str:
    """The instruction's name in `COSTS`: one kernel serves int8 and ternary weights of int16.

    A smaller form of the kernel is taken to be linked where it takes this instruction.
    """
    name = item.opcode.name
    if name == "dense_i16" and item.weight_nonzeros is not None:
        return f"{name}.t2"
    form = linked_kernel(name, (item,))
    return form if form in COSTS else name


def _xtensa(name: str) -> float:
    """How many instructions of Xtensa one of RISC-V stands for."""
    return XTENSA.get(name, _XTENSA_INTEGER if "_i8" in name or "_i16" in name else 1.0)


def estimate(program: Program, target: Target) -> Latency:
    """The time of one run, on one core."""
    counts = tuple(instructions(item, target) for item in program.instructions)
    if target.isa not in CPI:
        return Latency(counts, None, "none: no cycle model for the host")
    cpi = CPI[target.isa]
    names = {item.opcode.name for item in program.instructions}
    guessed = sorted(name for name in names if not cost_of(name).measured)
    isa = "RV32IMAFC" if target.fpu else "RV32IMC"
    stalls = _flash_bytes(program) * flash.byte_seconds()
    basis = (f"estimate: instructions per MAC, tap or element counted on emulated {isa} x CPI "
             f"{cpi} (estimated) / {target.clock_hz // 1_000_000} MHz, one core, and "
             f"{1000 * stalls:.3g} ms of waiting for weights from flash ({flash.MODE})")
    if target.isa.startswith("xtensa"):
        basis += "; integer kernels times what the ESP8266's Xtensa core takes, an upper bound"
    if guessed:
        basis += f"; not counted but guessed: {', '.join(guessed)}"
    return Latency(counts, (sum(counts) * cpi / target.clock_hz + stalls) * 1000, basis)


def _flash_bytes(program: Program) -> int:
    """Constants that the program reads, those that layers share once, and generated code."""
    read = {id(t): t.nbytes for item in program.instructions for t in item.tensors(Kind.CONST)}
    return sum(read.values()) + sum(native.code_bytes for native in program.natives)


_RECURRENT: Final = ("lstm", "gru", "rnn")  # nearly all of their work is matrix products
_UNKNOWN: Final = Cost(Unit.ELEMENT, 100, 50, measured=False)
_M, _E, _T, _I = Unit.MAC, Unit.ELEMENT, Unit.TAP, Unit.INPUT

COSTS: Final[Mapping[str, Cost]] = MappingProxyType({
    "conv2d_f32": Cost(_M, 172, 5.19),
    "conv2d_f32_w8": Cost(_M, 212, 6.06),
    "conv2d_f32_t2": Cost(_M, 51.7, 12.6),
    "conv2d_i8": Cost(_M, 7.84, 7.84),
    "conv2d_i8_blocked": Cost(_M, 3.25, 3.25),
    "lines": Cost(_M, 0.36, 0.36),  # generated code, over three layers of tests/benchmarks
    "conv2d_i8_depthwise": Cost(_M, 6.1, 6.1),
    "conv2d_i8_t2": Cost(_M, 11.5, 11.5),
    "conv2d_i8_t2_lists": Cost(_M, 1.9, 1.9),
    "conv2d_i8_t2_lut": Cost(_M, 0.6, 0.6),
    "conv2d_i8_t2_taps": Cost(_M, 3.4, 3.4),
    "conv2d_i16": Cost(_M, 5.5, 5.5, output=100),
    "conv2d_i16_t2": Cost(_M, 9.3, 9.3, output=118),
    "conv2d_i8f": Cost(_M, 7.84, 7.84, measured=False),
    "conv2d_i8f_t2": Cost(_M, 11.5, 11.5, measured=False),
    "dense_f32": Cost(_M, 186, 4.86),
    "dense_f32_w8": Cost(_M, 230, 5.88),
    "dense_f32_t2": Cost(_M, 51.7, 13.1),
    "dense_i8": Cost(_M, 7.17, 7.17),
    "dense_i8_blocked": Cost(_M, 3.5, 3.5),
    "dense_i8_t2": Cost(_M, 9.33, 9.33),
    "dense_i8_t2_lut5": Cost(_M, 1.2, 1.2),
    "dense_i8_t2_lut5_short": Cost(_M, 1.2, 1.2),
    "dense_i8_t2_lut": Cost(_M, 1.3, 1.3),
    "dense_i8_t2_lut_short": Cost(_M, 1.3, 1.3),
    "dense_i16": Cost(_M, 5.19, 5.19),
    "dense_i16.t2": Cost(_M, 9.46, 9.46),  # with ternary weights
    "dense_i8f": Cost(_M, 7.17, 7.17, measured=False),
    "dense_i8f_t2": Cost(_M, 9.33, 9.33, measured=False),
    "lstm_f32": Cost(_M, 190, 6, measured=False),
    "lstm_f32_w8": Cost(_M, 230, 7, measured=False),
    "lstm_f32_t2": Cost(_M, 55, 14, measured=False),
    "lstm_i8": Cost(_M, 8.0, 8.0),
    "lstm_i8_blocked": Cost(_M, 4.54, 4.54),
    "lstm_i8_t2": Cost(_M, 21.6, 21.6),
    "lstm_i8_t2_lut": Cost(_M, 2.43, 2.43),
    "lstm_i8_mixed": Cost(_M, 9.0, 9.0),
    "lstm_i16_mixed": Cost(_M, 10.4, 10.4),
    "lstm_i16": Cost(_M, 8.11, 8.11),
    "lstm_i16_t2": Cost(_M, 12.8, 12.8),
    "gru_f32": Cost(_M, 190, 6, measured=False),
    "gru_f32_w8": Cost(_M, 230, 7, measured=False),
    "gru_f32_t2": Cost(_M, 55, 14, measured=False),
    "gru_i8": Cost(_M, 8, 8, measured=False),
    "gru_i8_blocked": Cost(_M, 4.68, 4.68),
    "gru_i8_t2": Cost(_M, 21.2, 21.2),
    "gru_i8_t2_lut": Cost(_M, 2.68, 2.68),
    "gru_i8_mixed": Cost(_M, 9.9, 9.9),
    "gru_i16_mixed": Cost(_M, 10.4, 10.4),
    "gru_i16": Cost(_M, 8.43, 8.43),
    "gru_i16_t2": Cost(_M, 13.1, 13.1),
    "rnn_f32": Cost(_M, 190, 6, measured=False),
    "rnn_f32_w8": Cost(_M, 230, 7, measured=False),
    "rnn_f32_t2": Cost(_M, 55, 14, measured=False),
    "rnn_i8": Cost(_M, 8, 8, measured=False),
    "rnn_i8_blocked": Cost(_M, 4.78, 4.78),
    "rnn_i8_t2": Cost(_M, 21.4, 21.4),
    "rnn_i8_t2_lut": Cost(_M, 3.37, 3.37),
    "rnn_i8_mixed": Cost(_M, 8.7, 8.7),
    "rnn_i16_mixed": Cost(_M, 10.2, 10.2),
    "rnn_i16": Cost(_M, 8.3, 8.3),
    "rnn_i16_t2": Cost(_M, 12.9, 12.9),
    "matmul_f32": Cost(_M, 203, 9.76),
    "matmul_i16": Cost(_M, 16.9, 16.9),
    "matmul_i8": Cost(_M, 8.2, 8.2),
    "binary_f32": Cost(_E, 159, 16.3),
    "add_i8": Cost(_E, 22.3, 22.3),
    "add_i16": Cost(_E, 51.3, 51.3),
    "mul_i16": Cost(_E, 40.3, 40.3),
    "div_i16": Cost(_E, 229, 229),
    "affine_i16": Cost(_E, 48.8, 48.8),
    "table_i16": Cost(_E, 35.1, 35.1),
    "mul_i8": Cost(_E, 41.3, 41.3),
    "div_i8": Cost(_E, 108, 108),
    "affine_f32": Cost(_E, 310, 18, measured=False),
    "affine_i8": Cost(_E, 46.2, 46.2),
    "prelu_i8": Cost(_E, 47.7, 47.7),
    "lut_i8": Cost(_E, 7.1, 7.1),
    "unary_f32": Cost(_E, 85.9, 11.1),
    "sigmoid_f32": Cost(_E, 2260, 89.6),
    "tanh_f32": Cost(_E, 2180, 95.1),
    "exp_f32": Cost(_E, 2060, 74.1),
    "log_f32": Cost(_E, 2000, 75, measured=False),
    "sqrt_f32": Cost(_E, 500, 60, measured=False),
    "erf_f32": Cost(_E, 2480, 97.2),
    "gelu_f32": Cost(_E, 2460, 86),
    "activation_f32": Cost(_E, 2580, 88.1),
    "threshold_f32": Cost(_E, 143, 12.2),
    "trigonometric_f32": Cost(_E, 1150, 129),
    "arc_f32": Cost(_E, 1540, 57.6),
    "cumsum": Cost(_E, 90.9, 20.4),
    "extremum": Cost(_E, 23.9, 23.9),
    "reduce_f32": Cost(_I, 86.4, 8.94),
    "hyperbolic_f32": Cost(_E, 3060, 125),
    "quantize_i8": Cost(_E, 465, 55.6),
    "dequantize_i8": Cost(_E, 160, 9.08),
    "convert_i16": Cost(_E, 451, 40.5),
    "cast": Cost(_E, 40, 12, measured=False),
    "maxpool_f32": Cost(_T, 32.7, 9.87),
    "maxpool_i8": Cost(_T, 12.3, 12.3),
    "maxpool_i16": Cost(_T, 9.11, 9.11),
    "avgpool_f32": Cost(_T, 139, 16.7),
    "avgpool_i16": Cost(_T, 22.6, 22.6),
    "avgpool_i8": Cost(_T, 6, 6, output=60),
    "avgpool_i8_global": Cost(_T, 4, 4, output=38),
    "softmax_f32": Cost(_E, 2360, 95.1),
    "softmax_i16": Cost(_E, 150, 150),
    "softmax_i8": Cost(_E, 80.4, 80.4),
    "layernorm_f32": Cost(_E, 964, 43.6),
    "layernorm_i16": Cost(_E, 84.4, 84.4),
    "layernorm_i8": Cost(_E, 73.1, 73.1),
    "argmax_f32": Cost(_I, 34.2, 11.4),
    "argmax_i16": Cost(_I, 8.58, 8.58),
    "argmax_i8": Cost(_I, 8.56, 8.56),
    "rescale": Cost(_E, 29.1, 29.1),
    "copy_nd": Cost(_E, 8.96, 8.96),
    "fill": Cost(_E, 4.03, 4.03),
    "gather": Cost(_E, 9.75, 9.75),
    "compare": Cost(_E, 80.4, 15.0),
    "where": Cost(_E, 11.1, 11.1),
    "resample_f32": Cost(_E, 365, 50.9),
    "topk": Cost(_I, 97, 42.1),
    "scatter_f32": Cost(_E, 38.8, 15.3),
})
