"""Runs a program in QEMU; with -icount shift=0 its instruction counter is exact."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from ternc.emulation import memory
from ternc.emulation.classes import starts
from ternc.emulation.counts import Counts, Emulated, Run
from ternc.emulation.elf import Image
from ternc.emulation.errors import broken, failed, missing

COMMAND: Final = "qemu-system-riscv32"
_PATIENCE = 30.0  # seconds, to which comes the time that the instructions may take
_SLOWEST: Final = 5e6  # instructions a second
_AROUND_RUN: Final = 2  # the counter's own reading and the call, between the outer marks


def check_installed() -> str:
    """The emulator's path.

    Raises:
        ToolError: it is not installed.
    """
    found = shutil.which(COMMAND)
    if found is None:
        raise missing(f"the emulator {COMMAND!r}",
                      "Debian: qemu-system-misc; or leave --emulator out")
    return found


def version() -> str:
    """The emulator, for the basis of figures."""
    done = subprocess.run([check_installed(), "--version"], capture_output=True, text=True,
                          check=False)
    match = re.search(r"version (\S+)", done.stdout)
    return f"QEMU {match[1] if match else 'of unknown version'}"


def run(elf: bytes, image: Image, exchange: memory.Exchange, *, limit: int) -> Emulated:
    """Runs all samples of `exchange`.

    Raises:
        ToolError: QEMU is not installed, or does not work.
        EmulationError: the program trapped, or took longer than `limit` instructions can.
    """
    command = check_installed()
    with tempfile.TemporaryDirectory(prefix="ternc-") as name:
        folder = Path(name)
        (folder / "model.elf").write_bytes(elf)
        (folder / "exchange.bin").write_bytes(exchange.pack())
        try:
            done = subprocess.run([
                command, "-M", "virt", "-m", f"{memory.RAM_BYTES >> 20}M", "-bios", "none",
                "-display", "none", "-serial", "none", "-monitor", "none", "-icount", "shift=0",
                "-semihosting-config", "enable=on,target=native", "-kernel", "model.elf",
                "-device", f"loader,file=exchange.bin,addr={memory.EXCHANGE:#x},force-raw=on",
            ], cwd=folder, capture_output=True, text=True, check=False,
                timeout=_PATIENCE + limit / _SLOWEST, stdin=subprocess.DEVNULL)  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise failed(f"the program did not end within {error.timeout:.0f} seconds",
                         "a higher limit is --max-instructions N") from None
        result = folder / "result.bin"
        if done.returncode or not result.exists():
            raise broken(COMMAND, done.stderr or done.stdout)
        answer = exchange.unpack(result.read_bytes())
    if answer.status == memory.TRAPPED:
        at, cause = answer.trap
        raise failed(f"the program trapped {image.place(at)} (RISC-V cause {cause})")
    return Emulated(answer, tuple(_run_of(marks, _mark_length(image)) for marks in answer.marks))


def _mark_length(image: Image) -> int:
    """Instructions of the callback, which is straight."""
    harness = image.section(".harness")
    begin, end = (image.address(name) - harness.address for name in
                  ("ternc_mark", "ternc_mark_end"))
    return int(starts(harness.data[begin:end]).sum())


def _run_of(marks: tuple[int, ...], each: int) -> Run:
    """Counts from the values of the instruction counter, of which 32 bits are known."""
    *at, begin, end = marks
    between = [(after - before) % 2**32 for before, after in zip(
        [begin, *at], [*at, end], strict=True)]
    layers = tuple(Counts(n - each, {}) for n in between[1:-1])
    whole = sum(between) - _AROUND_RUN - each * len(at)
    return Run(layers, Counts(whole, {}))
