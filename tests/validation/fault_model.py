"""A small network with many kinds of layers, and data whose classes it answers rightly."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ternc.oracle import Oracle

Array = npt.NDArray[Any]
SAMPLES = 32
_CANDIDATES = 400
_OF_EACH = 6


def network() -> onnx.ModelProto:
    """Conv+BatchNorm, ternary Conv, Sub, Clip, pools, depthwise Conv, Concat, Gemm, Softmax."""
    generator = np.random.default_rng(7)

    def real(*shape: int, size: float = 0.5) -> Array:
        return (generator.standard_normal(shape) * size).astype(np.float32)

    def ternary(*shape: int) -> Array:
        return (generator.integers(-1, 2, shape) * 0.125).astype(np.float32)

    weights = {
        "w1": ternary(8, 3, 3, 3), "b1": real(8, size=0.3),
        "bn_scale": 1 + real(8, size=0.2), "bn_bias": real(8), "bn_mean": real(8, size=0.3),
        "bn_var": np.abs(real(8)) + np.float32(0.5),
        "w2": real(8, 8, 3, 3, size=0.2), "b2": real(8),
        "lo": np.float32(-1.5), "hi": np.float32(1.25),
        "w3": real(8, 1, 3, 3), "b3": real(8), "w4": ternary(8, 8, 1, 1), "b4": real(8, size=0.3),
        "w5": real(144, 12, size=0.1), "b5": real(12), "w6": real(12, 12, size=0.4),
        "b6": real(12), "grid": np.array([1, 3, 4]), "flat": np.array([1, 12]),
        "gain": np.float32(3.0),
    }
    node = helper.make_node
    graph = helper.make_graph([
        node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c1", "bn_scale", "bn_bias", "bn_mean", "bn_var"], ["n1"],
             name="bn"),
        node("Relu", ["n1"], ["r1"], name="relu1"),
        node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        node("Sub", ["c2", "r1"], ["s1"], name="sub"),
        node("Clip", ["s1", "lo", "hi"], ["k1"], name="clip"),
        node("AveragePool", ["k1"], ["p1"], name="average", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w3", "b3"], ["d1"], name="depthwise", pads=[1, 1, 1, 1], group=8),
        node("MaxPool", ["d1"], ["m1"], name="maximum", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w4", "b4"], ["q1"], name="pointwise", strides=[2, 2]),
        node("Concat", ["m1", "q1"], ["cat"], name="concat", axis=1),
        node("Flatten", ["cat"], ["f1"], name="flatten"),
        node("Gemm", ["f1", "w5", "b5"], ["g1"], name="dense1"),
        node("LeakyRelu", ["g1"], ["r2"], name="leaky", alpha=0.1),
        node("Gemm", ["r2", "w6", "b6"], ["g2"], name="dense2"),
        node("Mul", ["g2", "gain"], ["g3"], name="gain_mul"),
        node("Reshape", ["g3", "grid"], ["z1"], name="as_grid"),
        node("Softmax", ["z1"], ["e1"], name="softmax", axis=2),
        node("Reshape", ["e1", "flat"], ["scores"], name="as_scores"),
    ], "faults", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 12])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@cache
def data() -> dict[str, Array]:
    """Smooth noise, and under "labels" the class that the float network itself gives.

    Of each class at most six images, those with the clearest answers: quantization leaves them.
    """
    generator = np.random.default_rng(11)
    coarse = generator.standard_normal((_CANDIDATES, 3, 4, 4)) * 2
    images = coarse.repeat(3, axis=2).repeat(3, axis=3)
    images = (images + 0.4 * generator.standard_normal(images.shape)).astype(np.float32)
    oracle = Oracle(network())
    scores = np.concatenate([oracle.run({"x": image[None]})["scores"] for image in images])
    ranked = np.sort(scores, axis=1)
    chosen: list[int] = []
    classes = scores.argmax(axis=1)
    for i in np.argsort(ranked[:, -2] - ranked[:, -1]):
        if len(chosen) < SAMPLES and (classes[chosen] == classes[i]).sum() < _OF_EACH:
            chosen.append(int(i))
    return {"x": images[chosen], "labels": classes[chosen]}
