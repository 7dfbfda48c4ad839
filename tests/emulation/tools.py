"""What the tests of emulation need, and models for them."""

from __future__ import annotations

import functools
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.emulation import qemu_core
from ternc.emulation.run import Feed
from tests.making import MODELS

GCC = "riscv64-unknown-elf-gcc"
_PACKAGES = [name for name in ("unicorn", "ziglang") if find_spec(name) is None]
needs_emulator = pytest.mark.skipif(
    bool(_PACKAGES), reason=f"needs {' and '.join(_PACKAGES)} (pip install 'ternc[emulator]')")
needs_qemu = pytest.mark.skipif(
    shutil.which(qemu_core.COMMAND) is None, reason="needs QEMU (Debian: qemu-system-misc)")
needs_gcc = pytest.mark.skipif(
    shutil.which(GCC) is None,
    reason="needs gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf")


@functools.cache
def gesture(precision: str = "int8", optimize: str = "default",
            target: str = "esp32c3") -> CompiledModel:
    """The gesture network; with its host runtime loaded, so that it may be shared."""
    data = MODELS / "gesture.npz" if precision == "int8" else None
    return compiler.compile(MODELS / "gesture_cnn.onnx", target, calibration_data=data,
                            optimize=optimize)  # type: ignore[arg-type]


def gestures(count: int) -> list[Feed]:
    """Samples for it."""
    with np.load(MODELS / "gesture.npz") as data:
        return [{"motion": sample[None]} for sample in data["motion"][:count]]
