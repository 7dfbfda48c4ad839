"""Bugs of the lowering that were found by random graphs, one test each."""

from __future__ import annotations

import numpy as np
import pytest

from ternc import compiler as ternc
from ternc.oracle import Oracle
from tests.agreement import check, differences, floats, ints, model
from tests.quantized import SHARED


@pytest.mark.parametrize("n", [2, 3, 4, 8, 24])
@pytest.mark.parametrize("scale", [0.001, 0.02, 0.3])
def test_epsilon_of_a_small_normalization(n: int, scale: float) -> None:
    """A variance of a few steps: epsilon in whole steps is not exact enough, floats are."""
    proto = model(
        f"g (float[40,{n}] x) => (int8[A,B] qy) {{q=QuantizeLinear(x,s1,z1) "
        "d=DequantizeLinear(q,s1,z1) t=LayerNormalization(d,a,b) qy=QuantizeLinear(t,s2,z2)}",
        s1=np.float32(scale), z1=SHARED["z1"], s2=np.float32(0.005), z2=SHARED["z2"],
        a=floats(n), b=floats(n))
    feed = {"x": np.float32(scale) * np.rint(2 * floats(40, n)).astype(np.float32)}
    wanted = Oracle(proto).run(feed)
    assert max(differences(ternc.compile(proto, "host").run(feed), wanted).values()) <= 1


def test_two_outputs_of_one_value_keep_their_names() -> None:
    """onnx_ir's elimination of Identity would rename the first output to the second."""
    check(model("g (float[2,3] x) => (float[2,3] y, float[2,3] z, float[3,2] t) "
                "{y=Relu(x) z=Identity(y) t=Transpose(y)}"))


def test_pad_with_a_value_off_the_grid_stays_exact() -> None:
    """Rounding the fill value to the input's scale would be off by many steps of the output's."""
    check(model(
        "g (float[1,4] x) => (int8[1,6] qy) {q=QuantizeLinear(x,s1,z1) d=DequantizeLinear(q,s1,z1)"
        " t=Pad(d,p,c) qy=QuantizeLinear(t,s2,z2)}", p=ints(0, 1, 0, 1), c=np.float32(-3.456),
        s1=np.float32(0.02), z1=np.int8(3), s2=np.float32(0.03), z2=np.int8(-7)))


def test_pad_that_crops_everything() -> None:
    """Nothing is copied: the fill is all there is (once it replaced another instruction)."""
    check(model("g (float[2,3] x) => (float[N,M] y) {r=Relu(x) y=Pad(r,p,c)}",
                p=ints(-2, 0, 4, 0), c=np.float32(1.5)))


def test_pool_whose_last_window_starts_in_the_padding() -> None:
    """onnx counts that window, onnxruntime does not; the shapes behind follow onnxruntime."""
    check(model("g (float[1,2,8,10] x) => (float[1,2,N,M] y) {t=MaxPool<kernel_shape=[2,2],"
                "strides=[3,2],pads=[0,0,1,1],ceil_mode=1>(x) y=Relu(t)}"))


def test_transposed_convolution_of_a_given_shape() -> None:
    """Of an odd total padding the larger half is in front, unless SAME_UPPER says otherwise."""
    check(model("g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,3],"
                "output_shape=[10,14]>(x,w)}", w=floats(2, 3, 3, 3)))
    check(model("g (float[1,2,5,5] x) => (float[1,3,N,M] y) {y=ConvTranspose<strides=[2,2],"
                "output_shape=[12,12]>(x,w)}", w=floats(2, 3, 3, 3)))


def test_weights_of_a_higher_rank() -> None:
    check(model("g (float[4,3] x) => (float[1,1,4,2] y) {y=MatMul(x,w)}", w=floats(1, 1, 3, 2)))
