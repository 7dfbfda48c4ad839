"""Models written as text, compiled and compared with onnxruntime."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import pytest
from _pytest.mark import ParameterSet
from onnx import numpy_helper

from ternc import compiler as ternc
from ternc.compiled import CompiledModel
from ternc.oracle import Oracle

Array = npt.NDArray[Any]


def floats(*shape: int, low: float = -1.0, high: float = 1.0) -> Array:
    """Random float32 numbers, the same ones for the same shape."""
    generator = np.random.default_rng(zlib.crc32(repr((shape, low, high)).encode()))
    return generator.uniform(low, high, shape).astype(np.float32)


def bytes_(*shape: int, dtype: type = np.int8) -> Array:
    """Random integers of the whole range of a type."""
    limits = np.iinfo(dtype)
    generator = np.random.default_rng(zlib.crc32(repr(shape).encode()))
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def ints(*values: int) -> Array:
    """A vector of int64."""
    return np.array(values, np.int64)


def model(text: str, opset: int = 21, **constants: npt.ArrayLike) -> onnx.ModelProto:
    """The graph `name (inputs) => (outputs) {nodes}` with initializers."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]>\n{text}')
    for name, value in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return proto


def feeds(proto: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Random inputs."""
    generator = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for value in proto.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if dtype == np.float32:
            found[value.name] = generator.uniform(-2, 2, shape).astype(np.float32)
        elif dtype in (np.int8, np.uint8):
            limits = np.iinfo(dtype)
            found[value.name] = generator.integers(limits.min, limits.max + 1, shape).astype(dtype)
        else:  # indices and flags
            found[value.name] = generator.integers(0, 2, shape).astype(dtype)
    return found


def differences(found: dict[str, Array], wanted: dict[str, Array]) -> dict[str, float]:
    """How far each output is off, as a multiple of what is allowed.

    Floats may differ by 1e-5 of the largest value, 8-bit integers by 1, others not at all.
    """
    off = {}
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        assert found[name].dtype == value.dtype, name
        same = (found[name] == value) | ((found[name] != found[name]) & (value != value))
        far = np.abs(found[name].astype(np.float64) - value.astype(np.float64), where=~same,
                     out=np.zeros(value.shape))
        if value.dtype == np.float32:
            allowed = 1e-5 * max(np.abs(value[np.isfinite(value)]).max(initial=0.0), 1e-6)
        else:
            allowed = 1.0 if value.dtype in (np.int8, np.uint8) else 0.5
        off[name] = float(far.max(initial=0.0)) / allowed
    return off


def check(proto: onnx.ModelProto, **options: Any) -> CompiledModel:
    """Compiles a model, and compares its outputs and what it materializes with onnxruntime."""
    feed = feeds(proto)
    compiled = ternc.compile(proto, "host", check_fit=False, **options)
    wanted = Oracle(proto).run(feed)
    off = differences(compiled.run(feed), wanted)
    assert max(off.values()) <= 1, off
    check_intermediates(compiled, feed)
    return compiled


def check_intermediates(compiled: CompiledModel, feed: dict[str, Array]) -> None:
    """Compares every tensor in the program's memory with onnxruntime's."""
    wanted = Oracle(compiled.model).run(feed, intermediates=True)
    for name, found in compiled.run(feed, intermediates=True).items():
        if name not in wanted:
            continue
        view, value = compiled.program.values.get(name), wanted[name]
        assert found.shape == value.shape, name
        finite = np.isfinite(value)
        far = np.abs(found[finite].astype(np.float64) - value[finite].astype(np.float64))
        if view is not None and view.scale is not None:
            allowed = 1.6 * view.scale  # one step, and rounding
        else:
            largest = np.abs(value[np.isfinite(value)].astype(np.float64)).max(initial=0.0)
            allowed = 1.0 if value.dtype.kind in "iu" else max(1e-5 * largest, 1e-6)
        assert far.max(initial=0.0) <= allowed, name


def instructions(compiled: CompiledModel) -> list[str]:
    """The names of the instructions, in order."""
    return [item.opcode.name for item in compiled.program.instructions]


def form(name: str, *details: Any, opset: int = 21, **constants: npt.ArrayLike) -> ParameterSet:
    """A case for pytest: what a test wants to know first, the model's text last."""
    *first, text = details
    return pytest.param(*first, model(text, opset, **constants), id=name.replace(" ", "-"))
