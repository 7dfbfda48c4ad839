"""Calibration and validation data in every form that users hold it, as feeds of one sample each.

The forms: a .npz file with arrays under the inputs' names, a .npy file or an array (models with
one input), {input name: array with leading sample axis}, a directory of .npz or .npy files, and
an iterable of feeds. `labels` beside the inputs holds the labels. Whatever does not fit the model
is reported as TC0301, all of it at once where it can be seen before the first sample is read.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.diagnostics import CompileError, Diagnostic, Diagnostics

Array: TypeAlias = npt.NDArray[np.generic]
Feed: TypeAlias = dict[str, Array]
LABELS = "labels"
_UNNAMED = "arr_0"  # what numpy.savez calls an array that was given no name


@runtime_checkable
class ArrayLike(Protocol):
    """What numpy can read as one array: its own, torch's, TensorFlow's, pandas's."""

    def __array__(self) -> Array: ...


Data: TypeAlias = (
    "str | os.PathLike[str] | ArrayLike | Mapping[str, npt.ArrayLike] "
    "| Iterable[ArrayLike | Mapping[str, npt.ArrayLike]]"
)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input as the model takes it in a single run (batch 1 where the batch was dynamic)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def accepted(self) -> str:
        """The array shapes that hold N samples, for messages."""
        full = _text("N", *self.shape)
        return f"{full} or {_text('N', *self.shape[1:])}" if self._batched else full

    @property
    def _batched(self) -> bool:
        return bool(self.shape) and self.shape[0] == 1

    def split(self, array: Array, *, single: bool) -> Array | None:
        """`array` as (samples, *shape), or None; `single` allows one sample without its batch."""
        if array.shape == self.shape:
            return array[np.newaxis]
        if array.shape[1:] == self.shape and array.ndim:
            return array
        if self._batched and array.ndim and array.shape[1:] == self.shape[1:]:
            return array.reshape(-1, *self.shape) if array.size else array[:, np.newaxis]
        if single and self._batched and array.shape == self.shape[1:]:
            return array[np.newaxis, np.newaxis]
        return None


def _text(*extents: object) -> str:
    return f"({', '.join(map(str, extents))}{',' if len(extents) == 1 else ''})"


def input_specs(model: ir.Model | onnx.ModelProto) -> tuple[InputSpec, ...]:
    """The inputs of `model` that must be fed; a leading dimension that is not static counts as 1.

    Raises:
        CompileError: Another dimension is not static (TC0103), or the element type has no numpy
            equivalent (TC0104).
    """
    if isinstance(model, onnx.ModelProto):
        model = ir.from_proto(model)
    diagnostics = Diagnostics()
    specs = []
    for value in model.graph.inputs:
        name = value.name or ""
        if name in model.graph.initializers:
            continue
        extents = [] if value.shape is None else list(value.shape)
        if extents and not isinstance(extents[0], int):
            extents[0] = 1
        if value.shape is None or not all(isinstance(extent, int) for extent in extents):
            shape = "unknown" if value.shape is None else str(value.shape)
            diagnostics.error(
                "TC0103", f"input {name!r} has no static shape: {shape}",
                help=f"give it with --shape {name}:dims",
            )
            continue
        try:
            dtype = ir.DataType(value.dtype or 0).numpy()
        except (TypeError, ValueError):
            diagnostics.error("TC0104", f"input {name!r} has element type {value.dtype}")
            continue
        specs.append(InputSpec(name, tuple(int(str(extent)) for extent in extents), dtype))
    diagnostics.raise_errors()
    return tuple(specs)


@dataclass(frozen=True, slots=True)
class Samples:
    """Feeds of one sample each, read as they are asked for.

    Iterating a second time reads the data again; data that was an iterator gives its samples once.
    """

    feeds: Callable[[], Iterator[Feed]]
    count: int | None = None  # where it is known before reading
    labels: Array | None = None

    def __iter__(self) -> Iterator[Feed]:
        seen = False
        for feed in self.feeds():
            seen = True
            yield feed
        if not seen:
            raise _failure("the data holds no samples")


def samples(data: Data, inputs: Sequence[InputSpec]) -> Samples:
    """The samples in `data` as feeds with the model's own shapes and element types.

    An array may carry the batch axis in front of each sample or leave it out. Integer arrays for a
    float input are taken as their values.

    Raises:
        CompileError: The data does not fit the model (TC0301) or cannot be read (TC0001); while
            iterating too, for what shows only there.
    """
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if path.is_dir():
            return _directory(path, inputs)
        return _arrays(_load(path), inputs, f"{path.name}: ")
    if isinstance(data, Mapping):
        return _arrays({name: _array(value) for name, value in data.items()}, inputs)
    if isinstance(data, ArrayLike):
        return _arrays(_only_input(_array(data), inputs), inputs)
    if isinstance(data, Iterable):
        return Samples(lambda: _iterable(data, inputs))
    raise _failure(
        f"data of type {type(data).__name__} cannot be read",
        help="pass a .npz path, an array, {input name: array}, or an iterable of feeds",
    )


def random_feeds(inputs: Sequence[InputSpec], count: int, seed: int = 0) -> Iterator[Feed]:
    """`count` feeds of seeded noise: standard normal floats, integers over their full range."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield {spec.name: _noise(spec, generator) for spec in inputs}


def _noise(spec: InputSpec, generator: np.random.Generator) -> Array:
    if spec.dtype.kind == "f":
        return np.asarray(generator.standard_normal(spec.shape)).astype(spec.dtype)
    if spec.dtype.kind == "b":
        return np.asarray(generator.integers(0, 2, spec.shape)).astype(spec.dtype)
    if spec.dtype.kind not in "iu":
        raise _failure(f"no random values exist for input {spec.name!r} of type {spec.dtype}")
    low, high = _limits(spec.dtype)
    kind = np.uint64 if low == 0 else np.int64
    return np.asarray(generator.integers(low, high, spec.shape, kind, endpoint=True)).astype(
        spec.dtype
    )


def _limits(dtype: np.dtype[np.generic]) -> tuple[int, int]:
    """The smallest and the largest value of an integer type."""
    bits = 8 * dtype.itemsize
    return (0, 2**bits - 1) if dtype.kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


# --- the forms -----------------------------------------------------------------------------------


def _arrays(
    arrays: Mapping[str, Array], inputs: Sequence[InputSpec], where: str = "",
    *, single: bool = False,
) -> Samples:
    """Arrays under the inputs' names; `where` opens every message; labels are checked here."""
    names = [spec.name for spec in inputs]
    given = dict(arrays)
    labels = given.pop(LABELS, None) if LABELS not in names else None
    if len(names) == 1 and list(given) == [_UNNAMED]:
        given = {names[0]: given[_UNNAMED]}
    diagnostics = Diagnostics()
    if set(given) != set(names):
        diagnostics.error(
            "TC0301", f"{where}the names of the data are not the model's inputs",
            notes=(f"expected: {_list(names)}", f"found: {_list(given)}"),
            help="name the arrays as the inputs; labels go under 'labels'",
        )
    parts: dict[str, Array] = {}
    for spec in inputs:
        if spec.name in given:
            part = _part(given[spec.name], spec, where, diagnostics, single=single)
            if part is not None:
                parts[spec.name] = part
    counts = {name: len(part) for name, part in parts.items()}
    if labels is not None and counts:
        counts[LABELS] = labels.shape[0] if labels.ndim else 0
    if len(set(counts.values())) > 1:
        diagnostics.error(
            "TC0301", f"{where}the arrays hold different numbers of samples",
            notes=tuple(f"{name!r}: {count}" for name, count in counts.items()),
        )
    elif counts and 0 in counts.values():
        diagnostics.error("TC0301", f"{where}the data holds no samples")
    diagnostics.raise_errors()
    count = next(iter(counts.values()), 1)

    def feeds() -> Iterator[Feed]:
        for index in range(count):
            yield {
                spec.name: _value(parts[spec.name][index], spec, f"{where}sample {index}: ")
                for spec in inputs
            }

    return Samples(feeds, count, labels)


def _iterable(data: Iterable[object], inputs: Sequence[InputSpec]) -> Iterator[Feed]:
    for index, item in enumerate(data):
        where = f"feed {index}: "
        if isinstance(item, Mapping):
            arrays = {str(name): _array(value) for name, value in item.items()}
        elif isinstance(item, ArrayLike):
            arrays = _only_input(_array(item), inputs, where)
        else:
            raise _failure(
                f"{where}a {type(item).__name__} is not a feed",
                help="yield {input name: array}, without the labels; or one array, for a model "
                "with one input",
            )
        arrays.pop(LABELS, None) if LABELS not in {spec.name for spec in inputs} else None
        yield from _arrays(arrays, inputs, where, single=True)


def _directory(path: Path, inputs: Sequence[InputSpec]) -> Samples:
    """Files of samples in the order of their names; or one .npy for each input."""
    files = sorted(file for file in path.iterdir() if file.suffix in (".npy", ".npz"))
    if not files:
        raise _failure(f"{path} holds no .npz or .npy files")
    named = {file.stem: file for file in files if file.suffix == ".npy"}
    if {spec.name for spec in inputs} <= set(named):
        wanted = {spec.name for spec in inputs} | {LABELS}
        return _arrays(
            {name: _load(file)[_UNNAMED] for name, file in named.items() if name in wanted},
            inputs, f"{path.name}: ",
        )
    labels = _load(named[LABELS])[_UNNAMED] if LABELS in named else None
    files = [file for file in files if file.name != f"{LABELS}.npy"]

    def one(file: Path) -> Samples:
        arrays = _load(file)
        if file.suffix == ".npy":
            arrays = _only_input(arrays[_UNNAMED], inputs, f"{file.name}: ")
        elif LABELS in arrays and not arrays[LABELS].ndim:
            arrays[LABELS] = arrays[LABELS][np.newaxis]
        return _arrays(arrays, inputs, f"{file.name}: ", single=True)

    def feeds() -> Iterator[Feed]:
        for file in files:
            yield from one(file)

    # One pass over the files finds what does not fit before anything is computed from it.
    checked = [one(file) for file in files]
    count = sum(part.count or 0 for part in checked)
    inside = [part.labels for part in checked if part.labels is not None]
    if labels is None and len(inside) == len(checked):
        labels = np.concatenate(inside)
    elif labels is not None and len(labels) != count:
        raise _failure(
            f"{path.name}: the arrays hold different numbers of samples",
            notes=(f"files: {count}", f"{LABELS!r}: {len(labels)}"),
        )
    return Samples(feeds, count, labels)


# --- pieces --------------------------------------------------------------------------------------


def _failure(message: str, *, notes: tuple[str, ...] = (), help: str = "") -> CompileError:
    return CompileError((Diagnostic("TC0301", message, notes=notes, help=help),))


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _array(value: npt.ArrayLike | ArrayLike) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _failure(f"the data is no array: {error}") from error


def _only_input(array: Array, inputs: Sequence[InputSpec], where: str = "") -> dict[str, Array]:
    if len(inputs) != 1:
        raise _failure(
            f"{where}a single array cannot feed a model with {len(inputs)} inputs",
            notes=(f"expected: {_list(spec.name for spec in inputs)}",),
            help="name the arrays as the inputs, in a .npz or a dict",
        )
    return {inputs[0].name: array}


def _load(path: Path) -> dict[str, Array]:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {_UNNAMED: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        message = f"{path} cannot be read: {error}"
        raise CompileError((Diagnostic(
            "TC0001", message, help="data is a .npz or .npy file, without pickled objects"
        ),)) from error


def _part(
    array: Array, spec: InputSpec, where: str, diagnostics: Diagnostics, *, single: bool
) -> Array | None:
    """`array` split into samples, or None after reporting why not."""
    allowed = {"f": "fiub", "i": "iub", "u": "iub"}.get(spec.dtype.kind, spec.dtype.kind)
    if array.dtype.kind not in allowed:
        diagnostics.error(
            "TC0301", f"{where}the data for input {spec.name!r} has the wrong type",
            notes=(f"expected: {spec.dtype}", f"found: {array.dtype}"),
            help="quantize the data with the input's scale and zero point"
            if array.dtype.kind == "f" and spec.dtype.kind in "iu" else "",
        )
        return None
    part = spec.split(array, single=single)
    if part is None:
        diagnostics.error(
            "TC0301", f"{where}the data for input {spec.name!r} has the wrong shape",
            notes=(f"expected: {spec.accepted}", f"found: {_text(*array.shape)}"),
            help=_shape_help(array.shape, spec),
        )
    return part


def _shape_help(found: tuple[int, ...], spec: InputSpec) -> str:
    """What to do when the elements of a sample are right in number but not in arrangement."""
    wanted = int(np.prod(spec.shape))
    if len(found) > 1 and int(np.prod(found[1:])) == wanted:
        if sorted(n for n in found[1:] if n > 1) == sorted(n for n in spec.shape if n > 1) and (
            [n for n in found[1:] if n > 1] != [n for n in spec.shape if n > 1]
        ):
            return "the axes seem to be in another order: transpose the data"
        return f"reshape the data to {_text(found[0], *spec.shape)}"
    return ""


def _value(sample: Array, spec: InputSpec, where: str) -> Array:
    """One sample in the input's element type, its values checked."""
    if spec.dtype.kind in "iu" and sample.size:
        lowest, highest = _limits(spec.dtype)
        low, high = int(sample.min()), int(sample.max())
        if low < lowest or high > highest:
            raise _failure(
                f"{where}a value for input {spec.name!r} does not fit in {spec.dtype}",
                notes=(f"expected: {lowest} to {highest}", f"found: {low} to {high}"),
            )
    with np.errstate(over="ignore"):
        value = np.ascontiguousarray(sample).astype(spec.dtype).reshape(spec.shape)
    if spec.dtype.kind == "f" and not np.isfinite(value).all():
        kind = "not a number" if np.isnan(value).any() else "infinite"
        raise _failure(f"{where}a value for input {spec.name!r} is {kind}")
    return value
