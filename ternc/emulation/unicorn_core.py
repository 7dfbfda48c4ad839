"""Runs a program in unicorn's RISC-V core and counts what it executes.

Unicorn calls back at the entry of each translated block. The counting function is C
(`ternc._emulator`): from where blocks begin and end follows how often each instruction was
executed, and with its class, which is decoded once, the counts of a layer. The layers' borders are
the runtime's own callback.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ternc.emulation import memory
from ternc.emulation.classes import Kind, kinds
from ternc.emulation.counts import Cache, Counts, Emulated, Run, total
from ternc.emulation.elf import Image
from ternc.emulation.errors import EmulationError, broken, failed, missing
from ternc.emulation.program import DeviceProgram
from ternc.emulation.toolchain import INSTALL

_CODE: Final = (".harness", ".text")


def check_installed() -> None:
    """Refuses where unicorn is missing.

    Raises:
        ToolError: it is not installed.
    """
    if find_spec("unicorn") is None:
        raise missing("unicorn, the emulator", INSTALL)


def version() -> str:
    """The emulator, for the basis of figures."""
    check_installed()
    return f"unicorn {_unicorn().__version__}"


def _unicorn() -> Any:
    """The package, whose types are not what it holds."""
    try:
        return import_module("unicorn")
    except Exception as error:  # it loads a library, which another system may have made
        raise broken("unicorn", f"{type(error).__name__}: {error}") from None


def run(image: Image, program: DeviceProgram, exchange: memory.Exchange, *, limit: int,
        cache: Cache, alignment: bool = False) -> Emulated:
    """Runs all samples of `exchange`; with `alignment`, slower, looks at each access's address.

    Raises:
        ToolError: unicorn is not installed, or does not work.
        EmulationError: the program executed more than `limit` instructions, or left its memory.
    """
    check_installed()
    return _Core(image, program, exchange, limit, cache, alignment).run()


class _Core:
    """One machine."""

    def __init__(self, image: Image, program: DeviceProgram, exchange: memory.Exchange,
                 limit: int, cache: Cache, alignment: bool) -> None:
        from ternc._emulator import Counter

        self._image, self._exchange, self._limit = image, exchange, limit
        self._alignment = alignment
        self._unicorn = unicorn = _unicorn()
        # for hooks in C, which the Python interface has no way to set
        self._library = import_module("unicorn.unicorn_py3.unicorn").uclib
        try:
            self._machine: Any = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        except unicorn.UcError as error:
            raise broken("unicorn", str(error)) from None
        self._kinds = _kinds_of(image)
        self._own = self._harness()
        self._counter = Counter(
            memory.FLASH, (self._kinds != Kind.NONE).tobytes(), limit,
            ctypes.cast(self._library.uc_emu_stop, ctypes.c_void_p).value or 0,
            cache.size, cache.ways, cache.line)
        self._parts: list[Counts] = []
        self._runs: list[Run] = []
        self._failure: EmulationError | None = None
        self._map(program)
        self._hook()

    def _harness(self) -> npt.NDArray[np.bool_]:
        """Which halfwords belong to what runs the model."""
        harness = self._image.section(".harness")
        start = (harness.address - memory.FLASH) // 2
        own = np.zeros(len(self._kinds), np.bool_)
        own[start : start + harness.size // 2] = True
        return own

    def _map(self, program: DeviceProgram) -> None:
        machine, unicorn = self._machine, self._unicorn
        ram = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        machine.mem_map(memory.FLASH, memory.FLASH_BYTES,
                        unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        machine.mem_map(memory.STACK, memory.STACK_BYTES + memory.DATA_BYTES, ram)
        machine.mem_map(memory.ARENA, memory.pages(program.fast_bytes), ram)
        machine.mem_map(memory.SLOW, memory.pages(program.slow_bytes), ram)
        machine.mem_map(memory.EXCHANGE, memory.pages(self._exchange.size), ram)
        for segment in self._image.segments:
            machine.mem_write(segment.address, segment.data)
        machine.mem_write(memory.EXCHANGE, self._exchange.pack())

    def _hook(self) -> None:
        unicorn, counter = self._unicorn, self._counter
        hooks = [(unicorn.UC_HOOK_BLOCK, counter.block_hook, 1, 0),  # everywhere
                 (unicorn.UC_HOOK_MEM_READ, counter.read_hook, memory.FLASH,
                  memory.FLASH + memory.FLASH_BYTES - 1)]
        if self._alignment:
            hooks.append((unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE,
                          counter.access_hook, 1, 0))
        for kind, function, begin, end in hooks:
            handle = ctypes.c_size_t()
            status = self._library.uc_hook_add(
                self._machine._uch, ctypes.byref(handle), kind, ctypes.c_void_p(function),
                ctypes.c_void_p(counter.address), ctypes.c_uint64(begin), ctypes.c_uint64(end))
            if status != unicorn.UC_ERR_OK:
                raise broken("unicorn", f"uc_hook_add: {status}")
        for symbol, seen in (("ternc_run_begin", self._begin), ("ternc_mark", self._mark),
                             ("ternc_run_end", self._end)):
            at = self._image.address(symbol)
            self._machine.hook_add(unicorn.UC_HOOK_BLOCK, seen, begin=at, end=at)

    def _begin(self, *_: Any) -> None:
        self._counter.take()
        self._parts = []

    def _mark(self, *_: Any) -> None:
        self._parts.append(self._counts())

    def _end(self, *_: Any) -> None:
        self._parts.append(self._counts())
        parts = tuple(self._parts)
        # before the first layer is one part, behind the last another
        self._runs.append(Run(parts[1:-1], total(parts)))

    def _counts(self) -> Counts:
        """Of what was executed since the last time, without the harness's own instructions."""
        delta, taken, code_misses, data_misses = self._counter.take()
        executed = np.cumsum(np.frombuffer(delta, np.int64))
        executed[self._own] = 0
        by_kind = np.bincount(self._kinds, weights=executed, minlength=len(Kind))
        found = {kind: int(by_kind[kind]) for kind in Kind if kind and by_kind[kind]}
        return Counts(sum(found.values()), found, taken, code_misses, data_misses)

    def run(self) -> Emulated:
        """Runs the program to its end."""
        try:
            self._machine.emu_start(self._image.entry, self._image.address("ternc_finish"))
        except self._unicorn.UcError as error:
            raise failed(f"the program stopped {self._where()}: {error}",
                         "this is a bug in ternc or a limit of the emulator: please report it "
                         "with the model") from None
        if self._counter.outside:
            raise failed(f"the program left its code, {self._where()}")
        if self._counter.instructions > self._limit:
            raise failed(f"the program was stopped after {self._limit:,} instructions, "
                         f"{self._where()}", "a higher limit is --max-instructions N")
        data = bytes(self._machine.mem_read(memory.EXCHANGE, self._exchange.size))
        return Emulated(self._exchange.unpack(data), tuple(self._runs),
                        self._counter.unaligned if self._alignment else None)

    def _where(self) -> str:
        counter = import_module("unicorn.riscv_const").UC_RISCV_REG_PC
        return self._image.place(self._machine.reg_read(counter))


def _kinds_of(image: Image) -> npt.NDArray[np.uint8]:
    """The kind of instruction at each halfword of flash up to the end of the code."""
    sections = [image.section(name) for name in _CODE]
    end = max(section.address + section.size for section in sections)
    out = np.zeros((end - memory.FLASH + 1) // 2, np.uint8)
    for section in sections:
        if section.size:
            at = (section.address - memory.FLASH) // 2
            found = kinds(section.data)
            out[at : at + len(found)] = found
    return out
