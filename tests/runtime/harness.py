"""Runs one C kernel on numpy arrays, without the rest of the runtime.

`call` checks, runs the whole and runs it again in pieces, between guard bytes of two patterns:
a kernel that reads or writes outside its tensors, or depends on how rows are divided, fails.
Extra compiler flags (sanitizers, -m32) come from the environment variable TERNC_CFLAGS, the
compiler from CC.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import itertools
import os
import random
import re
import shlex
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.isa import BY_NAME, NO_TENSOR, TENSOR_KINDS, Kind
from ternc.backends.esp32.kernel_forms import FORMS
from ternc.backends.esp32.program import DType, Instruction, Tensor

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array | None]
Number = int | float

_HERE = Path(__file__).resolve().parent
SOURCES = _HERE.parents[1] / "runtime_c" / "src"
_DTYPES = {"float32": 1, "int8": 2, "uint8": 3, "int16": 4, "int32": 5, "bool": 6}
_INSTRUCTIONS = {form.name: form.instruction for form in FORMS}
_GAP = 32  # guard bytes around every tensor
_CONSTANTS = 3  # region numbers
_SCRATCH = 0


class Refused(Exception):
    """The kernel's `check` returned an error; the argument is the status."""


@functools.cache
def _build_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="ternc-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _compile(name: str, sources: list[Path]) -> ctypes.CDLL:
    output = _build_folder() / f"{name}.so"
    command = [
        os.environ.get("CC", "cc"), "-shared", "-fPIC", "-std=c99", "-O2", "-g",
        "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror",
        *shlex.split(os.environ.get("TERNC_CFLAGS", "")), f"-I{SOURCES}",
        *map(str, sources), str(SOURCES / "ternc_check.c"), str(SOURCES / "ternc_math.c"),
        str(_HERE / "shim.c"),
        "-o", str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(output))


@functools.cache
def math_library() -> ctypes.CDLL:
    """The elementary functions as `shim_<name>(x*, y*, count)`."""
    return _compile("math", [])


@functools.cache
def _library(source: Path) -> ctypes.CDLL:
    return _compile(source.stem, [source])


def _source_of(name: str) -> Path:
    """The kernel file that defines `ternc_k_<name>`."""
    own = SOURCES / "kernels" / f"{name}.c"
    if own.exists():
        return own
    pattern = re.compile(rf"^TERNC_KERNEL\(\s*{name}\s*,", re.MULTILINE)
    for path in sorted((SOURCES / "kernels").glob("*.c")):
        if pattern.search(path.read_text(encoding="utf-8")):
            return path
    raise FileNotFoundError(f"no kernel file defines {name}")


@functools.cache
def _kernel(name: str) -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    library = _library(_source_of(name))
    address = ctypes.addressof(ctypes.c_uint8.in_dll(library, f"ternc_k_{name}"))
    library.shim_rows.restype = ctypes.c_uint32
    library.shim_kinds.restype = ctypes.c_char_p
    kernel = ctypes.c_void_p(address)
    whole = BY_NAME[_INSTRUCTIONS.get(name, name)]
    assert library.shim_code(kernel) == whole.code
    assert library.shim_kinds(kernel) == whole.kinds.encode()
    return library, kernel


def _aligned(size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes that start on a 16-byte boundary."""
    raw = np.empty(size + 16, np.uint8)
    start = -raw.ctypes.data % 16
    return raw[start : start + size]


@dataclass(frozen=True, slots=True)
class _Place:
    region: int
    offset: int
    array: Array


class Call:
    """One instruction with its tensors in memory."""

    def __init__(
        self, name: str, tensors: Tensors, numbers: Mapping[str, Number],
        alias: Mapping[str, str] | None = None, shrink: Mapping[str, int] | None = None,
        misalign: str | None = None, form: str | None = None,
        over: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        """`alias` puts an output where an input is; `shrink` takes bytes off a record's size;
        `misalign` moves that tensor by one byte; `form` is one of the kernel's forms; `over` puts
        an output so many bytes behind an input's first byte."""
        opcode = BY_NAME[name]
        given = set(tensors) | set(numbers)
        expected = {operand.name for operand in opcode.operands}
        assert given == expected, given ^ expected
        self.opcode = opcode
        self.library, self.kernel = _kernel(form or name)
        self.places: dict[str, _Place] = {}
        sizes = [0, 0, 0, 0]
        records = bytearray()
        words: list[bytes] = []
        for operand in opcode.operands:
            if operand.kind not in TENSOR_KINDS:
                letter = {Kind.U32: "I", Kind.I32: "i", Kind.F32: "f"}[operand.kind]
                words.append(struct.pack("<" + letter, numbers[operand.name]))
                continue
            array = tensors[operand.name]
            if array is None:
                words.append(struct.pack("<I", NO_TENSOR))
                continue
            array = np.ascontiguousarray(array)
            region = _CONSTANTS if operand.kind is Kind.CONST else _SCRATCH
            source = (alias or {}).get(operand.name)
            if operand.name in (over or {}):
                base, distance = (over or {})[operand.name]
                offset = self.places[base].offset + distance
                sizes[region] = max(sizes[region], offset + array.nbytes)
            elif source is not None:
                offset = self.places[source].offset
            else:
                offset = -(-(sizes[region] + _GAP) // array.itemsize) * array.itemsize
                offset += operand.name == misalign
                ahead = (-d for base, d in (over or {}).values() if base == operand.name)
                offset += -(-max(0, *ahead, 0) // _GAP) * _GAP
                sizes[region] = offset + array.nbytes
            self.places[operand.name] = _Place(region, offset, array)
            words.append(struct.pack("<I", len(records) // 12))
            size = array.nbytes - (shrink or {}).get(operand.name, 0)
            records += struct.pack("<BBHII", _DTYPES[array.dtype.name], region, 0, offset, size)
        self.count = len(records) // 12
        self.records = ctypes.create_string_buffer(bytes(records) + b"\0" * 4)
        self.args = ctypes.create_string_buffer(b"".join(words))
        self.scratch = _aligned(sizes[_SCRATCH] + _GAP)
        self.constants = _aligned(sizes[_CONSTANTS] + _GAP)
        self.outputs = {o.name for o in opcode.operands if o.kind is Kind.OUT} & set(self.places)
        self.scratches = {o.name for o in opcode.operands if o.kind is Kind.SCRATCH}
        self.alias = {*(alias or {}), *(over or {})}

    def _common(self) -> tuple[object, ...]:
        return (
            self.kernel, self.records, ctypes.c_uint32(self.count),
            ctypes.c_void_p(self.scratch.ctypes.data), ctypes.c_void_p(self.constants.ctypes.data),
            self.args,
        )

    def check(self) -> int:
        """The status of the kernel's `check`, which may read constants."""
        self.run([], 0xA5)
        return int(self.library.shim_check(*self._common()))

    @property
    def rows(self) -> int:
        """Into how many rows the work divides; 0 when it does not."""
        return int(self.library.shim_rows(*self._common()))

    def _bytes(self, place: _Place) -> npt.NDArray[np.uint8]:
        memory = self.constants if place.region == _CONSTANTS else self.scratch
        return memory[place.offset : place.offset + place.array.nbytes]

    def run(
        self, ranges: list[tuple[int, int]], fill: int, blank: bool = False
    ) -> dict[str, Array]:
        """Fills memory anew, runs the ranges in the order given, and returns the outputs; `blank`
        fills the outputs as well."""
        self.scratch[:] = fill
        self.constants[:] = fill
        for name, place in self.places.items():
            if name not in self.alias and not (blank and name in self.outputs):
                self._bytes(place)[:] = np.frombuffer(place.array.tobytes(), np.uint8)
        before, constants = self.scratch.copy(), self.constants.copy()
        for begin, end in ranges:
            self.library.shim_run(*self._common(), ctypes.c_uint32(begin), ctypes.c_uint32(end))
        written = np.zeros(len(before), bool)
        for name in self.outputs | (self.scratches & set(self.places)):
            place = self.places[name]
            written[place.offset : place.offset + place.array.nbytes] = True
        assert np.array_equal(self.scratch[~written], before[~written]), "wrote outside outputs"
        assert np.array_equal(self.constants, constants), "wrote to constants"
        return {
            name: np.frombuffer(self._bytes(place).tobytes(), place.array.dtype)
            .reshape(place.array.shape)
            for name, place in self.places.items() if name in self.outputs
        }


def assert_ranges_disjoint(it: Call) -> None:
    """Asserts that no byte of an output is written by two ranges of rows (a race on two cores)."""
    writers: dict[str, Array] = {}
    for begin, end in split(it.rows, seed=1):
        low, high = (it.run([(begin, end)], fill, blank=True) for fill in (0x00, 0xFF))
        for name, array in low.items():
            raw = np.frombuffer(array.tobytes(), np.uint8)
            other = np.frombuffer(high[name].tobytes(), np.uint8)
            written = (raw != 0x00) | (other != 0xFF)
            before = writers.setdefault(name, np.zeros(raw.size, bool))
            assert not np.any(before & written), f"{name} is written by two ranges"
            before |= written
    assert all(np.all(written) for written in writers.values()), "an output is not written"


def split(rows: int, seed: int) -> list[tuple[int, int]]:
    """The range 0..rows in up to five pieces, shuffled."""
    rng = random.Random(seed)
    cuts = sorted({0, rows, *(rng.randint(0, rows) for _ in range(4))})
    ranges = list(itertools.pairwise(cuts))
    rng.shuffle(ranges)
    return ranges


def call(
    name: str, tensors: Tensors, alias: Mapping[str, str] | None = None, /, **numbers: Number
) -> dict[str, Array]:
    """Runs kernel `name` and returns its outputs; raises `Refused` when `check` does.

    Args:
        name: The instruction.
        tensors: An array (its exact size is what the kernel may touch) or None for every tensor
            operand. An output's array gives dtype and shape, and is what memory held before.
        alias: `{"y": "x"}` runs in place.
        numbers: The number operands.
    """
    it = Call(name, tensors, numbers, alias)
    status = it.check()
    if status != 0:
        raise Refused(status)
    rows = it.rows
    whole = it.run([(0, rows or 1)], 0xA5)
    divided = it.run(split(rows, seed=rows) if rows else [(0, 1)], 0x5A)
    for key, array in whole.items():
        same = array.tobytes() == divided[key].tobytes()
        assert same, f"{name}: {key} depends on the division into rows or on memory around it"
    for form in FORMS:
        if form.instruction == name and form.takes(_instruction(name, tensors, numbers)):
            same_by_form(form.name, whole, Call(name, tensors, numbers, alias, form=form.name))
    return whole


def same_by_form(form: str, whole: Mapping[str, Array], it: Call) -> None:
    """Asserts that a form of the kernel accepts the instruction, and gives the same."""
    assert it.check() == 0, f"{form} refuses what it should take"
    for key, array in it.run([(0, it.rows or 1)], 0xA5).items():
        assert array.tobytes() == whole[key].tobytes(), f"{form}: {key} differs"


def _instruction(
    name: str, tensors: Tensors, numbers: Mapping[str, Number]
) -> Instruction:
    some = Tensor("some", DType.U8, (1,))
    present = {key: some for key, array in tensors.items() if array is not None}
    given = {**present, **numbers}
    opcode = BY_NAME[name]
    return Instruction(opcode, tuple(given.get(o.name) for o in opcode.operands), name, name)


def assert_sizes_checked(name: str, tensors: Tensors, /, **numbers: Number) -> None:
    """Asserts that `check` accepts the tensors, refuses each when one element too small, when
    misaligned, and when of another element type."""
    assert Call(name, tensors, numbers).check() == 0
    for key, array in tensors.items():
        if array is None:
            continue
        assert Call(name, tensors, numbers, shrink={key: array.itemsize}).check() != 0, key
        if array.itemsize > 1:
            assert Call(name, tensors, numbers, misalign=key).check() != 0, key
        other = np.zeros(array.size * 4, np.int16 if array.dtype != np.int16 else np.int8)
        assert Call(name, {**tensors, key: other}, numbers).check() != 0, key
