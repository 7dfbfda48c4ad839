"""Counts the machine instructions of every kernel on emulated RISC-V: the figures in `cost.py`.

Needs riscv64-unknown-elf-gcc with picolibc and qemu-system-riscv32 (`emulate.PACKAGES`). Prints,
for each instruction of the runtime that the models below reach, machine instructions per unit of
work for RV32IMC and for RV32IMAFC, ready for the table in `backends/esp32/cost.py`:

    python -m tests.benchmarks.count_kernels
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import ternc
from ternc.backends.esp32 import cost
from ternc.compiled import CompiledModel
from tests.benchmarks.emulate import COMPILER, EMULATOR, SOURCES, missing_tools

ARCHITECTURES = {"soft": ("rv32imc", "ilp32"), "hard": ("rv32imafc", "ilp32f")}
Array = npt.NDArray[Any]
_RANDOM = np.random.default_rng(0)
FURTHER = ("Elu", "Softplus", "Mish", "Softsign", "Shrink", "Sin", "Cos", "Tan", "Atan", "Sinh",
           "Asinh")

_MAIN = """\
#include <stdio.h>
%(includes)s
static uint32_t marks[64];
static uint32_t now(void) { uint32_t n; __asm__ volatile("rdinstret %%0" : "=r"(n)); return n; }
static int mark(void *user, uint32_t i, uint32_t opcode) {
  (void)user; (void)opcode;
  marks[i] = now();
  return 0;
}
static float values[4096];
static void fill(ternc_model *model) {
  uint32_t i, j, k, seed = 1;
  for (i = 0; i < ternc_input_count(model); i++) {
    ternc_tensor tensor;
    uint32_t count = 1;
    ternc_input(model, i, &tensor);
    for (k = 0; k < tensor.rank; k++) count *= (uint32_t)tensor.dims[k];
    for (j = 0; j < count; j++) {
      seed = seed * 1664525u + 1013904223u;
      values[j] = (float)(int32_t)seed * (2.0f / 2147483648.0f);
    }
    ternc_set_input(model, i, values, count);
  }
}
static void report(const char *name, ternc_model *model, uint32_t n) {
  uint32_t i;
  fill(model);
  if (ternc_run_with(model, mark, NULL) != TERNC_OK) printf("%%s failed\\n", name);
  for (i = 0; i < n; i++)
    printf("%%s %%u %%u\\n", name, (unsigned)i, (unsigned)(marks[i + 1] - marks[i]));
}
int main(void) {
  ternc_model *model;
%(calls)s
  return 0;
}
"""


def weights(*shape: int) -> Array:
    scale = np.sqrt(np.prod(shape[1:]))
    return np.asarray(_RANDOM.standard_normal(shape) / scale, np.float32)


def ternary(*shape: int) -> Array:
    return (_RANDOM.choice([-1, 0, 0, 1], shape) * 0.25).astype(np.float32)


def model(
    op: str, shape: tuple[int, ...], *constants: Array, inputs: int = 1,
    byte_weights: bool = False, integer_output: bool = False, **attributes: Any,
) -> onnx.ModelProto:
    """One operator on `inputs` float inputs of `shape`, then on constants."""
    names = [f"x{i}" for i in range(inputs)]
    nodes, initializers = [], []
    operands = list(names)
    for i, constant in enumerate(constants):
        operands.append(f"c{i}")
        if byte_weights and i == 0:
            scale = np.abs(constant).max() / 127
            initializers += [
                numpy_helper.from_array(np.rint(constant / scale).astype(np.int8), "q"),
                numpy_helper.from_array(np.asarray(scale, np.float32), "scale"),
            ]
            nodes.append(helper.make_node("DequantizeLinear", ["q", "scale"], ["c0"]))
        else:
            initializers.append(numpy_helper.from_array(constant, f"c{i}"))
    nodes.append(helper.make_node(op, operands, ["y"], **attributes))
    kind = TensorProto.INT64 if integer_output else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, op, [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in names],
        [helper.make_tensor_value_info("y", kind, None)], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made)


def models() -> Iterator[onnx.ModelProto]:
    image, row, many, pads = (1, 16, 12, 12), (1, 256), (1, 1024), [1, 1, 1, 1]
    for kind in (weights, ternary):
        for byte_weights in (False, True)[: 1 if kind is ternary else 2]:
            yield model("Conv", image, kind(16, 16, 3, 3), byte_weights=byte_weights, pads=pads)
            yield model("Gemm", row, kind(64, 256), byte_weights=byte_weights, transB=1)
    yield model("MatMul", (4, 16, 16), inputs=2)
    for op in ("Add", "Mul", "Div"):
        yield model(op, many, inputs=2)
    yield model("Mul", (1, 16, 8, 8), weights(16, 1, 1))
    yield model("PRelu", (1, 16, 8, 8), weights(16, 1, 1))
    for op in ("LeakyRelu", "HardSwish", "Sigmoid", "Tanh", "Exp", "Erf", "Gelu", "Abs", *FURTHER):
        yield model(op, many)
    yield model("Max", many, inputs=2)
    yield model("CumSum", (8, 64), np.array(1))
    yield model("ReduceSum", (8, 64), np.array([1]))
    yield model("Softmax", (8, 64), axis=1)
    yield model("LayerNormalization", (8, 64), weights(64), weights(64), axis=1)
    yield model("ArgMax", (8, 64), axis=1, integer_output=True)
    for op in ("MaxPool", "AveragePool"):
        yield model(op, image, kernel_shape=[2, 2], strides=[2, 2])
    yield model("Slice", image, np.array([1, 1]), np.array([9, 9]), np.array([2, 3]))
    yield model("Pad", image, np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    yield model("Concat", many, inputs=2, axis=1)  # of other scales than the result's
    yield model("Gather", (64, 16), np.array([3, 1, 40, 7]), axis=0)


def compiled() -> list[CompiledModel]:
    """Every model in float32 and, where its weights allow, in int8 and int16."""
    out = []
    for i, item in enumerate(models()):
        feeds = {value.name: _RANDOM.standard_normal(
            (4, *(d.dim_value for d in value.type.tensor_type.shape.dim))).astype(np.float32)
            for value in item.graph.input}
        out.append(ternc.compile(item, "host", name=f"f{i}"))
        for io in ("auto", "float"):
            out.append(ternc.compile(item, "host", name=f"{io}{i}", calibration_data=feeds, io=io))
            out.append(ternc.compile(item, "host", name=f"{io}{i}w", calibration_data=feeds,
                                     activations="int16", io=io))
    return out


def count(items: list[CompiledModel], architecture: tuple[str, str]) -> dict[tuple[str, int], int]:
    """Machine instructions by (model's name, instruction number)."""
    with tempfile.TemporaryDirectory() as folder:
        for item in items:
            item.save(Path(folder) / f"{item.name}.h")
        calls = [
            f"  if ({item.name}_instance(&model) == TERNC_OK) report(\"{item.name}\", model, "
            f"{len(item.program.instructions)}u); else printf(\"{item.name} failed\\n\");"
            for item in items
        ]
        includes = [f'#include "{item.name}.h"' for item in items]
        source = Path(folder) / "main.c"
        source.write_text(_MAIN % {"includes": "\n".join(includes), "calls": "\n".join(calls)})
        program = Path(folder) / "count.elf"
        march, mabi = architecture
        flash = ["flash=0x80000000", "flash_size=4M", "ram=0x80400000", "ram_size=4M"]
        subprocess.run([
            COMPILER, "--specs=picolibc.specs", f"-march={march}",
            f"-mabi={mabi}", "-O2", "-ffp-contract=off", "--oslib=semihost", "--crt0=hosted",
            *(f"-Wl,--defsym=__{item}" for item in flash), f"-I{SOURCES}", f"-I{folder}",
            str(source), *map(str, sorted(SOURCES.glob("*.c"))),
            *map(str, sorted((SOURCES / "kernels").glob("*.c"))), "-o", str(program),
        ], check=True)
        done = subprocess.run([
            EMULATOR, "-M", "virt", "-bios", "none", "-nographic", "-icount",
            "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel", str(program),
        ], check=True, capture_output=True, text=True, timeout=300)
    counts = {}
    for line in (done.stdout + done.stderr).splitlines():
        assert "failed" not in line, line
        name, number, instructions = line.split()
        counts[name, int(number)] = int(instructions)
    return counts


def main() -> None:
    """Prints the table."""
    if missing := missing_tools():
        raise SystemExit(missing)
    items = compiled()
    results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for column, architecture in ARCHITECTURES.items():
        counts = count(items, architecture)
        for item in items:
            for number, step in enumerate(item.program.instructions):
                name = step.opcode.name
                unit = cost.COSTS[name].unit if name in cost.COSTS else cost.Unit.ELEMENT
                work = cost.units(step, unit)
                results[name][column].append(counts[item.name, number] / max(work, 1))
    for name, columns in sorted(results.items()):
        figures = ", ".join(f"{float(np.median(columns[c])):.3g}" for c in ("soft", "hard"))
        spread = max(columns["soft"]) / min(columns["soft"])
        print(f'    "{name}": {figures}  # {len(columns["soft"])} uses, spread {spread:.2f}')


if __name__ == "__main__":
    main()
