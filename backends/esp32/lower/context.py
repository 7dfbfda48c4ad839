"""The state of one lowering: values, the program so far, what every lowering function needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ternc.backends.esp32.isa import RANK
from ternc.backends.esp32.lower.forms import (
    Affine,
    Buffer,
    Codes,
    Constant,
    Form,
    IntArray,
    Lazy,
    Scaled,
    Table,
)
from ternc.backends.esp32.lower.kernel_cost import Room
from ternc.backends.esp32.lower.layout import Layout, Shape, loops
from ternc.backends.esp32.lower.nodes import label, optional_input, required_input
from ternc.backends.esp32.program import (
    DType,
    OperandValue,
    Program,
    Region,
    Tensor,
    View,
    instruction,
)
from ternc.diagnostics import Diagnostics

DTYPES = {
    ir.DataType.FLOAT: DType.F32, ir.DataType.INT8: DType.I8, ir.DataType.UINT8: DType.U8,
    ir.DataType.INT16: DType.I16, ir.DataType.INT32: DType.I32, ir.DataType.INT64: DType.I32,
    ir.DataType.BOOL: DType.BOOL,
}
# Integer types that a quantized activation may have: (lowest, highest, stored = value - offset).
QUANTIZED = {
    ir.DataType.INT8: (-128, 127, 0), ir.DataType.UINT8: (0, 255, 128),
    ir.DataType.INT4: (-8, 7, 0), ir.DataType.UINT4: (0, 15, 0),
    ir.DataType.INT2: (-2, 1, 0), ir.DataType.UINT2: (0, 3, 0),
    ir.DataType.INT16: (-32768, 32767, 0), ir.DataType.UINT16: (0, 65535, 32768),
}
_WIDE = frozenset({ir.DataType.INT16, ir.DataType.UINT16})

class Unsupported(Exception):
    """A node that cannot be lowered; becomes a diagnostic with the node's name."""

    def __init__(self, why: str, help: str = "", code: str = "TC0102") -> None:
        super().__init__(why)
        self.why, self.help, self.code = why, help, code


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What a multiply-accumulate instruction does, for reports and generated code."""

    macs: int = 0
    weight_nonzeros: int | None = None  # of ternary weights
    codes: IntArray | None = None  # the weights, output channel first
    instructions: float | None = None  # of RV32IMC, as estimated for the choice of the kernel


_LITTLE = Work()


@dataclass(frozen=True, slots=True)
class Quantization:
    """A QuantizeLinear in stored terms: `clip(round(real/scale) + zero, lo, hi)`."""

    scale: float
    zero: int
    lo: int
    hi: int
    offset: int  # ONNX's integer is the stored one plus this
    dtype: DType = DType.I8  # I16 has zero 0

    @property
    def is_full(self) -> bool:
        """Whether only the element type limits the integers."""
        edge = 2 ** (8 * self.dtype.size - 1)
        return (self.lo, self.hi) == (-edge, edge - 1)

    def bound(self, real: float, default: int) -> int:
        """The stored integer of a real clamp bound (infinite: `default`)."""
        if not np.isfinite(real):
            return default
        code = np.rint(np.float32(real) / np.float32(self.scale)) + self.zero
        return int(np.clip(code, self.lo, self.hi))

    def codes(self, real: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Quantizes as onnxruntime does: float32 division, round half to even, saturation."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            scaled = np.rint(real / np.float32(self.scale)).astype(np.float64)
        scaled = np.nan_to_num(scaled, nan=0.0, posinf=1e6, neginf=-1e6)
        codes: npt.NDArray[np.float64] = np.clip(scaled + self.zero, self.lo, self.hi)
        return codes.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What follows a layer and is done by its kernel: `value` is what the kernel then produces."""

    value: ir.Value
    lo: float = -np.inf
    hi: float = np.inf
    quantization: Quantization | None = None
    nodes: tuple[ir.Node, ...] = ()

    def in_float(self) -> Epilogue:
        """The part before QuantizeLinear: what a float32 kernel does itself."""
        if self.quantization is None:
            return self
        cut = next(i for i, n in enumerate(self.nodes) if n.op_type == "QuantizeLinear")
        return Epilogue(
            required_input(self.nodes[cut], 0), self.lo, self.hi, None, self.nodes[:cut]
        )


@dataclass(slots=True)
class Lowering:
    """Lowers one graph; `forms` says what each value is, `done` which nodes others absorbed."""

    program: Program
    diagnostics: Diagnostics
    fuse: bool = True
    stateful: bool = False  # recurrent layers keep their state between runs
    room: Callable[[str], Room] = lambda _: Room(0)  # by layer, memory that its kernel may take
    forms: dict[ir.Value, Form] = field(default_factory=dict)
    done: set[ir.Node] = field(default_factory=set)
    folded: dict[str, str] = field(default_factory=dict)
    copies: dict[tuple[int, Layout, Layout], Buffer] = field(default_factory=dict)
    # int8 tensors as int16: less a zero point, times a factor
    wide: dict[tuple[int, int, int], Tensor] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    # int8 tensors whose scale is known only at run time: (tensor, factor of each row, rows), by id
    row_factors: dict[int, tuple[Tensor, Tensor, int]] = field(default_factory=dict)

    # -- values --------------------------------------------------------------------------------

    def form(self, value: ir.Value) -> Form:
        """What `value` is by now."""
        if value not in self.forms:
            assert value.const_value is not None, value.name
            self.forms[value] = Constant(value.const_value.numpy())
        return self.forms[value]

    def form_or_none(self, value: ir.Value) -> Form | None:
        """What `value` is by now, or None when it has not been lowered yet."""
        if value in self.forms or value.const_value is not None:
            return self.form(value)
        return None

    def constant(self, value: ir.Value | None) -> npt.NDArray[np.generic] | None:
        """The compile-time value, dequantized, or None when there is none."""
        if value is None:
            return None
        form = self.form_or_none(value)
        if isinstance(form, Constant):
            return form.array
        return form.real() if isinstance(form, Codes) else None

    def shape(self, value: ir.Value) -> Shape:
        """The static shape."""
        assert value.shape is not None, value.name
        return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]

    def buffer(self, value: ir.Value) -> Buffer:
        """The value in memory: lazy forms are computed, constants stored."""
        form = self.form(value)
        if isinstance(form, Buffer):
            return form
        if isinstance(form, Lazy):
            return form.floats()
        array = form.array if isinstance(form, Constant) else form.real()
        return self.store_constant(value.name or "constant", array)

    def floats(self, value: ir.Value, node: ir.Node, help: str = "") -> Buffer:
        """The value as float32 in memory; says so (and `help`) when that leaves integers."""
        form = self.form(value)
        if isinstance(form, Lazy) and form._floats is None:
            self.diagnostics.note(
                "TC0203",
                f"{node.op_type} runs in float32 inside an integer model",
                node=label(node),
                op_type=node.op_type,
                notes=("its output is not quantized, or this form has no integer kernel",),
                help=help or "quantize its output (QuantizeLinear), or accept the cost without "
                "an FPU",
            )
        buffer = self.buffer(value)
        if buffer.tensor.dtype is not DType.F32:
            raise Unsupported(f"element type {buffer.tensor.dtype.name} where float32 is needed",
                              code="TC0104")
        return buffer

    def store_constant(self, name: str, array: npt.NDArray[np.generic]) -> Buffer:
        """A constant tensor holding `array` in row-major order (int64 as int32)."""
        if array.dtype == np.int64:
            array = np.clip(array, -(2**31), 2**31 - 1).astype(np.int32)
        dtype = next((d for d in DType if d.numpy == array.dtype), None)
        if dtype is None:
            raise Unsupported(f"constant of type {array.dtype}", code="TC0104")
        return Buffer(self.data(name, array, dtype), Layout.row_major(tuple(array.shape)))

    def unique(self, name: str) -> str:
        """`name`, or `name.N` when it is taken."""
        count = self.names.get(name, 0)
        self.names[name] = count + 1
        return name if count == 0 else f"{name}.{count}"

    def data(self, name: str, array: npt.NDArray[np.generic], dtype: DType) -> Tensor:
        """A constant tensor."""
        array = np.ascontiguousarray(array.astype(dtype.numpy))
        return Tensor(self.unique(name), dtype, tuple(array.shape), Region.CONSTANT, array)

    def new(self, name: str, dtype: DType, layout: Layout, offset: int = 0) -> Buffer:
        """A new activation buffer of the layout's shape."""
        shape = tuple(layout.physical_shape) or (1,)
        return Buffer(Tensor(self.unique(name), dtype, shape), layout, offset)

    def bind(self, value: ir.Value, form: Form) -> None:
        """Says what a value is, and records where it can be seen."""
        self.forms[value] = form
        buffer = form if isinstance(form, Buffer) else getattr(form, "buffer", None)
        if isinstance(form, (Table, Affine)) or buffer is None or value.name is None:
            return
        if (isinstance(form, Buffer) and form.tensor.dtype in (DType.I8, DType.I16)
                and value.dtype is ir.DataType.FLOAT):
            return  # a float input's view that is taken as integers already
        layout = buffer.layout
        inverse = tuple(int(i) for i in np.argsort(layout.order))
        scale, zero = (
            (form.scale, form.zero) if isinstance(form, Scaled) else (None, -buffer.offset)
        )
        self.program.values[value.name] = View(
            buffer.tensor, layout.shape, layout.physical_shape, inverse, scale, zero
        )

    # -- instructions --------------------------------------------------------------------------

    def emit(
        self, name: str, node: ir.Node, work: Work = _LITTLE, /, **operands: OperandValue
    ) -> None:
        """Appends an instruction that computes `node`."""
        self.program.instructions.append(instruction(
            name, label(node), node.op_type, macs=work.macs,
            weight_nonzeros=work.weight_nonzeros, codes=work.codes,
            instructions=work.instructions, **operands,
        ))

    def relayout(self, buffer: Buffer, layout: Layout, node: ir.Node) -> Buffer:
        """The buffer in another layout of the same logical shape; copies once where it must."""
        if buffer.layout.same_as(layout):
            return Buffer(buffer.tensor, layout, buffer.offset)
        key = (id(buffer.tensor), buffer.layout.canonical(), layout.canonical())
        if key not in self.copies:
            self.copies[key] = self.new(
                f"{buffer.tensor.name}:layout", buffer.tensor.dtype, layout, buffer.offset
            )
            self.copy(node, buffer, self.copies[key], layout.shape)
        return Buffer(self.copies[key].tensor, layout, buffer.offset)

    def row_major(self, buffer: Buffer, node: ir.Node) -> Buffer:
        """The buffer in logical order."""
        return self.relayout(buffer, Layout.row_major(buffer.layout.shape), node)

    def expanded(self, buffer: Buffer, shape: Shape, node: ir.Node) -> Buffer:
        """The buffer broadcast to `shape`."""
        source = Buffer(buffer.tensor, buffer.layout.with_rank(len(shape)), buffer.offset)
        if source.layout.shape == shape:
            return source
        target = self.new(f"{buffer.tensor.name}:expanded", buffer.tensor.dtype,
                          Layout.row_major(shape), buffer.offset)
        self.copy(node, source, target, shape)
        return target

    def copy(self, node: ir.Node, source: Buffer, target: Buffer, shape: Shape, *,
             source_at: Shape | None = None, target_at: Shape | None = None,
             steps: Shape | None = None) -> None:
        """Copies a box of logical `shape`, from and to the given logical corners.

        `steps` are the source's steps per axis (Slice; negative walks backwards). The axes that
        differ from `shape` must be single atoms in their layout.
        """
        if 0 in shape:
            return
        nest = loops(shape, [source.layout, target.layout], 1)
        if nest is None:
            raise Unsupported("the data movement has no strided form")
        source_offset = _offset(source.layout, source_at)
        target_offset = _offset(target.layout, target_at)
        strides = list(nest.strides[0])
        dims = nest.dims
        if steps is not None and any(step != 1 for step in steps):
            dims, strides, target_strides = _stepped(shape, source.layout, target.layout, steps)
        else:
            target_strides = list(nest.strides[1])
        extra = RANK - len(dims)
        if extra < 0:
            raise Unsupported(f"the data movement needs {len(dims)} loops, more than {RANK}")
        dims = (1,) * extra + tuple(dims)
        xs, ys = [0] * extra + strides, [0] * extra + target_strides
        self.emit(
            "copy_nd", node, x=source.tensor, y=target.tensor, size=source.tensor.dtype.size,
            x_offset=source_offset, y_offset=target_offset,
            **{f"d{i}": d for i, d in enumerate(dims)},
            **{f"xs{i}": s for i, s in enumerate(xs)}, **{f"ys{i}": s for i, s in enumerate(ys)},
        )

    def dequantize(self, node: ir.Node, x: Tensor, y: Tensor, scale: float, zero: int) -> None:
        """Emits y = (x - zero)*scale, to float32."""
        count = prod(x.shape)
        if x.dtype is DType.I16:
            self.emit("convert_i16", node, x=x, y=y, count=count, scale=scale, lo=0, hi=0)
        else:
            self.emit("dequantize_i8", node, x=x, y=y, count=count, scale=scale, zero=zero)

    # -- patterns ------------------------------------------------------------------------------

    def sole_consumer(self, value: ir.Value) -> ir.Node | None:
        """The one node that reads `value`, or None (several, none, or a graph output)."""
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            return None
        return uses[0].node

    def quantization(self, node: ir.Node) -> Quantization | None:
        """A per-tensor QuantizeLinear with constant parameters, in stored terms."""
        if node.op_type != "QuantizeLinear" or node.outputs[0].dtype not in QUANTIZED:
            return None
        scale = self.constant(required_input(node, 1))
        zero_value = optional_input(node, 2)
        zero = np.zeros(1) if zero_value is None else self.constant(zero_value)
        if scale is None or zero is None or scale.size != 1 or not 0 < scale.item() < np.inf:
            return None
        kind = node.outputs[0].dtype
        lo, hi, offset = QUANTIZED[kind]
        stored_zero = int(zero.reshape(-1)[0]) - offset
        if kind in _WIDE and stored_zero:
            return None
        return Quantization(float(scale.reshape(-1)[0]), stored_zero, lo - offset, hi - offset,
                            offset, DType.I16 if kind in _WIDE else DType.I8)

    def integer_clip(self, value: ir.Value) -> tuple[ir.Node, int, int] | None:
        """The Clip with constant integer bounds that alone reads `value`."""
        node = self.sole_consumer(value)
        if node is None or node.op_type != "Clip":
            return None
        bounds = self.clip_bounds(node)
        if bounds is None:
            return None
        lo, hi = max(bounds[0], -1e9), min(bounds[1], 1e9)
        return node, int(lo), int(hi)

    def clip_bounds(self, node: ir.Node) -> tuple[float, float] | None:
        """Constant bounds of a Clip (absent: infinite), or None."""
        bounds = [-np.inf, np.inf]
        for place, value in enumerate(node.inputs[1:3]):
            if value is None:
                continue
            array = self.constant(value)
            if array is None:
                return None
            bounds[place] = float(array.reshape(-1)[0])
        return bounds[0], bounds[1]

    def epilogue(self, value: ir.Value) -> Epilogue:
        """The clamps and the QuantizeLinear that follow `value` and nothing else reads."""
        lo, hi = -np.inf, np.inf
        nodes: list[ir.Node] = []
        while (node := self.sole_consumer(value)) is not None and node.inputs[0] is value:
            if node.op_type == "Relu":
                lo, hi = max(lo, 0.0), max(hi, 0.0)
            elif node.op_type == "Clip" and (bounds := self.clip_bounds(node)) is not None:
                # Clip is min(max(x, low), high); where low > high, high wins.
                lo, hi = (min(max(edge, bounds[0]), bounds[1]) for edge in (lo, hi))
            else:
                break
            nodes.append(node)
            value = node.outputs[0]
        node = self.sole_consumer(value)
        if node is None or node.inputs[0] is not value or (q := self.quantization(node)) is None:
            if not self.fuse and nodes:
                return Epilogue(required_input(nodes[0], 0))
            return Epilogue(value, lo, hi, None, tuple(nodes))
        nodes.append(node)
        value = node.outputs[0]
        q_lo, q_hi = q.bound(lo, q.lo), q.bound(hi, q.hi)
        if (clip := self.integer_clip(value)) is not None:
            clip_node, c_lo, c_hi = clip
            q_lo, q_hi = (
                int(np.clip(edge, c_lo - q.offset, c_hi - q.offset)) for edge in (q_lo, q_hi)
            )
            nodes.append(clip_node)
            value = clip_node.outputs[0]
        return Epilogue(
            value, lo, hi, replace(q, lo=q_lo, hi=q_hi), tuple(nodes)
        )

    def absorb(self, epilogue: Epilogue, by: ir.Node) -> None:
        """Marks the epilogue's nodes as computed by `by`."""
        produced = epilogue.value
        for node in epilogue.nodes:
            self.done.add(node)
            for value in (required_input(node, 0), node.outputs[0]):
                if value is not produced and value.name:
                    self.folded[value.name] = by.name or by.op_type


def _offset(layout: Layout, corner: Shape | None) -> int:
    if corner is None:
        return 0
    total = 0
    for axis, at in enumerate(corner):
        if at:
            stride = layout.axis_stride(axis)
            assert stride is not None
            total += at * stride
    return total


def _stepped(shape: Shape, source: Layout, target: Layout,
             steps: Shape) -> tuple[Shape, list[int], list[int]]:
    """Loops over `shape` whose source strides are multiplied by `steps` (single-atom axes)."""
    from_strides, to_strides, dims = [], [], []
    for axis, (dim, step) in enumerate(zip(shape, steps, strict=True)):
        a, b = source.axis_stride(axis), target.axis_stride(axis)
        if a is None or b is None:
            raise Unsupported("a step along an axis that is not contiguous")
        if dim != 1:
            dims.append(dim)
            from_strides.append(a * step)
            to_strides.append(b)
    return tuple(dims), from_strides, to_strides
