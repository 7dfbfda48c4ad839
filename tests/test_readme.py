"""README.md is true: its tables are fresh, and its commands, programs and answers work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import ternc
from tests.readme import MODELS, README, ROOT, filled

TEXT = README.read_text(encoding="utf-8")
TABLE = TEXT.partition("## Coming from BitNeural32 or BitCore")[2].partition("\n## ")[0]
COMMANDS = ("first command", "second command")  # .ci/run runs the second


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: the comment in front of it, its language, its text."""

    note: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.language}-line{self.line}"


def blocks(text: str) -> list[Block]:
    pattern = r"(?:<!-- ([^\n]*) -->\n)?```(\w*)\n(.*?)```\n"
    return [Block(m[1] or "", m[2], m[3], text[: m.start()].count("\n") + 1)
            for m in re.finditer(pattern, text, re.DOTALL)]


BLOCKS = blocks(TEXT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader of the README has: the repository, a model, samples, and the first header."""
    for name in ("runtime_c", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(MODELS / "gesture_cnn.onnx", tmp_path / "model.onnx")
    shutil.copy(MODELS / "gesture.npz", tmp_path / "samples.npz")
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("ternc", " -m ternc.cli"), ("python", "")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    # what pytest can import, the examples can
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    monkeypatch.chdir(tmp_path)
    ternc.compile("model.onnx", "esp32c3", calibration_data="samples.npz").save("model.h")
    header()
    return tmp_path


def header() -> None:
    """gesture_cnn.h, as the README's first command writes it."""
    ternc.compile(MODELS / "gesture_cnn.onnx", "esp32c3",
                  calibration_data=MODELS / "gesture.npz").save("gesture_cnn.h")


def run(command: str) -> str:
    done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tables_are_fresh() -> None:
    """If not: python -m tests.readme --write."""
    assert filled(TEXT) == TEXT


def test_set_up_is_two_commands() -> None:
    for note in COMMANDS:
        (block,) = [block for block in BLOCKS if block.note == note]
        assert block.text.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_first_command() -> None:
    """What it does after installing."""
    (block,) = [block for block in BLOCKS if block.note == "first command"]
    os.remove("gesture_cnn.h")
    (command,) = re.findall(r"\.venv/bin/(ternc .*)", block.text)
    report = run(command)
    assert "arena" in report
    assert "conv2d_i8_t2" in report
    written = Path("gesture_cnn.h").read_text(encoding="utf-8")
    header()
    assert Path("gesture_cnn.h").read_text(encoding="utf-8") == written


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "sh" and b.note not in COMMANDS], ids=str)
@pytest.mark.usefixtures("folder")
def test_commands(block: Block) -> None:
    text = block.text
    if block.note == "needs emulator":
        if find_spec("unicorn") is None or find_spec("ziglang") is None:
            pytest.skip("needs unicorn and ziglang (pip install 'ternc[emulator]')")
        first, _, text = text.partition("\n")  # installs into the environment that runs this
        assert first == "python -m pip install '.[emulator]'"
    if "cc " in text:
        (program,) = [b for b in BLOCKS if b.language == "c"]
        Path("main.c").write_text(program.text, encoding="utf-8")
    out = run(text)
    if "cc " in text:
        scores = [float(line.split()[-1]) for line in out.splitlines()]
        model = ternc.compile("model.onnx", calibration_data="samples.npz")
        zeros = np.zeros((1, 3, 64), np.float32)
        np.testing.assert_allclose(scores, model.run(zeros)["scores"][0], atol=1e-5)
    if "_runtime_c" in text:
        assert Path(out.strip(), "src", "ternc.h").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
@pytest.mark.usefixtures("folder")
def test_python(block: Block) -> None:
    if block.note.startswith("needs "):
        for module in block.note.removeprefix("needs ").split():
            if find_spec(module) is None:
                pytest.skip(f"needs {module} (pip install 'ternc[torch]', or 'ternc[keras]' "
                            "tensorflow)")
    Path("example.py").write_text(block.text, encoding="utf-8")
    run("python example.py")


def test_every_block_is_run() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "c", "yaml"}
    assert sum(block.language == "c" for block in BLOCKS) == 1


def rows() -> list[tuple[str, str]]:
    """(there, here) of the table for those who come from the older systems."""
    found = re.findall(r"^\| `([^`]+)` \| (.*) \|$", TABLE, re.MULTILINE)
    return [(there, here) for there, here in found]


def test_older_systems_are_covered() -> None:
    names = {re.split(r"\W", there)[0] for there, _ in rows()}
    assert names == {
        "BitNeuralCompiler", "compile_model", "save_c_header", "get_compilation_report",
        "export_model", "quantize_weights_ternary", "pack_weights_2bit", "LAYER_COMPILER_MAP",
        "bn_init", "bn_run_inference", "bn_run_inference_protected", "bn_set_ram_limit",
        "bn_set_board_type", "bn_register_custom_layer", "BN_ACTIVATION_MODE", "BitLinear",
        "from_linear", "deploy", "QUANTIZERS"}


C_AROUND = """\
#include "gesture_cnn.h"
static int callback(void *user, uint32_t instruction, uint32_t opcode) {{
  (void)opcode;
  *(uint32_t *)user = instruction;
  return 0;
}}
int main(void) {{
  static uint8_t arena[GESTURE_CNN_ARENA_BYTES] TERNC_ALIGNED;
  static ternc_model model;
  static float input[GESTURE_CNN_INPUT0_SIZE], output[GESTURE_CNN_OUTPUT0_SIZE];
  static uint32_t count, *user = &count;
  ternc_status status = gesture_cnn_load(&model, arena, sizeof arena);
  (void)callback, (void)user, (void)input, (void)output;
  if (status != TERNC_OK) return 1;
  status = {line}
  return status != TERNC_OK;
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("here", [pytest.param(here, id=there) for there, here in rows()])
@pytest.mark.usefixtures("folder")
def test_line_for_the_older_system(here: str, request: pytest.FixtureRequest) -> None:
    if here.startswith("not yet"):
        return
    (code, *_) = re.findall(r"^`([^`]+)`", here)
    if code.startswith("ternc "):
        run(code)
    elif code.endswith(";"):
        Path("main.c").write_text(C_AROUND.format(line=code), encoding="utf-8")
        library = request.getfixturevalue("runtime_library")
        run(f"cc -std=c99 -Iruntime_c/src main.c {library} -o main && ./main")
    else:
        names = {"ternc": ternc, "compiled": ternc.compile("model.onnx"),
                 "weights": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
        if "ternc.qat.torch" in code:
            torch = pytest.importorskip("torch", reason="needs torch (pip install 'ternc[torch]')")
            from ternc.qat.torch import BitLinear

            names |= {"linear": torch.nn.Linear(16, 4),
                      "model": torch.nn.Sequential(BitLinear(16, 4))}
        eval(code, names)


RUNTIME_TEXT = (ROOT / "runtime_c" / "README.md").read_text(encoding="utf-8")
RUNTIME_AROUND = """\
#include <stdio.h>
#include "model.h"
{includes}
#define fill(data, count) for (size_t i = 0; i < (count); i++) (data)[i] = 0
#define use(data, count) printf("%d %u", (int)(data)[0], (unsigned)(count))
static uint8_t scratch[MODEL_ARENA_BYTES] TERNC_ALIGNED, state[16] TERNC_ALIGNED;
int main(void) {{
  const void *blob = model_blob;
  size_t size = sizeof model_blob;
  (void)blob, (void)size, (void)scratch, (void)state;
  {{
{body}
  return status != TERNC_OK;
  }}
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [b for b in blocks(RUNTIME_TEXT) if b.language == "c"], ids=str)
@pytest.mark.usefixtures("folder")
def test_runtime_readme(block: Block, runtime_library: Path) -> None:
    """Its fragments of C, each in a program of its own."""
    lines = block.text.splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    body = "\n".join(line for line in lines if line not in includes)
    program = RUNTIME_AROUND.format(includes="\n".join(includes), body=body)
    Path("main.c").write_text(program, encoding="utf-8")
    run(f"cc -std=c99 -Iruntime_c/src main.c {runtime_library} -o main && ./main")


def test_runtime_readme_knows_every_status() -> None:
    declared = (ROOT / "runtime_c" / "src" / "ternc.h").read_text(encoding="utf-8")
    statuses = re.findall(r"TERNC_E(_[A-Z]+) =", declared)
    table = RUNTIME_TEXT.partition("## Statuses")[2]
    named = {name.removeprefix("TERNC_E") for name in re.findall(r"`(\w+)`", table)}
    assert set(statuses) <= named


def test_one_version() -> None:
    for name in ("CITATION.cff", "CHANGELOG.md"):
        assert re.search(rf"(version: |^## ){re.escape(ternc.__version__)}\b",
                         (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), name


def test_links_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_workflow_validates(folder: Path) -> None:
    """The commands of the GitHub Actions snippet run, and write what it uploads."""
    (workflow,) = [block for block in BLOCKS if block.note == "workflow"]
    commands = re.findall(r"- run: (ternc .*)", workflow.text)
    assert len(commands) == 1
    subprocess.run(commands[0], shell=True, check=True, cwd=folder, capture_output=True)
    for name in re.findall(r"^ {12}(\S+)$", workflow.text, re.MULTILINE):
        assert (folder / name).stat().st_size > 0
