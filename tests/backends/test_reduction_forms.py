"""Reductions against onnxruntime: every operator, axes, layout and element type."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ternc import compiler as ternc
from ternc.diagnostics import CompileError
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from tests.agreement import Array, check, feeds, floats, form, instructions, ints, model

OPERATORS = ("Sum", "Min", "Max", "Mean", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")
IN_INTEGERS = ("Sum", "Min", "Max", "Mean", "L1", "SumSquare")
SETTINGS = settings(deadline=None, max_examples=60, derandomize=True,
                    suppress_health_check=list(HealthCheck))

FORMS = (
    form("attributes",
         "g (float[2,3,4,5] x) => (float[N,M] y) {y=ReduceSum<axes=[1,-1],keepdims=0>(x)}",
         opset=11),
    form("attribute of min",
         "g (float[2,3,4] x) => (float[2,1,4] y) {y=ReduceMin<axes=[1]>(x)}", opset=13),
    form("attribute of l2",
         "g (float[2,3,4] x) => (float[2,1,4] y) {y=ReduceL2<axes=[-2]>(x)}", opset=13),
    form("scalar", "g (float x) => (float y) {y=ReduceLogSumExp(x)}"),
    form("min of int8", "g (int8[2,3,4] x) => (int8[2,1,4] y) {y=ReduceMin(x,a)}", a=ints(1)),
    form("min of uint8", "g (uint8[2,3,4] x) => (uint8[N,M] y) {y=ReduceMin<keepdims=0>(x,a)}",
         a=ints(-1)),
    form("norm, as exporters write it",
         "g (float[2,3,4] x) => (float[2,3,4] y) {n=ReduceL2(x,a) m=Clip(n,least) y=Div(x,m)}",
         a=ints(-1), least=np.float32(1e-12)),
)  # fmt: skip


@pytest.mark.parametrize("model", FORMS)
def test_agrees(model: onnx.ModelProto) -> None:
    check(model)
    check(model, fuse=False)


def reduction(name: str, shape: tuple[int, ...], axes: list[int] | None, keep: int,
              noop: int = 0, *, image: bool = False) -> onnx.ModelProto:
    """One operator of positive values; with `image` behind a Conv, so that channels are last."""
    dims = ",".join(map(str, shape))
    given = ",a" if axes is not None else ""
    first, used = "v=Abs(x)", {} if axes is None else {"a": ints(*axes)}
    if image:
        first = "c=Conv(x,w) v=Abs(c)"
    constants: dict[str, Any] = {**used, **({"w": floats(shape[1], shape[1], 1, 1)} if image
                                            else {})}
    return model(f"g (float[{dims}] x) => (float y) {{{first} "
                 f"y=Reduce{name}<keepdims={keep},noop_with_empty_axes={noop}>(v{given})}}",
                 **constants)


def unshaped(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the shape of the output, which the compiler finds."""
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto


@SETTINGS
@given(st.sampled_from(OPERATORS), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_every_axis(name: str, shape: list[int], data: st.DataObject) -> None:
    rank = len(shape)
    axes = data.draw(st.none() | st.lists(st.integers(-rank, rank - 1), max_size=rank))
    if axes is not None:
        axes = list({axis % rank: axis for axis in axes}.values())
    keep, noop = data.draw(st.integers(0, 1)), data.draw(st.integers(0, 1))
    image = rank == 4 and data.draw(st.booleans())
    check(unshaped(reduction(name, tuple(shape), axes, keep, noop, image=image)))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("axes", [[1], [2, 3], [0, 3], None])
def test_calibrated(name: str, activations: Any, axes: list[int] | None) -> None:
    """Each layer gives onnxruntime's integers within 1, and the first operators use no float."""
    proto = unshaped(reduction(name, (2, 3, 4, 5), axes, 1, image=True))
    data = [feeds(proto, seed) for seed in range(4)]
    compiled = ternc.compile(proto, "host", calibration_data=data, activations=activations,
                             check_fit=False)
    for result in check_layers(compiled.model, data):
        assert result.worst <= 1, result
    if name in IN_INTEGERS:
        assert not any("f32" in used for used in instructions(compiled))


@pytest.mark.parametrize(("bits", "zero", "out_zero"), [(8, 3, -100), (8, -128, -128),
                                                        (16, 0, 0)])
@pytest.mark.parametrize("name", IN_INTEGERS)
def test_extreme_integers(name: str, bits: int, zero: int, out_zero: int) -> None:
    """The lowest and highest integers, where a sign or a square might not fit."""
    edge, dtype = 2 ** (bits - 1), np.int8 if bits == 8 else np.int16
    real = {"Sum": 60.0, "L1": 60.0, "SumSquare": 400.0}.get(name, 4.0) * 1.5
    proto = model(
        f"g (int{bits}[4,30] x) => (int{bits}[4] y) {{d=DequantizeLinear(x,s,z) "
        f"t=Reduce{name}<keepdims=0>(d,a) y=QuantizeLinear(t,o,p)}}", s=np.float32(2 / edge),
        z=dtype(zero), a=ints(1), o=np.float32(real / edge), p=dtype(out_zero))
    rows = [np.full(30, -edge), np.full(30, edge - 1), np.arange(30) % 2 * (2 * edge - 1) - edge,
            np.random.default_rng(0).integers(-edge, edge, 30)]
    x: Array = np.array(rows, dtype)
    (got,) = ternc.compile(proto, "host", check_fit=False).run(x).values()
    (wanted,) = Oracle(proto).run({"x": x}).values()
    assert np.abs(got.astype(np.int64) - wanted.astype(np.int64)).max() <= 1


def test_log_sum_exp_is_stable() -> None:
    proto = model("g (float[5,3] x) => (float[5] y) {y=ReduceLogSumExp<keepdims=0>(x,a)}",
                  a=ints(1))
    low = -np.inf
    x = np.array([[1000, 1000, 999], [-1000, -1001, -1002], [0, low, low], [low, low, low],
                  [3e38, 1, np.inf]], np.float32)
    (got,) = ternc.compile(proto, "host").run(x).values()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, np.logaddexp.reduce(x.astype(np.float64), 1), rtol=1e-6)


def test_axes_that_are_computed_are_refused() -> None:
    proto = model("g (float[2,3] x, int64[1] a) => (float[2,1] y) {y=ReduceSum(x,a)}")
    with pytest.raises(CompileError) as caught:
        ternc.compile(proto, "host", check_fit=False)
    assert any(d.severity.name == "ERROR" for d in caught.value.diagnostics)
