"""onnxruntime as the float oracle: the model as it is written, with no optimization.

At its default level onnxruntime quantizes activations behind weights that come from a
DequantizeLinear, so every session here runs with optimizations disabled. Imports onnxruntime,
which takes a second: import this module lazily.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

Array: TypeAlias = npt.NDArray[Any]  # of the element types that the model declares

# Element types that onnxruntime cannot hand to numpy.
_OPAQUE = frozenset({
    onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.INT2, onnx.TensorProto.UINT2,
    onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT8E4M3FN, onnx.TensorProto.FLOAT8E4M3FNUZ,
    onnx.TensorProto.FLOAT8E5M2, onnx.TensorProto.FLOAT8E5M2FNUZ, onnx.TensorProto.FLOAT4E2M1,
})


class OracleError(RuntimeError):
    """onnxruntime refuses the model or the feeds; the text is onnxruntime's."""


class Oracle:
    """Runs a model in onnxruntime: one thread, deterministic, no graph optimization.

    Sessions are made when first needed and kept, one for each set of outputs asked for.
    """

    def __init__(self, model: onnx.ModelProto | ir.Model) -> None:
        self._model = model if isinstance(model, onnx.ModelProto) else ir.to_proto(model)
        self._sessions: dict[tuple[str, ...], onnxruntime.InferenceSession] = {}
        self.outputs = tuple(output.name for output in self._model.graph.output)
        """Names of the model's own outputs."""

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors that `run` can return besides the inputs, in graph order."""
        graph = self._model.graph
        opaque = {
            value.name for value in graph.value_info
            if not value.type.HasField("tensor_type")
            or value.type.tensor_type.elem_type in _OPAQUE
        }
        produced = dict.fromkeys(
            name for node in graph.node for name in node.output if name and name not in opaque
        )
        return tuple({**produced, **dict.fromkeys(self.outputs)})

    def run(
        self,
        feeds: Mapping[str, npt.ArrayLike],
        outputs: Iterable[str] | None = None,
        *,
        intermediates: bool = False,
    ) -> dict[str, Array]:
        """Values of the outputs by name.

        Args:
            feeds: Every input's value.
            outputs: Names of the tensors to return, intermediate ones included (a graph input is
                returned as it was fed); the model's outputs by default.
            intermediates: Return every tensor.

        Raises:
            KeyError: The model has no tensor of a name in `outputs`.
            OracleError: onnxruntime refuses the model or the feeds.
        """
        if intermediates:
            wanted = self.tensors
        else:
            wanted = self.outputs if outputs is None else tuple(dict.fromkeys(outputs))
        given = {name: np.asarray(value) for name, value in feeds.items()}
        computed = tuple(name for name in wanted if name not in given or name in self.outputs)
        results: dict[str, Array] = {}
        if computed:
            session = self._session(computed)
            try:
                values = session.run(list(computed), given)
            except Exception as error:  # onnxruntime's exception types have no common base
                raise OracleError(str(error)) from error
            results = dict(zip(computed, values, strict=True))
        return {name: results[name] if name in results else given[name] for name in wanted}

    def _session(self, outputs: tuple[str, ...]) -> onnxruntime.InferenceSession:
        extra = tuple(name for name in outputs if name not in self.outputs)
        if extra not in self._sessions:
            model = self._with_outputs(extra)
            try:
                self._sessions[extra] = _session(model)
            except Exception as error:  # onnxruntime's exception types have no common base
                raise OracleError(str(error)) from error
        return self._sessions[extra]

    def _with_outputs(self, extra: tuple[str, ...]) -> onnx.ModelProto:
        if not extra:
            return self._model
        unknown = set(extra) - set(self.tensors)
        if unknown:
            raise KeyError(f"the model has no tensor {sorted(unknown)[0]!r}")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        known = {value.name: value for value in model.graph.value_info}
        for name in extra:
            # Without a known type onnxruntime fills in what its own inference finds, which also
            # covers contrib operators.
            model.graph.output.append(known.get(name) or onnx.ValueInfoProto(name=name))
        return model


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
