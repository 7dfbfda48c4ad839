"""The runtime as a Python type."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ternc.backends.esp32.encode import encode, seal
from tests import programs

if TYPE_CHECKING:
    from ternc._engine import Model

engine = pytest.importorskip("ternc._engine", reason="needs the extension: pip install -e .")

FLOATS = np.array([1.5, -2.0, 0.25, 8.0], np.float32)


def accumulator() -> Model:
    model: Model = engine.Model(encode(programs.accumulator()))
    return model


def test_describes_itself() -> None:
    model = engine.Model(encode(programs.dense()))
    assert model.needs == (48, 0, 0)
    assert model.inputs == [("pixels", 2, programs.INT8, (1, 6), 0.5, -3)]
    assert model.outputs == [("scores", 2, programs.INT8, (1, 3), 0.25, 4)]


def test_runs() -> None:
    model = engine.Model(encode(programs.dense()))
    x = np.array([[1, -2, 3, 4, 127, -6]], np.int8)
    model.write_input(0, x)
    model.run()
    expected = -np.clip(programs.WEIGHTS.astype(np.int32) @ x[0], -128, 127)
    y = np.frombuffer(model.read_output(0), np.int8)
    assert y.tolist() == expected.clip(-128, 127).tolist()


def test_state_is_kept_until_reset() -> None:
    model = accumulator()
    for times in (1, 2):
        model.write_input(0, FLOATS.tobytes())
        model.run()
        assert np.array_equal(np.frombuffer(model.read_output(0), np.float32), FLOATS * times)
    model.reset()
    assert model.read_output(0) == bytes(16)


def test_slow_region_and_absent_operands() -> None:
    model = engine.Model(encode(programs.normalization()))
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    model.write_input(0, x)
    model.run()
    y = np.frombuffer(model.read_output(0), np.float32).reshape(2, 4)
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    assert np.allclose(y, expected, atol=1e-5)


def test_two_models_are_independent() -> None:
    first, second = accumulator(), accumulator()
    first.write_input(0, FLOATS)
    first.run()
    second.write_input(0, -FLOATS)
    second.run()
    assert np.array_equal(np.frombuffer(first.read_output(0), np.float32), FLOATS)


class TestCallback:
    def test_sees_every_instruction_and_the_end(self) -> None:
        seen: list[tuple[int, int]] = []
        model = engine.Model(encode(programs.dense()))
        model.run_with(lambda instruction, opcode: seen.append((instruction, opcode)))
        assert seen == [(0, 0x0C), (1, 0x27), (2, 0)]

    def test_reads_and_writes_tensors(self) -> None:
        program = programs.dense()
        hidden = program.tensors().index(program.instructions[0].writes[0])
        model = engine.Model(encode(program))

        def replace(instruction: int, opcode: int) -> None:
            if instruction == 1:
                assert len(model.read_tensor(hidden)) == 3
                model.write_tensor(hidden, bytes([1, 2, 3]))

        model.run_with(replace)
        assert np.frombuffer(model.read_output(0), np.int8).tolist() == [-1, -2, -3]

    def test_its_exception_stops_the_run(self) -> None:
        seen: list[int] = []

        def stop(instruction: int, opcode: int) -> None:
            seen.append(instruction)
            raise KeyError("stop")

        model = engine.Model(encode(programs.dense()))
        with pytest.raises(KeyError, match="stop"):
            model.run_with(stop)
        assert seen == [0]
        model.run()

    def test_cannot_run_the_model_again(self) -> None:
        model = accumulator()

        def again(instruction: int, opcode: int) -> None:
            for forbidden in (model.run, model.reset):
                with pytest.raises(RuntimeError, match="running"):
                    forbidden()

        model.run_with(again)


class TestRefuses:
    @pytest.mark.parametrize("blob", [b"", b"TRNC", b"x" * 64])
    def test_what_is_not_a_blob(self, blob: bytes) -> None:
        with pytest.raises(ValueError, match=r"not a ternc blob|longer than the bytes"):
            engine.Model(blob)

    def test_an_unknown_instruction_by_number(self) -> None:
        blob = bytearray(encode(programs.dense()))
        assert blob[32:36] == b"OPS "
        struct.pack_into("<H", blob, 48, 0x7ABC)
        with pytest.raises(ValueError, match=r"not known .*\(instruction 0x7abc\)"):
            engine.Model(seal(bytes(blob)))

    def test_wrong_sizes_and_indices(self) -> None:
        model = accumulator()
        with pytest.raises(ValueError, match="holds 16 bytes, 15 were given"):
            model.write_input(0, bytes(15))
        for call in (model.read_output, model.read_tensor):
            with pytest.raises(IndexError):
                call(99)
        with pytest.raises(IndexError):
            model.write_input(1, bytes(16))

    def test_writing_a_constant(self) -> None:
        program = programs.dense()
        weights = program.tensors().index(program.instructions[0].reads[1])
        with pytest.raises(ValueError, match="constants"):
            engine.Model(encode(program)).write_tensor(weights, bytes(5))

    def test_text_as_blob(self) -> None:
        with pytest.raises(TypeError):
            engine.Model(3)


def test_many_threads_with_a_model_each() -> None:
    def work() -> None:
        model = accumulator()
        for _ in range(200):
            model.write_input(0, FLOATS)
            model.run()
        results.append(np.frombuffer(model.read_output(0), np.float32).tolist())

    results: list[list[float]] = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(FLOATS * 200).tolist()] * 4
