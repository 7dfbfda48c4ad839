"""Random ONNX graphs from the supported operators, as a hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int, ...]


@dataclass
class Builder:
    """A graph under construction; `values` are the float tensors so far with their shapes."""

    draw: Callable[[Any], Any]
    seed: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    values: list[tuple[str, Shape]] = field(default_factory=list)
    indices: list[tuple[str, Shape]] = field(default_factory=list)  # outputs of type int64
    count: int = 0

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def constant(self, shape: Shape, low: float = -1.0, high: float = 1.0) -> str:
        generator = np.random.default_rng(self.seed + self.count)
        name = self.name("c")
        array = generator.uniform(low, high, shape).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, values: list[int]) -> str:
        name = self.name("i")
        self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def ternary(self, shape: Shape) -> str:
        """Ternary weights with a scale per output channel (axis 0)."""
        generator = np.random.default_rng(self.seed + self.count)
        scale = generator.uniform(0.1, 1.0, (shape[0], *([1] * (len(shape) - 1))))
        codes = generator.integers(-1, 2, shape)
        name = self.name("t")
        self.initializers.append(numpy_helper.from_array((codes * scale).astype(np.float32), name))
        return name

    def add(
        self, op: str, inputs: list[str], shape: Shape, **attributes: Any
    ) -> tuple[str, Shape]:
        name = self.name("v")
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"n_{name}", **attributes))
        self.values.append((name, shape))
        return name, shape


def _conv(b: Builder, x: str, shape: Shape) -> None:
    rank = len(shape) - 2
    groups = b.draw(st.sampled_from([g for g in (1, 2, 3, shape[1]) if shape[1] % g == 0]))
    out = groups * b.draw(st.integers(1, 3))
    kernel = [b.draw(st.integers(1, min(3, d))) for d in shape[2:]]
    strides = [b.draw(st.integers(1, 2)) for _ in kernel]
    dilations = [b.draw(st.integers(1, 2)) if d > 4 else 1 for d in shape[2:]]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": groups}
    begin = [b.draw(st.integers(0, 2)) for _ in kernel]
    end = [b.draw(st.integers(0, 2)) for _ in kernel]
    # onnxruntime does not run dilated convolutions with auto_pad.
    if max(dilations) > 1 or b.draw(st.booleans()):
        attributes["pads"] = begin + end
        size = [(d + p + q - e * (k - 1) - 1) // s + 1 for d, p, q, e, k, s in
                zip(shape[2:], begin, end, dilations, kernel, strides, strict=True)]
    else:
        attributes["auto_pad"] = b.draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
        size = [-(-d // s) for d, s in zip(shape[2:], strides, strict=True)]
    if min(size) < 1:
        return
    weight_shape = (out, shape[1] // groups, *kernel)
    w = b.ternary(weight_shape) if b.draw(st.booleans()) else b.constant(weight_shape)
    inputs = [x, w] + ([b.constant((out,))] if b.draw(st.booleans()) else [])
    assert rank in (1, 2)
    b.add("Conv", inputs, (shape[0], out, *size), kernel_shape=kernel, **attributes)


def _conv_transpose(b: Builder, x: str, shape: Shape) -> None:
    groups = b.draw(st.sampled_from([g for g in (1, shape[1]) if shape[1] % g == 0]))
    per_group = b.draw(st.integers(1, 2))
    kernel = [b.draw(st.integers(1, 3)) for _ in shape[2:]]
    strides = [b.draw(st.integers(1, 2)) for _ in kernel]
    pads = [b.draw(st.integers(0, k - 1)) for k in kernel] * 2
    size = [(d - 1) * s + k - 2 * p for d, s, k, p in
            zip(shape[2:], strides, kernel, pads[: len(kernel)], strict=True)]
    if min(size) < 1:
        return
    attributes: dict[str, Any] = {"group": groups, "kernel_shape": kernel, "strides": strides}
    extra = [b.draw(st.integers(0, s - 1)) for s in strides]
    size = [d + e for d, e in zip(size, extra, strict=True)]
    # onnx infers no shape from an output_shape below the input's.
    if min(d - i for d, i in zip(size, shape[2:], strict=True)) < 0 or b.draw(st.booleans()):
        attributes.update(pads=pads, output_padding=extra)
    else:
        attributes["output_shape"] = size
    inputs = [x, b.constant((shape[1], per_group, *kernel))]
    inputs += [b.constant((groups * per_group,))] if b.draw(st.booleans()) else []
    b.add("ConvTranspose", inputs, (shape[0], groups * per_group, *size), **attributes)


def _matmul(b: Builder, x: str, shape: Shape) -> None:
    out = b.draw(st.integers(1, 6))
    if len(shape) > 1 and b.draw(st.integers(0, 3)) == 0:  # the constant on the left
        b.add("MatMul", [b.constant((out, shape[-2])), x], (*shape[:-2], out, shape[-1]))
        return
    ones = (1,) * b.draw(st.sampled_from([0, 0, 0, 1, 2]))
    batch = shape[:-2] if len(shape) > 2 and b.draw(st.integers(0, 3)) == 0 else ones
    w = b.constant((*batch, shape[-1], out))
    lead = (1,) * (len(batch) + 2 - max(len(shape), 2))
    name, y = b.add("MatMul", [x, w], (*lead, *shape[:-1], out))
    if b.draw(st.booleans()):
        b.add("Add", [name, b.constant((out,))], y)


def _gemm(b: Builder, x: str, shape: Shape) -> None:
    if len(shape) != 2:
        return
    out = b.draw(st.integers(1, 6))
    trans_a, trans_b = b.draw(st.integers(0, 3)) == 0, b.draw(st.booleans())
    rows, columns = reversed(shape) if trans_a else shape
    w = b.ternary((out, columns)) if trans_b else b.constant((columns, out))
    addend = b.draw(st.sampled_from(
        [None, None, (out,), (1, out), (1,), (), (rows, 1), (rows, out)]))
    inputs = [x, w] if addend is None else [x, w, b.constant(addend)]
    b.add("Gemm", inputs, (rows, out), transA=int(trans_a), transB=int(trans_b),
          alpha=b.draw(st.sampled_from([1.0, 0.5, -0.7])),
          beta=b.draw(st.sampled_from([1.0, 2.0])))


def _product(b: Builder, x: str, shape: Shape) -> None:
    """x times its own transpose: a product of two activations."""
    if len(shape) < 2 or prod(shape) > 300:
        return
    perm = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    turned, other = b.add("Transpose", [x], (*shape[:-2], shape[-1], shape[-2]), perm=list(perm))
    b.add("MatMul", [x, turned], (*shape[:-1], other[-1]))


def _arithmetic(b: Builder, x: str, shape: Shape) -> None:
    op = b.draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    other: list[str] = [n for n, s in b.values if s == shape and n != x]
    if other and op != "Div" and b.draw(st.booleans()):
        b.add(op, [x, b.draw(st.sampled_from(other))], shape)
        return
    small = tuple(d if b.draw(st.booleans()) else 1 for d in shape)
    small = small[b.draw(st.integers(0, len(small))):]
    constant = b.constant(small, 0.5, 2.0)
    inputs = (
        [constant, x] if op in ("Add", "Sub", "Mul") and b.draw(st.booleans()) else [x, constant]
    )
    b.add(op, inputs, shape)


def _unary(b: Builder, x: str, shape: Shape) -> None:
    op = b.draw(st.sampled_from([
        "Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu",
        "PRelu", "Identity", "Abs", "Neg", "Dropout"]))
    inputs = [x]
    if op == "Clip":
        low, high = b.constant((), -0.5, 0.0), b.constant((), 0.5, 1.0)
        inputs += b.draw(st.sampled_from([[low, high], [low], ["", high], []]))
    elif op == "PRelu":
        inputs += [b.constant((shape[1], *([1] * (len(shape) - 2))) if len(shape) > 1 else (1,))]
    b.add(op, inputs, shape)


def _pool(b: Builder, x: str, shape: Shape) -> None:
    op = b.draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"]))
    if op.startswith("Global"):
        b.add(op, [x], (*shape[:2], *([1] * (len(shape) - 2))))
        return
    kernel = [b.draw(st.integers(1, min(3, d))) for d in shape[2:]]
    strides = [b.draw(st.integers(1, 3)) for _ in kernel]
    dilations = [b.draw(st.integers(1, 2)) if d > 4 else 1 for d in shape[2:]]
    begin = [b.draw(st.integers(0, k - 1)) for k in kernel]
    end = [b.draw(st.integers(0, k - 1)) for k in kernel]
    ceil = b.draw(st.booleans())
    size = []
    for d, p, q, k, s, e in zip(shape[2:], begin, end, kernel, strides, dilations, strict=True):
        room = d + p + q - e * (k - 1) - 1
        out = (-(-room // s) if ceil else room // s) + 1
        # onnx counts a window that starts in the padding behind, onnxruntime leaves it out.
        size.append(0 if ceil and (out - 1) * s >= d + p else out)
    if min(size) < 1:
        return
    extra = {"count_include_pad": b.draw(st.integers(0, 1))} if op == "AveragePool" else {}
    b.add(op, [x], (*shape[:2], *size), kernel_shape=kernel, strides=strides, pads=begin + end,
          dilations=dilations, ceil_mode=int(ceil), **extra)


def _index(b: Builder, x: str, shape: Shape) -> None:
    """An output of indices."""
    op, axis = b.draw(st.sampled_from(["ArgMax", "ArgMin"])), b.draw(
        st.integers(-len(shape), len(shape) - 1))
    keep = b.draw(st.booleans())
    places = range(len(shape))
    out = tuple(1 if i == axis % len(shape) else shape[i] for i in places
                if keep or i != axis % len(shape))
    b.indices.append(b.add(op, [x], out, axis=axis, keepdims=int(keep),
                           select_last_index=b.draw(st.integers(0, 1))))
    b.values.pop()


def _normalise(b: Builder, x: str, shape: Shape) -> None:
    op = b.draw(
        st.sampled_from(["BatchNormalization", "LayerNormalization", "Softmax", "ReduceMean"])
    )
    if op == "BatchNormalization" and len(shape) > 1:
        c = (shape[1],)
        b.add(op, [x, b.constant(c), b.constant(c), b.constant(c), b.constant(c, 0.5, 2.0)], shape)
    elif op == "LayerNormalization" and shape[-1] > 1:
        c = (shape[-1],)
        b.add(op, [x, b.constant(c, 0.5, 1.5), b.constant(c)], shape, axis=-1)
    elif op == "Softmax":
        b.add(op, [x], shape, axis=b.draw(st.integers(-len(shape), len(shape) - 1)))
    elif op == "ReduceMean" and len(shape) > 1:
        axes = b.draw(st.lists(st.integers(1, len(shape) - 1), min_size=1, unique=True))
        keep = b.draw(st.booleans())
        out = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
        b.add(op, [x, b.integers(axes)], out, keepdims=int(keep))


def _move(b: Builder, x: str, shape: Shape) -> None:
    op = b.draw(
        st.sampled_from(
            [
                "Transpose",
                "Reshape",
                "Flatten",
                "Slice",
                "Concat",
                "Split",
                "Gather",
                "Pad",
                "Unsqueeze",
                "Squeeze",
                "Expand",
            ]
        )
    )
    axis = b.draw(st.integers(0, len(shape) - 1))
    dim = shape[axis]
    if op == "Transpose":
        perm = b.draw(st.permutations(range(len(shape))))
        b.add(op, [x], tuple(shape[p] for p in perm), perm=perm)
    elif op == "Reshape":
        left, dims = prod(shape), [1]
        while left > 1 and len(dims) < 4:
            dims.append(b.draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0])))
            left //= dims[-1]
        dims += [left] if left > 1 else []
        b.add(op, [x, b.integers(dims)], tuple(dims))
    elif op == "Flatten":
        b.add(op, [x], (prod(shape[:axis]), prod(shape[axis:])), axis=axis)
    elif op == "Slice":
        step = b.draw(st.sampled_from([1, 1, 2, -1]))
        start = b.draw(st.integers(0, dim - 1))
        end, size = (dim, -(-(dim - start) // step)) if step > 0 else (-dim - 1, start + 1)
        out = tuple(size if i == axis else d for i, d in enumerate(shape))
        b.add(op, [x, *(b.integers([v]) for v in (start, end, axis, step))], out)
    elif op == "Concat":
        other = [(n, s) for n, s in b.values if len(s) == len(shape) and all(
            i == axis or p == q for i, (p, q) in enumerate(zip(s, shape, strict=True)))]
        other.append((b.constant(shape), shape))
        name, s = b.draw(st.sampled_from(other))
        out = tuple(d + s[i] if i == axis else d for i, d in enumerate(shape))
        b.add(op, [x, name], out, axis=axis)
    elif op == "Split" and dim > 1:
        first = b.draw(st.integers(1, dim - 1))
        names = [b.name("v"), b.name("v")]
        b.nodes.append(
            helper.make_node(
                op, [x, b.integers([first, dim - first])], names, axis=axis, name=f"n_{names[0]}"
            )
        )
        for name, size in zip(names, (first, dim - first), strict=True):
            b.values.append((name, tuple(size if i == axis else d for i, d in enumerate(shape))))
    elif op == "Gather":
        picks = b.draw(st.lists(st.integers(-dim, dim - 1), min_size=1, max_size=4))
        b.add(
            op, [x, b.integers(picks)], (*shape[:axis], len(picks), *shape[axis + 1 :]), axis=axis
        )
    elif op == "Pad":
        pads = [b.draw(st.integers(0, 1)) if d > 1 else 0 for d in shape * 2]
        mode = b.draw(st.sampled_from(["constant", "edge", "reflect"]))
        out = tuple(d + pads[i] + pads[i + len(shape)] for i, d in enumerate(shape))
        value = [b.constant(())] if mode == "constant" and b.draw(st.booleans()) else []
        b.add(op, [x, b.integers(pads), *value], out, mode=mode)
    elif op == "Unsqueeze" and len(shape) < 5:
        b.add(op, [x, b.integers([axis])], (*shape[:axis], 1, *shape[axis:]))
    elif op == "Squeeze" and 1 in shape[1:]:
        places = [i for i, d in enumerate(shape) if d == 1 and i]
        out = tuple(d for i, d in enumerate(shape) if i not in places)
        b.add(op, [x, b.integers(places)], out)
    elif op == "Expand" and prod(shape) < 200:
        larger = [3 if d == 1 and b.draw(st.booleans()) else d for d in shape[1:]]
        out = (shape[0], *larger)
        b.add(op, [x, b.integers(list(out))], out)


@st.composite
def graphs(draw: Callable[[Any], Any], max_nodes: int = 6) -> onnx.ModelProto:
    """A valid float32 model: one or two inputs, up to `max_nodes` operators, several outputs."""
    b = Builder(draw, draw(st.integers(0, 2**31)))
    inputs: list[tuple[str, Shape]] = []
    for i in range(draw(st.integers(1, 2))):
        rank = draw(st.integers(2, 4))
        batch = draw(st.sampled_from([1, 1, 1, 2]))
        shape = (batch, *(draw(st.integers(1, 8)) for _ in range(rank - 1)))
        inputs.append((f"x{i}", shape))
    b.values.extend(inputs)
    for _ in range(draw(st.integers(1, max_nodes))):
        x, shape = draw(st.sampled_from(b.values[-3:]))
        choices = [
            _matmul,
            _gemm,
            _arithmetic,
            _arithmetic,
            _unary,
            _unary,
            _normalise,
            _move,
            _move,
            _product,
            _index,
        ]
        if len(shape) in (3, 4):
            choices += [_conv, _conv, _conv, _conv_transpose, _pool]
        draw(st.sampled_from(choices))(b, x, shape)
    if len(b.values) == len(inputs):
        b.add("Relu", [b.values[0][0]], b.values[0][1])
    read = {name for node in b.nodes for name in node.input}
    outputs = [(n, s) for n, s in b.values if n not in dict(inputs)
               and (n not in read or draw(st.integers(0, 4)) == 0)]
    graph = helper.make_graph(
        b.nodes, "random",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [*(helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs),
         *(helper.make_tensor_value_info(n, TensorProto.INT64, s) for n, s in b.indices)],
        b.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
