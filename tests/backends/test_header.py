"""The generated header compiles without a warning wherever it may be included, and is right."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ternc.backends.esp32.emit_header import c_float, c_string, emit_header
from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.kernel_forms import linked_kernels
from ternc.backends.esp32.program import Port, Program
from tests import programs

SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"
PROGRAMS = {
    "dense": programs.dense, "accumulator": programs.accumulator,
    "normalization": programs.normalization,
}
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]


@dataclass(frozen=True, slots=True)
class Compiler:
    """A compiler, its flags, and the Debian package that has it."""

    command: str
    flags: tuple[str, ...]
    package: str
    suffix: str = ".c"

    def require(self) -> None:
        if shutil.which(self.command) is None:
            pytest.skip(f"needs {self.command} (Debian package {self.package})")

    def compile(self, source: Path, *flags: str) -> None:
        command = [self.command, *self.flags, *STRICT, *flags, f"-I{SOURCES}", "-c", str(source)]
        done = subprocess.run(
            [*command, "-o", str(source.with_suffix(".o"))], capture_output=True, text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


COMPILERS = {
    "gcc": Compiler("gcc", ("-std=c99",), "gcc"),
    "clang": Compiler("clang", ("-std=c99",), "clang"),
    "g++": Compiler("g++", ("-std=c++17",), "g++", ".cpp"),
    "clang++": Compiler("clang++", ("-std=c++17",), "clang", ".cpp"),
    "riscv": Compiler(
        "riscv64-unknown-elf-gcc",
        ("-std=c99", "-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
        "gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf",
    ),
    "xtensa": Compiler(
        "xtensa-lx106-elf-gcc", ("-std=c99", "-ffreestanding"), "gcc-xtensa-lx106"),
}


def write(folder: Path, program: Program, symbol: str = "model") -> str:
    text = emit_header(program, encode(program), symbol=symbol, comment=["made by", "a test"])
    (folder / f"{symbol}.h").write_text(text, encoding="utf-8")
    return text


def user(program: Program, what: str) -> str:
    """A source file that includes the header and uses nothing, the short way or the long way."""
    body = {"nothing": "int unused_elsewhere(void);\n"}
    arrays = [f"in{i}" for i in range(len(program.inputs))]
    arrays += [f"out{i}" for i in range(len(program.outputs))]
    parameters = ", ".join(f"float *{name}" for name in arrays)
    body["run"] = (
        f"int answer({parameters});\n"
        f"int answer({parameters}) {{ return model_run({', '.join(arrays)}); }}\n"
    )
    slow = ", NULL, 0" if "normalization" in what else ""
    body["load"] = (
        "static uint8_t arena[MODEL_ARENA_BYTES] TERNC_ALIGNED;\n"
        "int answer(ternc_model *model);\n"
        "int answer(ternc_model *model) {\n"
        "  static const int32_t shape[] = MODEL_INPUT0_SHAPE;\n"
        f"  if (model_load(model, arena, sizeof arena{slow}) != TERNC_OK) return 1;\n"
        "  model_input0(model)[0] = (MODEL_INPUT0_TYPE)shape[MODEL_INPUT0_RANK - 1];\n"
        "  return model_output0(model)[0] > MODEL_OUTPUT0_SCALE + MODEL_OUTPUT0_ZERO_POINT;\n"
        "}\n"
    )
    return '#include "model.h"\n' + body[what.split()[0]]


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("model", PROGRAMS)
@pytest.mark.parametrize("what", ["nothing", "run", "load"])
def test_compiles_without_a_warning(tmp_path: Path, name: str, model: str, what: str) -> None:
    compiler = COMPILERS[name]
    compiler.require()
    program = PROGRAMS[model]()
    write(tmp_path, program)
    source = tmp_path / f"user{compiler.suffix}"
    source.write_text(user(program, f"{what} {model}"))
    for level in ("-O0", "-Os"):
        compiler.compile(source, level)


def test_two_models_in_one_file(tmp_path: Path) -> None:
    compiler = COMPILERS["gcc"]
    compiler.require()
    write(tmp_path, programs.dense(), "first")
    write(tmp_path, programs.accumulator(), "second")
    source = tmp_path / "user.c"
    source.write_text('#include "first.h"\n#include "second.h"\n#include "first.h"\n')
    compiler.compile(source)


DENSE_MAIN = """
#include "model.h"
#include <stdio.h>
int main(void) {
  const float x[MODEL_INPUT0_SIZE] = {1.5f, -2.25f, 0.0f, 3.0f, 1000.0f, -1.0f};
  float y[MODEL_OUTPUT0_SIZE];
  ternc_model *model;
  int again;
  for (again = 0; again < 2; again++) {
    const ternc_status status = model_run(x, y);
    if (status != TERNC_OK) return puts(ternc_message(status)), 1;
  }
  printf("%g %g %g\\n", (double)y[0], (double)y[1], (double)y[2]);
  if (model_instance(&model) != TERNC_OK || model_output0(model) == NULL) return 1;
  return model_load(model, NULL, 0) == TERNC_OK;
}
"""


def link(folder: Path, main: str, objects: list[Path], *flags: str) -> Path:
    source = folder / "main.c"
    source.write_text(main)
    out = folder / "main"
    command = ["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-ffunction-sections",
               "-fdata-sections", f"-I{SOURCES}", f"-I{folder}", str(source)]
    done = subprocess.run(
        [*command, *map(str, objects), "-Wl,--gc-sections", *flags, "-o", str(out)],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_runs(tmp_path: Path, runtime_objects: list[Path]) -> None:
    COMPILERS["gcc"].require()
    write(tmp_path, programs.dense())
    program = link(tmp_path, DENSE_MAIN, runtime_objects)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    x = np.array([1.5, -2.25, 0, 3, 1000, -1])
    q = np.clip(np.round(x / 0.5) - 3, -128, 127)
    y = np.clip(-np.clip(programs.WEIGHTS @ q, -128, 127), -128, 127)
    expected = (y - 4) * 0.25
    assert [float(value) for value in done.stdout.split()] == expected.tolist()


def test_only_the_kernels_used_are_linked(
    tmp_path: Path, runtime_objects: list[Path]
) -> None:
    COMPILERS["gcc"].require()
    write(tmp_path, programs.dense())
    listing = tmp_path / "main.map"
    link(tmp_path, DENSE_MAIN, runtime_objects, f"-Wl,-Map={listing}")
    placed = listing.read_text().partition("Linker script and memory map")[2]
    linked = set(re.findall(r"^ \.text\.run_(\w+)\s", placed, re.MULTILINE))
    pattern = r"^ \.(?:text|rodata|data\.rel\.ro)\.(\S+)\s*\n?\s+0x[0-9a-f]+\s+0x"
    sections = re.findall(pattern, placed, re.MULTILINE)
    assert any("dense_i8_t2" in name for name in sections)
    assert any("lut_i8" in name for name in sections)
    assert not [name for name in (*sections, *linked) if "conv2d" in name or "softmax" in name]


class TestText:
    def test_names_only_the_kernels_used(self) -> None:
        program = programs.dense()
        text = emit_header(program, encode(program), symbol="net")
        assert linked_kernels(program.instructions) == ("dense_i8_t2", "lut_i8")
        assert re.findall(r"&ternc_k_(\w+)", text) == ["dense_i8_t2", "lut_i8"]

    def test_macros(self) -> None:
        program = programs.dense()
        text = emit_header(program, encode(program), symbol="net")
        for line in (
            "#define NET_ARENA_BYTES 48u", "#define NET_SCRATCH_BYTES 48u",
            "#define NET_STATE_BYTES 0u", '#define NET_INPUT0_NAME "pixels"',
            "#define NET_INPUT0_SIZE 6u", "#define NET_INPUT0_SHAPE {1, 6}",
            "#define NET_INPUT0_SCALE 0.5f", "#define NET_INPUT0_ZERO_POINT (-3)",
            "#define NET_INPUT0_TYPE int8_t", "#define NET_OUTPUT0_ZERO_POINT 4",
        ):
            assert f"{line}\n" in text

    def test_blob_words(self) -> None:
        program = programs.dense()
        blob = encode(program)
        words = re.findall(r"0x([0-9a-f]{8})u", emit_header(program, blob, symbol="net"))
        assert b"".join(int(word, 16).to_bytes(4, "little") for word in words) == blob

    def test_same_text_twice(self) -> None:
        texts = {write_text() for _ in range(2)}
        assert len(texts) == 1

    def test_comment_cannot_end_early(self) -> None:
        program = programs.dense()
        text = emit_header(
            program, encode(program), symbol="net", comment=["a */ int x; /*", "b\nc ??/"])
        block = text[: text.index("#ifndef")]
        assert block.count("*/") == 1
        assert block.startswith("/* a * / int x; / *\n * b\n * c ? ?/\n */")

    @pytest.mark.parametrize("symbol", ["", "1x", "a-b", "a b", "é"])
    def test_symbol_must_be_an_identifier(self, symbol: str) -> None:
        program = programs.dense()
        with pytest.raises(ValueError, match="identifier"):
            emit_header(program, encode(program), symbol=symbol)

    def test_strange_port_name(self, tmp_path: Path) -> None:
        COMPILERS["gcc"].require()
        program = programs.dense()
        port = program.inputs[0]
        program.inputs[0] = Port('a"b\\c??/\nü1', port.tensor, port.shape, port.onnx_type)
        write(tmp_path, program)
        source = tmp_path / "user.c"
        source.write_text('#include "model.h"\nextern const char name[];\n'
                          "const char name[] = MODEL_INPUT0_NAME;\n")
        COMPILERS["gcc"].compile(source)


def write_text() -> str:
    program = programs.dense()
    return emit_header(program, encode(program), symbol="net")


class TestLiterals:
    @pytest.mark.parametrize("value", [0.0, 1.0, -2.0, 0.1, 1e-30, 3.4028235e38, 1 / 3, 123456789])
    def test_float_round_trips(self, value: float) -> None:
        text = c_float(value)
        assert text.endswith("f")
        assert "." in text or "e" in text
        assert np.float32(text[:-1]) == np.float32(value)

    def test_string(self) -> None:
        assert c_string('a"?\\') == '"a\\042\\077\\134"'
        assert c_string("é1") == '"\\303\\2511"'
