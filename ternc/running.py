"""Runs a program through the C runtime on this machine, on arrays as the ONNX model has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ternc.backends.esp32.program import Port
from ternc.diagnostics import Diagnostic, UsageError

if TYPE_CHECKING:
    from ternc._engine import Model as Engine

Array = npt.NDArray[Any]  # of the element types that the model declares
# Makes, for one run, the function called before each instruction; what it puts in is returned too.
Observer = Callable[["Engine", dict[str, Array]], Callable[[int, int], None]]


@dataclass(slots=True)
class Runner:
    """A blob with its ports; the engine is loaded when first needed."""

    blob: bytes
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    _engine: Engine | None = field(default=None, repr=False)

    @property
    def engine(self) -> Engine:
        """The loaded C runtime."""
        if self._engine is None:
            from ternc._engine import Model

            self._engine = Model(self.blob)
        return self._engine

    def run(
        self, inputs: Array | Mapping[str, Array], observe: Observer | None = None
    ) -> dict[str, Array]:
        """One run, or one for each sample where the inputs have a leading axis of them.

        Raises:
            UsageError: a name, shape or element type does not fit.
        """
        feeds = self._feeds(inputs)
        batch = self._batch(feeds)
        if batch is None:
            return self._once(feeds, observe)
        runs = [self._once({n: a[i : i + 1] for n, a in feeds.items()}, observe)
                for i in range(batch)]
        if not runs:
            return {port.name: _declared(port)[:0] for port in self.outputs}
        return {name: np.concatenate([np.atleast_1d(run[name]) for run in runs])
                for name in runs[0]}

    def _feeds(self, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
        names = [port.name for port in self.inputs]
        if not isinstance(inputs, Mapping):
            if len(names) != 1:
                raise _usage(f"the model has {len(names)} inputs: {', '.join(names)}",
                             "pass {name: array}")
            inputs = {names[0]: inputs}
        missing, extra = set(names) - set(inputs), set(inputs) - set(names)
        if missing or extra:
            raise _usage(f"inputs given: {', '.join(inputs)}; the model has {', '.join(names)}")
        return {name: np.asarray(inputs[name]) for name in names}

    def _batch(self, feeds: dict[str, Array]) -> int | None:
        """Number of samples when every input has a leading axis of them, None for a single run."""
        counts: set[int | None] = set()
        for port in self.inputs:
            given, shape = feeds[port.name].shape, port.shape
            if given == shape:
                counts.add(None)
            elif len(given) == len(shape) and shape and shape[0] == 1 and given[1:] == shape[1:]:
                counts.add(given[0])
            else:
                raise _usage(f"input {port.name!r} has shape {given}; the model takes {shape}")
        if 1 in counts:  # one sample, whether its axis was meant as that of samples or not
            counts.discard(None)
        if counts == {None}:
            return None
        if len(counts) != 1:
            raise _usage("the inputs have different numbers of samples")
        (count,) = counts
        return count

    def _once(self, feeds: dict[str, Array], observe: Observer | None) -> dict[str, Array]:
        engine = self.engine
        for place, port in enumerate(self.inputs):
            engine.write_input(place, to_device(feeds[port.name], port).tobytes())
        seen: dict[str, Array] = {}
        if observe is None:
            engine.run()
        else:
            engine.run_with(observe(engine, seen))
        for place, port in enumerate(self.outputs):
            flat = np.frombuffer(engine.read_output(place), port.tensor.dtype.numpy)
            seen[port.name] = from_device(flat.reshape(port.shape), port)
        return seen


def to_device(array: Array, port: Port) -> Array:
    """An input as the program takes it: quantized where the port is an integer tensor."""
    import onnx_ir as ir

    declared = ir.DataType(port.onnx_type).numpy()
    if not np.can_cast(array.dtype, declared, "same_kind"):
        raise _usage(f"input {port.name!r} is {array.dtype}; the model takes {declared}")
    array = array.astype(declared)
    wanted = port.tensor.dtype.numpy
    if declared == np.float32 and wanted in (np.int8, np.int16):
        assert port.scale is not None
        with np.errstate(over="ignore"):
            real = array.astype(np.float32) / np.float32(port.scale)
            codes = np.nan_to_num(np.rint(real) + port.zero_point, nan=float(port.zero_point))
        edge = 2 ** (8 * wanted.itemsize - 1)
        stored: Array = np.clip(codes, -edge, edge - 1).astype(wanted)
        return stored
    if declared == np.uint16 and wanted == np.int16:
        array = array.astype(np.int32) - 2**15
    if declared == np.int64:
        array = np.clip(array, -(2**31), 2**31 - 1)
    return array.astype(wanted)


def _declared(port: Port) -> Array:
    """Zeros of an output's shape, one sample at least, and element type."""
    import onnx_ir as ir

    return np.zeros(port.shape or (1,), ir.DataType(port.onnx_type).numpy())


def from_device(array: Array, port: Port) -> Array:
    """An output as the ONNX model declares it."""
    import onnx_ir as ir

    declared = ir.DataType(port.onnx_type).numpy()
    if declared == np.float32 and array.dtype in (np.int8, np.int16) and port.scale is not None:
        centred = (array.astype(np.int32) - port.zero_point).astype(np.float32)
        return (centred * np.float32(port.scale)).astype(np.float32)
    if declared == np.uint16:
        array = array.astype(np.int32) + 2**15
    return array.astype(declared)


def _usage(message: str, help: str = "") -> UsageError:
    return UsageError((Diagnostic("TC0301", message, help=help),))

