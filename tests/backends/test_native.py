"""-O speed: the header with generated code gives the plain program's bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ternc import compiler
from ternc.backends.esp32.emit_header import emit_header
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.lower import lower
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.memory_plan import plan_memory
from ternc.backends.esp32.native import add_native_code
from ternc.diagnostics import Diagnostics

SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"
_MAIN = """
#include <stdio.h>
#include "model.h"
static unsigned char arena[MODEL_ARENA_BYTES] TERNC_ALIGNED;
int main(void) {
  ternc_model model;
  ternc_tensor t;
  ternc_status status = model_load(&model, arena, sizeof arena);
  if (status != TERNC_OK) { fputs(ternc_message(status), stderr); return 1; }
  ternc_input(&model, 0, &t);
  while (fread(t.data, 1, t.size, stdin) == t.size) {
    if (ternc_run(&model) != TERNC_OK) return 2;
    ternc_output(&model, 0, &t);
    fwrite(t.data, 1, t.size, stdout);
    ternc_input(&model, 0, &t);
  }
  return 0;
}
"""


def quantized_conv(shape: tuple[int, ...], out: int, kernel: tuple[int, ...], zeros: float = 0.5,
                   **attributes: Any) -> onnx.ModelProto:
    """int8 in, ternary convolution with a scale per channel, int8 out."""
    generator = np.random.default_rng(7)
    side = (1 - zeros) / 2
    codes = generator.choice([-1, 0, 1], p=[side, zeros, side], size=(out, shape[1], *kernel))
    scales = generator.uniform(0.5, 2.0, out).astype(np.float32)
    constants = {
        "w": codes.astype(np.int8), "ws": scales, "xs": np.float32(0.05), "xz": np.int8(-7),
        "b": generator.normal(0, 1, out).astype(np.float32),
        "ys": np.float32(0.05 * np.sqrt(codes[0].size)), "yz": np.int8(3),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xr"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wr"], axis=0),
        helper.make_node("Conv", ["xr", "wr", "b"], ["c"], name="conv", **attributes),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "ys", "yz"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "conv", [helper.make_tensor_value_info("x", TensorProto.INT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT8, None)],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


CASES = {
    "3x3": ((1, 5, 9, 7), 20, (3, 3), {"pads": [1, 1, 1, 1]}),
    "strided": ((1, 4, 13, 12), 16, (3, 3), {"strides": [2, 2], "pads": [0, 1, 2, 0]}),
    "dilated": ((1, 3, 12, 11), 7, (3, 2), {"dilations": [2, 3]}),
    "pointwise": ((1, 12, 9, 5), 33, (1, 1), {}),
    "one column": ((1, 6, 40, 1), 16, (5, 1), {"pads": [2, 0, 2, 0]}),
    "conv1d": ((1, 8, 49), 24, (5,), {"pads": [3, 1]}),
    "one channel": ((1, 1, 100), 32, (5,), {}),
    "small window": ((2, 2, 13, 9), 20, (2, 2), {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    "few channels": ((1, 6, 9, 7), 13, (1, 1), {}),
    "batch": ((2, 3, 8, 8), 5, (3, 3), {"pads": [1, 1, 1, 1]}),
    "lanes overflow": ((1, 64, 6, 8), 17, (3, 3), {"pads": [1, 1, 1, 1]}),
}


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1 << 20, 9000])
@pytest.mark.parametrize("name", CASES)
def test_same_bytes(name: str, limit: int, tmp_path: Path) -> None:
    """Any geometry, whole or in strips, extreme and random activations."""
    shape, out, kernel, attributes = CASES[name]
    zeros = 0.05 if name == "lanes overflow" else 0.5
    model = quantized_conv(shape, out, kernel, zeros, **attributes)
    compiled = compiler.compile(model, "host", check_fit=False)
    program, _ = lower(compiled.model, Diagnostics())
    add_native_code(program, "model", lambda _: Room(limit))
    if limit > 9000 or program.natives:
        assert len(program.natives) == 1
    plan_memory(program)
    header = emit_header(program, encode(program), symbol="model", comment=["a test"])
    (tmp_path / "model.h").write_text(header, encoding="utf-8")
    (tmp_path / "main.c").write_text(_MAIN, encoding="utf-8")
    sources = [str(path) for path in SOURCES.rglob("*.c")]
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror",
             "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(
        [
            "cc",
            *flags,
            f"-I{SOURCES}",
            str(tmp_path / "main.c"),
            *_needed(program, sources),
            "-o",
            str(tmp_path / "main"),
        ],
        check=True,
    )
    generator = np.random.default_rng(1)
    inputs = [np.full(shape, -128), np.full(shape, 127), generator.choice([-128, 127], shape),
              generator.integers(-128, 128, shape)]
    data = b"".join(each.astype(np.int8).tobytes() for each in inputs)
    done = subprocess.run([str(tmp_path / "main")], input=data, capture_output=True, check=True)
    expected = b"".join(compiled.run(each.astype(np.int8))["y"].tobytes() for each in inputs)
    assert done.stdout == expected


def _needed(program: object, sources: list[str]) -> list[str]:
    """The runtime without the kernels that the program does not use."""
    from ternc.backends.esp32.program import Program

    assert isinstance(program, Program)
    used = {item.opcode.name for item in program.instructions}
    return [s for s in sources if ("/kernels/" not in s and not s.endswith("ternc_all.c"))
            or Path(s).stem in used]


def test_code_and_blob_are_bound_by_a_hash(tmp_path: Path) -> None:
    """Other weights make another revision, so that a foreign blob is refused."""
    revisions = set()
    for zeros in (0.5, 0.4):
        compiled = compiler.compile(quantized_conv((1, 4, 8, 8), 8, (3, 3), zeros), "host")
        program, _ = lower(compiled.model, Diagnostics())
        add_native_code(program, "model", lambda _: Room(1 << 20))
        revisions.add(program.natives[0].opcode.revision)
    assert len(revisions) == 2
