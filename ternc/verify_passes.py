"""Translation validation: the model runs in onnxruntime before and after every pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from ternc.comparison import difference, sqnr_db
from ternc.diagnostics import CompileError, Diagnostics
from ternc.feeds import Feed, input_specs, random_feeds
from ternc.oracle import Oracle, OracleError

Array = npt.NDArray[np.generic]
_LIMIT = 1e-4  # relative to the largest value of an output
_FLIPPED_DB = 30.0  # a rounding that falls the other way stays far below this
_SAMPLES = 3
_LOSSY = frozenset({"quantize"})


class PassVerifier:
    """Compares the model after each pass with the model before it, on seeded noise.

    A pass that moves an output by more than 1e-4 of its largest value is an error (TC0206), as is
    one after which onnxruntime refuses the model. In a model that quantizes, the last bits of a
    float may tip a rounding: there an output passes with 30 dB of signal to noise as well.
    `quantize` is lossy by design and is reported as a note. While onnxruntime cannot run the model
    at all (QONNX's own operators, shapes that are not fixed yet), there is nothing to compare; the
    first form that runs is the reference from there on.
    """

    def __init__(self, source: onnx.ModelProto, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics
        self._feeds: list[Feed] = []
        self._before: list[dict[str, Array]] | None = None
        self._before = self._run(source)
        self._last = source if self._before is not None else None

    def __call__(self, name: str, model: ir.Model) -> None:
        """Checks what pass `name` made."""
        proto = ir.to_proto(model)
        after = self._run(proto)
        before, self._before = self._before, after or self._before
        last, self._last = self._last, proto if after is not None else self._last
        if before is None or last is None:
            return
        if after is None:
            self._diagnostics.error(
                "TC0206", f"onnxruntime refuses the model after pass {name!r}: {self._why}",
                help="this is a bug in ternc: please report it with the model")
            return
        for output in before[0]:
            self._compare(name, output, [run[output] for run in before],
                          [run.get(output) for run in after], (last, proto))

    def _run(self, proto: onnx.ModelProto) -> list[dict[str, Array]] | None:
        self._why = ""
        try:
            if not self._feeds:
                feeds = list(random_feeds(input_specs(proto), _SAMPLES))
            else:
                feeds = self._feeds
            oracle = Oracle(proto)
            runs = [oracle.run(feed) for feed in feeds]
        except (OracleError, CompileError) as error:
            self._why = str(error).splitlines()[0] if str(error) else "no reason given"
            return None
        self._feeds = feeds
        return runs

    def _compare(
        self, name: str, output: str, before: list[Array], after: list[Array | None],
        models: tuple[onnx.ModelProto, onnx.ModelProto],
    ) -> None:
        far = 0.0
        for old, new in zip(before, after, strict=True):
            if new is None or new.size != old.size:
                self._diagnostics.error(
                    "TC0206", f"pass {name!r} lost output {output!r} or changed its size",
                    help="this is a bug in ternc: please report it with the model")
                return
            far = max(far, difference(new.reshape(old.shape), old)[0])
        if far <= _LIMIT:
            return
        signal = sqnr_db(np.concatenate([new.reshape(-1) for new in after if new is not None]),
                         np.concatenate([old.reshape(-1) for old in before]))
        if name in _LOSSY:
            self._diagnostics.note(
                "TC0206", f"pass {name!r} is lossy: output {output!r} keeps {signal:.1f} dB of "
                "signal to noise, on noise as input")
        elif not (_quantizes(models[1]) and signal >= _FLIPPED_DB):
            node = self._first_that_differs(*models)
            self._diagnostics.error(
                "TC0206", f"pass {name!r} changed output {output!r} by {far:.2g} of its largest "
                f"value ({signal:.1f} dB)",
                node=node.name if node is not None else "",
                op_type=node.op_type if node is not None else "",
                notes=("it is the first node whose output differs",) if node is not None else (),
                help="this is a bug in ternc: please report it with the model, and with what "
                f"--dump-after={name} prints")

    def _first_that_differs(
        self, before: onnx.ModelProto, after: onnx.ModelProto
    ) -> onnx.NodeProto | None:
        """The first node of `after` that gives another value for a tensor that both have."""
        one, other = Oracle(before), Oracle(after)
        shared = set(one.tensors) & set(other.tensors)
        try:
            old, new = one.run(self._feeds[0], shared), other.run(self._feeds[0], shared)
        except OracleError:
            return None
        nodes: list[onnx.NodeProto] = list(after.graph.node)
        for node in nodes:
            for tensor in node.output:
                if tensor in shared and (
                        old[tensor].size != new[tensor].size or difference(
                            new[tensor].reshape(old[tensor].shape), old[tensor])[0] > _LIMIT):
                    return node
        return None


def _quantizes(proto: onnx.ModelProto) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in proto.graph.node)
