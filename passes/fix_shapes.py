"""Every input gets a shape of plain numbers; the batch becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from ternc.diagnostics import Diagnostics

# names that exporters and people give to a first axis that is not the batch
_NOT_A_BATCH = ("seq", "time", "len", "frame", "step", "token")


def batch_inputs(model: ir.Model) -> tuple[str, ...]:
    """The inputs whose first dimension is dynamic: those that `FixShapes` gives batch 1."""
    return tuple(
        value.name or "" for value in model.graph.inputs
        if not value.is_initializer() and value.shape is not None and len(value.shape)
        and not isinstance(value.shape[0], int)
    )


class FixShapes(ir.passes.InPlacePass):
    """dynamic dims := `shapes[input]` where given, then first dims := 1 (the batch).

    A symbol that one input resolves is resolved in all. Shapes that the file notes for other
    tensors are dropped, because they may be stale; `InferShapes` computes them again.

    Does not guess: a dynamic dim that is not the first, a first dim whose name says that it
    counts time steps, a symbol that is both a batch and another dim, or an unknown rank need
    `--shape` and are TC0103 otherwise. `shapes` that contradict the model are TC0403.
    """

    name: ClassVar[str] = "fix_shapes"

    def __init__(
        self, diagnostics: Diagnostics, shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        self.diagnostics = diagnostics
        self.shapes = dict(shapes or {})

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fixes the shapes of the inputs and clears those that depend on them."""
        inputs = {value.name or "": value for value in model.graph.inputs}
        before = {name: value.shape for name, value in inputs.items()}
        for name in self.shapes.keys() - inputs.keys():
            self.diagnostics.error("TC0403", f"--shape names {name!r}, which is no input",
                                   help=f"the inputs are {', '.join(sorted(inputs))}")
        known = self._apply_options(inputs)
        ambiguous = self._used_beyond_first(inputs)
        for name, value in inputs.items():
            self._fix(name, value, known, ambiguous)
        modified = any(before[name] != value.shape for name, value in inputs.items())
        if modified:
            for node in model.graph.all_nodes():
                for output in node.outputs:
                    output.shape = None
        return ir.passes.PassResult(model, modified)

    def _apply_options(self, inputs: Mapping[str, ir.Value]) -> dict[str, int]:
        known: dict[str, int] = {}
        for name in sorted(self.shapes.keys() & inputs.keys()):
            wanted, value = self.shapes[name], inputs[name]
            dims = tuple(value.shape) if value.shape is not None else wanted
            agrees = len(dims) == len(wanted) and all(
                not isinstance(dim, int) or dim == size
                for dim, size in zip(dims, wanted, strict=True))
            if not agrees or min(wanted, default=1) < 1:
                self.diagnostics.error(
                    "TC0403", f"--shape {name}:{_text(wanted)} contradicts the model, where the "
                              f"input is {_text(dims)}")
                continue
            for dim, size in zip(dims, wanted, strict=True):
                symbol = dim.value if isinstance(dim, ir.SymbolicDim) else None
                if symbol and known.setdefault(symbol, size) != size:
                    self.diagnostics.error(
                        "TC0403", f"--shape gives the dimension {symbol!r} two sizes, "
                                  f"{known[symbol]} and {size}")
            value.shape = ir.Shape(wanted)
        return known

    @staticmethod
    def _used_beyond_first(inputs: Mapping[str, ir.Value]) -> set[str]:
        return {
            dim.value for value in inputs.values() if value.shape is not None
            for dim in tuple(value.shape)[1:]
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None
        }

    def _fix(
        self, name: str, value: ir.Value, known: Mapping[str, int], ambiguous: set[str]
    ) -> None:
        if value.shape is None:
            self._unknown(name, value, "its rank is not known")
            return
        dims: list[int | ir.SymbolicDim] = []
        for index, dim in enumerate(value.shape):
            symbol = dim.value if isinstance(dim, ir.SymbolicDim) else None
            if isinstance(dim, int):
                dims.append(dim)
            elif symbol is not None and symbol in known:
                dims.append(known[symbol])
            elif index == 0 and symbol not in ambiguous and not _counts_steps(symbol):
                dims.append(1)
            else:
                dims.append(dim)
        value.shape = ir.Shape(dims)
        unresolved = [f"{dim.value or '?'} (axis {axis})" for axis, dim in enumerate(dims)
                      if not isinstance(dim, int)]
        if unresolved:
            self._unknown(name, value, f"dimension {', '.join(unresolved)} is dynamic")

    def _unknown(self, name: str, value: ir.Value, why: str) -> None:
        dims = tuple(value.shape) if value.shape is not None else ()
        example = ",".join(str(dim) if isinstance(dim, int) else "N" for dim in dims) or "DIMS"
        self.diagnostics.error(
            "TC0103", f"the shape of input {name!r} is not static: {why}",
            help=f"say it with --shape {name}:{example}")


def _counts_steps(symbol: str | None) -> bool:
    return symbol is not None and any(word in symbol.lower() for word in _NOT_A_BATCH)


def _text(dims: tuple[int | ir.SymbolicDim, ...]) -> str:
    return ",".join(str(dim) if isinstance(dim, int) else str(dim.value or "?") for dim in dims)
