"""Faults in the C kernels themselves: the runtime is built anew with each, and validation sees it.

What is spoiled are single lines of the kernels' sources: a rounding, a table index, a tap.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import RUNTIME, built_once
from tests.validation.faults import validated

ENGINE = Path(__file__).resolve().parents[2] / "ternc" / "_engine.c"
FLAGS = ["-std=c99", "-O1", "-fPIC", "-ffp-contract=off", "-DPy_LIMITED_API=0x030B0000",
         f"-I{sysconfig.get_path('include')}"]


@dataclass(frozen=True, slots=True)
class KernelFault:
    """`old` becomes `new` in `file`, and `kernel` is compiled again."""

    name: str
    check: str
    file: str
    old: str
    new: str
    kernel: str


FAULTS = [
    KernelFault("a mean that truncates", "rounding", "avgpool.h", "args->c,",
                "args->c - (int32_t)(1u << (args->shift - 1)),", "avgpool_i8"),
    KernelFault("a softmax that truncates", "rounding", "softmax_i8.c",
                "quotient((scaled >> 15) + sum, sum << 1, shift)",
                "quotient(scaled >> 15, sum << 1, shift)",
                "softmax_i8"),
    KernelFault("a sum that rounds twice", "rounding", "add_i8.c",
                "(int32_t)sum >> args->shift",
                "((int32_t)sum + (1 << (args->shift - 1))) >> args->shift", "add_i8"),
    KernelFault("a maximum of at least zero", "layer by layer", "maxpool_i8.c", "LOWEST -128",
                "LOWEST 0", "maxpool_i8"),
    KernelFault("a table read one too far", "layer by layer", "lut_i8.c", "table[x[begin]]",
                "table[(uint8_t)(x[begin] + 4)]", "lut_i8"),
    KernelFault("a tap of the wrong row", "layer by layer", "conv2d_i8_depthwise.c",
                "sum += v0 * w6 + v1 * w7", "sum += v0 * w6 + v1 * w4", "conv2d_i8_depthwise"),
    KernelFault("a convolution that truncates", "rounding", "conv2d_i8_depthwise.c",
                "(uint32_t)sum, m, c, shift, lo, hi",
                "(uint32_t)sum, m, c - (int32_t)(1u << (shift - 1)), shift, lo, hi",
                "conv2d_i8_depthwise"),
    KernelFault("padding with zero", "layer by layer", "conv2d_i8_depthwise.c",
                "plane[at] = (int8_t)a.x_zero", "plane[at] = 0", "conv2d_i8_depthwise"),
    # The layer alone is so small that it takes the plain kernel, which is right.
    KernelFault("the last inputs left out", "layers chained", "block4.h",
                "for (; x != row + n; x++, w += 4) TERNC_STEP_1(0)", "w += 4 * (row + n - x);",
                "dense_i8_blocked"),
    KernelFault("a clamp that is missing", "layer by layer", "fast.h",
                "return y < lo ? lo : hi;", "return y;", "conv2d_i8_tiles"),
]


def _compiled(folder: Path, sources: list[Path], include: Path) -> None:
    subprocess.run(["cc", *FLAGS, f"-I{include}", "-c", *map(str, sources)], cwd=folder,
                   check=True, capture_output=True)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's object files, without faults."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc)")
    with built_once(tmp_path_factory, "engine_objects") as (folder, missing):
        if missing:
            _compiled(folder, [ENGINE, *sorted(RUNTIME.rglob("*.c"))], RUNTIME)
    return folder


def _engine(objects: Path, folder: Path, fault: KernelFault | None) -> ModuleType:
    """The extension with a fault; `folder` receives its sources."""
    shutil.copytree(objects, folder / "objects")
    if fault is not None:
        shutil.copytree(RUNTIME, folder / "src")
        spoiled = folder / "src" / "kernels" / fault.file
        text = spoiled.read_text()
        assert text.count(fault.old) >= 1, f"{fault.file} no longer holds {fault.old!r}"
        spoiled.write_text(text.replace(fault.old, fault.new))
        _compiled(folder / "objects", [folder / "src" / "kernels" / f"{fault.kernel}.c"],
                  folder / "src")
    library = folder / "_engine.abi3.so"
    subprocess.run(["cc", "-shared", "-o", str(library),
                    *map(str, sorted((folder / "objects").glob("*.o")))], check=True)
    loader = importlib.machinery.ExtensionFileLoader("ternc._engine", str(library))
    spec = importlib.util.spec_from_file_location("ternc._engine", library, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_caught(
    fault: KernelFault, objects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ternc._engine", _engine(objects, tmp_path, fault))
    report = validated()
    failed = [check.name for check in report.checks if check.failed]
    assert fault.check in failed, failed


@pytest.mark.slow
def test_the_same_runtime_without_a_fault_passes(
    objects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ternc._engine", _engine(objects, tmp_path, None))
    assert validated().passed
