"""int16 programs in C: headers compile strictly, and RV32 gives the host's bytes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ternc.compiled import CompiledModel
from ternc.compiler import compile as compile_model
from tests.agreement import instructions
from tests.backends.test_header import COMPILERS, link
from tests.benchmarks.emulate import COMPILER, SOURCES, count, missing_tools
from tests.golden.operators import operators, samples
from tests.recurrent_graphs import Layer
from tests.shared_models import MODELS, feeds, needs_models
from tests.test_int16 import samples as noise
from tests.test_int16 import small

pytest.importorskip("ternc._engine", reason="the C runtime is not built: pip install -e .")


def every_instruction() -> CompiledModel:
    """A program with most of the int16 instructions."""
    proto = operators()
    return compile_model(
        proto, "esp32c3", calibration_data=samples(proto), activations="int16")


def test_the_model_of_all_operators_runs_in_int16() -> None:
    used = set(instructions(every_instruction()))
    assert {name for name in used if name.endswith(("_f32", "_i8"))} == set()
    assert {"conv2d_i16", "conv2d_i16_t2", "dense_i16", "matmul_i16", "add_i16", "mul_i16",
            "div_i16", "affine_i16", "table_i16", "maxpool_i16", "avgpool_i16", "softmax_i16",
            "layernorm_i16", "argmax_i16"} <= used


@pytest.mark.parametrize("name", ["gcc", "g++", "riscv"])
def test_header_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    compiler = COMPILERS[name]
    compiler.require()
    compiled = every_instruction()
    compiled.save(tmp_path / "model.h")
    source = tmp_path / f"user{compiler.suffix}"
    source.write_text(
        '#include "model.h"\n'
        "int answer(ternc_model *model);\n"
        "int answer(ternc_model *model) {\n"
        "  int16_t *x = model_input0(model);\n"
        "  x[0] = (int16_t)(0.5f / MODEL_INPUT0_SCALE);\n"
        "  return model_output0(model) == NULL ? 0 : x[0];\n}\n")
    compiler.compile(source, "-Os")


RUN = """
#include "model.h"
#include <stdio.h>
int main(void) {
  static float x[MODEL_INPUT0_SIZE], y[MODEL_OUTPUT0_SIZE];
  unsigned i;
  for (i = 0; i < MODEL_INPUT0_SIZE; i++) x[i] = ((float)(i % 7u) - 3.0f) * 0.3125f;
  if (model_run(x, y) != TERNC_OK) return 1;
  for (i = 0; i < MODEL_OUTPUT0_SIZE; i++) printf("%.9g\\n", (double)y[i]);
  return 0;
}
"""


def test_the_short_way_takes_and_gives_floats(
    tmp_path: Path, runtime_objects: list[Path]
) -> None:
    """model_run quantizes its input to int16 and dequantizes its output."""
    COMPILERS["gcc"].require()
    proto = small()
    compiled = compile_model(
        proto, "host", calibration_data=noise(proto), activations="int16", name="model")
    compiled.save(tmp_path / "model.h")
    done = subprocess.run(
        [link(tmp_path, RUN, runtime_objects)], capture_output=True, text=True, check=True)
    x = ((np.arange(3 * 8 * 8) % 7 - 3) * 0.3125).astype(np.float32).reshape(1, 3, 8, 8)
    wanted = compiled.run({"x": x})["y"].reshape(-1)
    got = np.array([float(line) for line in done.stdout.split()], np.float32)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "present")
def test_rv32_gives_the_bytes_of_the_host() -> None:
    assert count(every_instruction()).stack_bytes <= 1024  # it compares them


@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "present")
def test_kernels_call_no_float_routine(tmp_path: Path) -> None:
    """Without an FPU, arithmetic in float32 would call __addsf3 of libgcc and its like."""
    kernels = sorted((SOURCES / "kernels").glob("*_i16*.c"))
    assert {"lstm_i16", "gru_i16_t2", "conv2d_i16", "table_i16", "convert_i16"} <= {
        kernel.stem for kernel in kernels}
    done = subprocess.run(
        [COMPILER, "--specs=picolibc.specs", "-march=rv32imc", "-mabi=ilp32", "-Os", "-c",
         *kernels],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    floats = set()
    for kernel in kernels:
        names = subprocess.run(
            [COMPILER.replace("gcc", "nm"), "-u", f"{kernel.stem}.o"], cwd=tmp_path,
            capture_output=True, text=True, check=True).stdout
        if re.search(r"__\w+[sd]f[23]?\b|__\w+[sd]f[sd]i\b", names):
            floats.add(kernel.stem)
    assert floats == {"convert_i16"}  # which is there for floats


@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "present")
@pytest.mark.parametrize("weights", ["float", "mixed"])
@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_give_the_bytes_of_the_host(op_type: str, weights: str) -> None:
    layer = Layer(op_type, "bidirectional", steps=3, weights=weights)
    compiled = compile_model(
        layer.model(), "esp32c3", calibration_data=[layer.feeds(seed) for seed in range(4)],
        activations="int16")
    assert compiled.float_instructions() == 0
    names = [item.opcode.name for item in compiled.program.instructions]
    assert (f"{op_type.lower()}_i16_mixed" in names) == (weights == "mixed")
    assert count(compiled).instructions > 0


@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "present")
@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_mixed_rows_give_the_bytes_of_the_host(op_type: str) -> None:
    layer = Layer(op_type, "bidirectional", steps=3, weights="mixed")
    compiled = compile_model(
        layer.model(), "esp32c3", calibration_data=[layer.feeds(seed) for seed in range(4)])
    names = [item.opcode.name for item in compiled.program.instructions]
    assert f"{op_type.lower()}_i8_mixed" in names
    assert count(compiled).instructions > 0


@needs_models
@pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "present")
def test_a_keyword_model_gives_the_bytes_of_the_host() -> None:
    import onnx

    path = MODELS / "mlperf_tiny_kws_ref_model_float32.onnx"
    data, _ = feeds(path, onnx.load(path))
    compiled = compile_model(path, "esp32c3", calibration_data=data, activations="int16")
    assert compiled.float_instructions() == 0
    assert count(compiled).instructions > 0
