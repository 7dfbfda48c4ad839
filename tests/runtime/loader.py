"""The loader in a process of its own, built with sanitizers; see load_harness.c."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import IO

import pytest

_HERE = Path(__file__).resolve().parent
SOURCES = _HERE.parents[1] / "runtime_c" / "src"

OK = 0
VERSION, ALIGNMENT, TRUNCATED, CRC, SECTION = -3, -4, -5, -6, -7
MAGIC, OPCODE, KERNEL, OPERAND, REGION = -2, -8, -9, -10, -11
NOT_RUN = 1
TOO_LARGE = 2


class Flags(IntFlag):
    """What to do wrong when loading."""

    NONE = 0
    SMALL_REGION = 1
    SHIFT_BLOB = 2
    SHIFT_REGION = 4
    SHORT_SIZE = 8
    NO_REGION = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What happened to one blob."""

    load: int
    failed_code: int
    run: int


def build(folder: Path) -> Path:
    """Compiles the harness; skips the test where there is no compiler."""
    compiler = shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler (Debian packages clang, gcc)")
    program = folder / "loader"
    sources = [*sorted(SOURCES.glob("*.c")), *sorted(SOURCES.glob("kernels/*.c"))]
    command = [
        compiler, "-std=c99", "-g", "-O1", "-ffp-contract=off", "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all", f"-I{SOURCES}", str(_HERE / "load_harness.c"),
        *map(str, sources), "-o", str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


class Loader:
    """A running harness; a crash is an assertion with the sanitizer's report."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def load(self, blob: bytes, *, omit: int = 0, flags: Flags = Flags.NONE) -> Answer:
        """Loads a blob and, when that succeeds, runs it."""
        stdin = self._pipe(self.process.stdin)
        stdin.write(struct.pack("<III", len(blob), omit, flags) + blob)
        stdin.flush()
        answer = self._pipe(self.process.stdout).read(12)
        assert len(answer) == 12, self._pipe(self.process.stderr).read().decode()
        return Answer(*struct.unpack("<iIi", answer))

    def close(self) -> None:
        """Ends the harness; leaks are reported at its exit."""
        _, errors = self.process.communicate()
        assert self.process.returncode == 0, errors.decode()
