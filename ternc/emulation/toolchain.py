"""Cross compilers for RISC-V: clang of the ziglang package, or a gcc by name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ternc.emulation.elf import Image, read_elf
from ternc.emulation.errors import broken, missing
from ternc.emulation.program import MAIN, START, DeviceProgram, linker_script

ISAS: Final = ("rv32imc", "rv32imac", "rv32imafc")
OPTIMIZATION: Final = ("-O2", "-ffp-contract=off")
_COMMON: Final = ("-std=c99", *OPTIMIZATION, "-ffunction-sections", "-fdata-sections")
_PATIENCE: Final = 600  # seconds for one call of a compiler
_PROBE: Final = """\
void *memcpy(void *, const void *, __SIZE_TYPE__);
float probe(float x, float *to, const float *from, unsigned n) {
  memcpy(to, from, n);
  return x * x;
}
"""
INSTALL: Final = "pip install 'ternc[emulator]'"


def runtime_sources() -> Path:
    """The folder of ternc.h, in the installed package or in a checkout without links."""
    installed = Path(str(files("ternc"))) / "_runtime_c"
    found = installed if installed.is_dir() else Path(__file__).parents[2] / "runtime_c"
    return found / "src"


@dataclass(frozen=True)
class Compiler:
    """A C compiler that links for bare-metal RISC-V."""

    command: tuple[str, ...]
    zig: bool

    @cached_property
    def version(self) -> str:
        """Name and version, for the basis of figures."""
        if not self.zig:
            line = self._output([*self.command, "--version"]).splitlines()[0]
            return re.sub(r" \(.*\)", "", line)
        zig = self._output([*self.command[:-1], "version"]).strip()
        match = re.search(r"clang version (\S+)", self._output([*self.command, "--version"]))
        return f"clang {match[1] if match else ''} of ziglang {zig}"

    def flags(self, isa: str) -> tuple[str, ...]:
        """What decides about the code that is made."""
        abi = "ilp32f" if "f" in isa.removeprefix("rv32") else "ilp32"
        if self.zig:
            features = "+".join(isa.removeprefix("rv32i"))
            return ("-target", "riscv32-freestanding-none", f"-mcpu=generic_rv32+{features}",
                    f"-mabi={abi}", *_COMMON)
        machine = (f"-march={isa}", f"-mabi={abi}")
        return (*_library(self, machine), *machine, *_COMMON)

    def basis(self, isa: str) -> str:
        """The compiler as figures name it."""
        shown = [flag for flag in self.flags(isa) if not flag.startswith(("-f", "-std"))]
        return f"{self.version}, {' '.join(shown)} {OPTIMIZATION[1]}"

    def run(self, arguments: Sequence[str], folder: Path) -> None:
        """One call.

        Raises:
            ToolError: it failed.
        """
        self._output([*self.command, *arguments], folder)

    def library(self, machine: tuple[str, ...]) -> tuple[str, ...]:
        """What selects a C library (memcpy, memset): nothing, or picolibc as Debian has it."""
        with tempfile.TemporaryDirectory(prefix="ternc-") as name:
            folder = Path(name)
            (folder / "probe.c").write_text(_PROBE, encoding="utf-8")
            for specs in ((), ("--specs=picolibc.specs",)):
                done = self._call([*self.command, *specs, *machine, "-nostartfiles", "-Wl,-eprobe",
                                   "-fno-builtin", "probe.c", "-o", "probe"], folder)
                if done.returncode == 0:
                    return specs
        if "cannot find -lc" in done.stderr or "memcpy" in done.stderr:
            raise missing(f"a C library of {self.command[0]} for {' '.join(machine)}",
                          "Debian: picolibc-riscv64-unknown-elf; ESP-IDF's compiler brings one")
        raise broken(f"{self.command[0]} {' '.join(machine)}", done.stderr or done.stdout)

    def _output(self, command: Sequence[str], folder: Path | None = None) -> str:
        done = self._call(command, folder)
        if done.returncode:
            raise broken(" ".join(command[:4]), done.stderr or done.stdout)
        return done.stdout

    def _call(
        self, command: Sequence[str], folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=_PATIENCE, errors="replace")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise broken(command[0], str(error)) from None


@lru_cache
def _library(compiler: Compiler, machine: tuple[str, ...]) -> tuple[str, ...]:
    return compiler.library(machine)


@lru_cache
def find_compiler(name: str | None) -> Compiler:
    """The compiler called `name` (a command or a path), by default that of ziglang.

    Raises:
        ToolError: it is not installed.
    """
    if name is None:
        if find_spec("ziglang") is None:
            raise missing("ziglang, the cross compiler", INSTALL)
        return Compiler((sys.executable, "-m", "ziglang", "cc"), zig=True)
    found = shutil.which(name)
    if found is None:
        packages = {"riscv64-unknown-elf-gcc":
                    "Debian: gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
                    "riscv32-esp-elf-gcc": "ESP-IDF: `install.sh`, then `. export.sh`"}
        raise missing(f"the compiler {name!r}", packages.get(
            Path(name).name, f"check its path, or leave --toolchain out ({INSTALL})"))
    return Compiler((found,), zig=False)


@dataclass
class Builder:
    """Compiles programs; each of the runtime's files once for each instruction set."""

    compiler: Compiler
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="ternc-"), repr=False)
    _built: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def build(self, program: DeviceProgram, isa: str) -> bytes:
        """An ELF file."""
        folder = Path(self._folder.name)
        sources = runtime_sources()
        flags = [*self.compiler.flags(isa), "-g0", f"-I{sources}"]
        objects = self._objects(program, isa, flags)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            own = Path(name)
            for file, text in (("model.h", program.header), ("main.c", MAIN), ("start.S", START),
                               ("link.ld", linker_script(program))):
                (own / file).write_text(text, encoding="utf-8")
            start = [] if self.compiler.zig else ["-nostartfiles"]
            self.compiler.run([*flags, *start, "-Wl,--gc-sections", "-T", "link.ld", "start.S",
                               "main.c", *objects, "-o", "model.elf"], own)
            return (own / "model.elf").read_bytes()

    def image(self, program: DeviceProgram, isa: str) -> Image:
        """What that file holds."""
        return read_elf(self.build(program, isa))

    def _objects(self, program: DeviceProgram, isa: str, flags: list[str]) -> list[str]:
        # ternc_all.c stays out: it names every kernel
        core = sorted(path.stem for path in runtime_sources().glob("*.c"))
        wanted = [*(name for name in core if name != "ternc_all"),
                  *(f"kernels/{name}" for name in program.kernels)]
        if self.compiler.zig:  # it keeps compiled files itself
            return [str(runtime_sources() / f"{name}.c") for name in wanted]
        new = [name for name in wanted if (isa, name) not in self._built]
        if new:
            folder = Path(self._folder.name) / isa
            folder.mkdir(exist_ok=True)
            sources = runtime_sources()
            self.compiler.run([*flags, "-c", *(str(sources / f"{name}.c") for name in new)],
                              folder)
            for name in new:
                self._built[isa, name] = str(folder / f"{Path(name).name}.o")
        return [self._built[isa, name] for name in wanted]


@lru_cache
def builder_for(name: str | None) -> Builder:
    """The builder of this process with the compiler called `name`."""
    return Builder(find_compiler(name))
