"""ternc_set_input and ternc_get_output for every element type."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ternc.backends.esp32.encode import encode
from ternc.backends.esp32.program import DType, Port, Program, Region
from tests import programs

SOURCES = Path(__file__).resolve().parents[2] / "runtime_c" / "src"
ROOM = 1024  # more than a ternc_model takes
ARGUMENT = -1
COUNT = 8

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler (Debian packages gcc, clang)")
    out = tmp_path_factory.mktemp("floats") / "runtime.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-std=c99", "-O2", "-ffp-contract=off", f"-I{SOURCES}",
         *(str(SOURCES / f"{name}.c") for name in ("ternc", "ternc_check", "ternc_load")),
         "-o", str(out)], check=True,
    )
    return ctypes.CDLL(str(out))


class Passthrough:
    """A model of no instructions whose output is its input."""

    def __init__(
        self, library: ctypes.CDLL, dtype: DType, scale: float | None, zero_point: int
    ) -> None:
        tensor = programs.activation("x", dtype, (COUNT,), 0)
        port = Port("x", tensor, (COUNT,), 1, scale, zero_point)
        size = COUNT * dtype.size
        blob = encode(Program([port], [port], region_bytes={Region.SCRATCH: size}))
        self.library = library
        self.memory = [self._aligned(len(blob)), self._aligned(size)]
        ctypes.memmove(self.memory[0], blob, len(blob))
        regions = (ctypes.c_size_t * 6)(self.memory[1], size, 0, 0, 0, 0)
        self.model = ctypes.create_string_buffer(ROOM)
        status = library.ternc_load(
            self.model, ctypes.c_void_p(self.memory[0]), ctypes.c_size_t(len(blob)), None,
            ctypes.c_size_t(0), regions,
        )
        assert status == 0
        self.dtype = dtype

    def _aligned(self, size: int) -> int:
        buffer = ctypes.create_string_buffer(size + 16)
        self.keep = [*getattr(self, "keep", []), buffer]
        return -(-ctypes.addressof(buffer) // 16) * 16

    def set(self, values: Floats, count: int = COUNT, index: int = 0) -> int:
        status: int = self.library.ternc_set_input(
            self.model, ctypes.c_uint32(index), values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(count),
        )
        return status

    @property
    def stored(self) -> npt.NDArray[np.generic]:
        data = ctypes.string_at(self.memory[1], COUNT * self.dtype.size)
        return np.frombuffer(data, self.dtype.numpy)

    def get(self) -> Floats:
        values = np.empty(COUNT, np.float32)
        assert self.library.ternc_get_output(
            self.model, ctypes.c_uint32(0), values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(COUNT),
        ) == 0
        return values


def expected(values: Floats, dtype: DType, scale: float, zero: int) -> npt.NDArray[np.generic]:
    limits = np.iinfo(dtype.numpy.name)
    rounded = np.round((values / np.float32(scale)).astype(np.float64)) + zero
    return np.where(np.isnan(values), zero, np.clip(rounded, limits.min, limits.max)).astype(
        dtype.numpy)


INTEGERS = [DType.I8, DType.U8, DType.I16, DType.I32]
VALUES = st.lists(
    st.one_of(
        st.floats(width=32), st.integers(-300, 300).map(lambda half: half / 2),
        st.sampled_from([2147483648.0, -2147483648.0, 16777217.0, 1.6777215e7]),
    ),
    min_size=COUNT, max_size=COUNT,
)


@pytest.mark.parametrize("dtype", INTEGERS)
@settings(deadline=None)
@given(values=VALUES, scale=st.sampled_from([1.0, 0.5, 0.1, 3.0, 1e-3]), zero=st.integers(0, 100))
def test_quantizes(
    library: ctypes.CDLL, dtype: DType, values: list[float], scale: float, zero: int
) -> None:
    model = Passthrough(library, dtype, scale, zero)
    array = np.array(values, np.float32)
    assert model.set(array) == 0
    with np.errstate(all="ignore"):
        assert model.stored.tolist() == expected(array, dtype, scale, zero).tolist()
    real = (model.stored.astype(np.int64) - zero).astype(np.float32) * np.float32(scale)
    assert model.get().tolist() == real.tolist()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_without_scale_elements_hold_the_value(library: ctypes.CDLL, dtype: DType) -> None:
    model = Passthrough(library, dtype, None, 5)
    values = np.array([0.5, 1.5, 2.5, 3.2, 100, 7, 0, 1], np.float32)
    assert model.set(values) == 0
    assert model.stored.tolist() == [0, 2, 2, 3, 100, 7, 0, 1]
    assert model.get().tolist() == [0, 2, 2, 3, 100, 7, 0, 1]


def test_float_is_copied(library: ctypes.CDLL) -> None:
    model = Passthrough(library, DType.F32, None, 0)
    values = np.array([0, -0.0, 1e-40, np.inf, -np.inf, 3, 4, 5], np.float32)
    assert model.set(values) == 0
    assert model.stored.tobytes() == values.tobytes()
    assert model.get().tobytes() == values.tobytes()


def test_bool_is_not_zero(library: ctypes.CDLL) -> None:
    model = Passthrough(library, DType.BOOL, None, 0)
    assert model.set(np.array([0, 1, -1, 0.25, -0.0, 2, 0, np.nan], np.float32)) == 0
    assert model.stored.tolist() == [False, True, True, True, False, True, False, True]
    assert model.get().tolist() == [0, 1, 1, 1, 0, 1, 0, 1]


def test_wrong_count_or_index(library: ctypes.CDLL) -> None:
    model = Passthrough(library, DType.I8, 1.0, 0)
    values = np.zeros(COUNT, np.float32)
    assert model.set(values, count=COUNT - 1) == ARGUMENT
    assert model.set(values, index=1) == ARGUMENT
