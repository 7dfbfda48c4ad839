"""C programs of tests that run on this machine, and on an emulated 64-bit Arm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def run_here(folder: Path, source: str, include: Path) -> str:
    """What the program prints; fails the test when it does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    return _run([str(_build(folder, source, include, [compiler]))])


def run_arm(folder: Path, source: str, include: Path) -> str:
    """The same, cross-compiled by zig (the emulator extra), run where there is an emulator."""
    ziglang = pytest.importorskip("ziglang")
    zig = Path(ziglang.__file__).with_name("zig")
    command = [str(zig), "cc", "-target", "aarch64-linux-musl", "-static"]
    program = _build(folder, source, include, command)
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("compiled; needs qemu-aarch64 to run (Debian: qemu-user)")
    return _run([emulator, str(program)])


def _build(folder: Path, text: str, include: Path, command: list[str]) -> Path:
    source, program = folder / "main.c", folder / "main"
    source.write_text(text, encoding="utf-8")
    subprocess.run([*command, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror",
                    f"-I{include}", str(source), "-o", str(program), "-lm"], check=True)
    return program


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout
