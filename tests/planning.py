"""Programs for the tests of the scheduler and the memory planner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ternc.backends.esp32.in_place import in_place
from ternc.backends.esp32.isa import BY_NAME, TENSOR_KINDS
from ternc.backends.esp32.overlap import overlap
from ternc.backends.esp32.program import (
    DType,
    Instruction,
    OperandValue,
    Port,
    Program,
    Region,
    Tensor,
)


def tensor(name: str, size: int, align: int = 1) -> Tensor:
    return Tensor(name, DType.I8, (size,), align=align)


def make(opcode: str, **tensors: Tensor | None) -> Instruction:
    """An instruction whose numbers do not matter: 0, one image, one dense loop."""
    values: dict[str, OperandValue] = {
        operand.name: None if operand.kind in TENSOR_KINDS else 0
        for operand in BY_NAME[opcode].operands}
    if "n" in values:
        values["n"] = 1
    given = next(t for t in tensors.values() if t is not None)
    for i in range(6):
        last = int(i == 5)
        for prefix, value in (("d", given.nbytes if last else 1), ("as", last), ("bs", last)):
            if f"{prefix}{i}" in values:
                values[f"{prefix}{i}"] = value
    assert set(tensors) <= set(values)
    values.update(tensors)
    return Instruction(BY_NAME[opcode], tuple(values.values()), opcode, opcode)


def program(
    items: list[Instruction], inputs: list[Tensor], outputs: list[Tensor]
) -> Program:
    return Program([Port(t.name, t, t.shape, 3) for t in inputs],
                   [Port(t.name, t, t.shape, 3) for t in outputs], list(items))


def maxpool(x: Tensor, y: Tensor, kernel: int, stride: int, pad: int) -> Instruction:
    """Maxima over a row of bytes, as many as `y` holds."""
    values: dict[str, OperandValue] = {
        "x": x, "y": y, "n": 1, "channels": 1, "in_h": 1, "in_w": x.nbytes, "out_h": 1,
        "out_w": y.nbytes, "kernel_h": 1, "kernel_w": kernel, "stride_h": 1, "stride_w": stride,
        "dilation_h": 1, "dilation_w": 1, "pad_top": 0, "pad_left": pad}
    opcode = BY_NAME["maxpool_i8"]
    return Instruction(opcode, tuple(values[o.name] for o in opcode.operands), "pool", "MaxPool")


@st.composite
def programs(draw: Callable[[Any], Any], most: int = 9) -> Program:
    """A random program: chains and branches, in place or not, with scratch and shared ports."""
    count = 0

    def new(size: int) -> Tensor:
        nonlocal count
        count += 1
        return tensor(f"t{count}", size, draw(st.sampled_from([1, 1, 2, 4, 16])))

    sizes = st.sampled_from([1, 3, 4, 16, 16, 30, 64, 200])
    inputs = [new(draw(sizes)) for _ in range(draw(st.integers(1, 2)))]
    alive = list(inputs)
    items: list[Instruction] = []
    for _ in range(draw(st.integers(0, most))):
        x = draw(st.sampled_from(alive))
        kind = draw(st.sampled_from(["sigmoid", "copy", "two copies", "binary", "scratch",
                                     "pool", "pool", "channels"]))
        y = new(x.nbytes if kind in ("sigmoid", "binary") else draw(sizes))
        if kind == "sigmoid":
            items.append(make("sigmoid_f32", x=x, y=y))
        elif kind == "binary":
            other = draw(st.sampled_from([t for t in alive if t.nbytes == x.nbytes]))
            items.append(make("add_i8", a=x, b=other, y=y))
        elif kind == "pool":
            kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
            items.append(maxpool(x, y, kernel, stride, draw(st.integers(0, 2))))
        elif kind == "channels":
            w = Tensor("w", DType.I8, (1,), Region.CONSTANT)
            items.append(make("conv2d_i8_depthwise", x=x, w=w, m=w, c=w, y=y,
                              scratch=new(draw(sizes))))
        elif kind == "scratch":
            w = Tensor("w", DType.I8, (1,), Region.CONSTANT)
            items.append(make("dense_i8_t2_lut", x=x, w=w, m=w, c=w, y=y,
                              scratch=new(draw(sizes))))
        else:
            items.append(make("copy_nd", x=x, y=y))
            if kind == "two copies":  # a result in two parts, as Concat makes it
                items.append(make("copy_nd", x=draw(st.sampled_from(alive)), y=y))
        alive.append(y)
    read = {id(t) for item in items for t in item.reads}
    outputs = [t for t in alive if id(t) not in read or draw(st.integers(0, 5)) == 0]
    if outputs and draw(st.booleans()):
        outputs.append(outputs[0])  # one tensor under two names
    return program(items, inputs, outputs)


def run_symbolically(planned: Program) -> None:
    """Executes a planned program on a memory that remembers whose each byte is.

    Fails where an instruction would read what another tensor has overwritten, or writes over its
    own operand without being allowed to.
    """
    memory: dict[int, int] = {}

    def bytes_of(item: Tensor) -> range:
        assert item.offset is not None
        assert item.offset % item.alignment == 0
        assert item.offset + item.nbytes <= planned.region_bytes[Region.SCRATCH]
        return range(item.offset, item.offset + item.nbytes)

    def expect(item: Tensor) -> None:
        assert all(memory.get(place) == id(item) for place in bytes_of(item)), item.name

    for port in planned.inputs:
        memory.update(dict.fromkeys(bytes_of(port.tensor), id(port.tensor)))
    for item in planned.instructions:
        reads = [t for t in item.reads if t.region is Region.SCRATCH]
        for t in item.scratch:
            memory.update(dict.fromkeys(bytes_of(t), id(t)))
        for t in reads:
            expect(t)
        allowed = {(id(a), id(b)) for a, b in in_place(item)}
        over = overlap(item)
        for y in item.writes:
            for x in reads:
                apart = not set(bytes_of(x)) & set(bytes_of(y))
                assert apart or x is y or (
                    (id(x), id(y)) in allowed and x.offset == y.offset) or (
                    over is not None and (over.source, over.target) == (x, y)
                    and over.allows(bytes_of(x).start, bytes_of(y).start)), (x.name, y.name)
            memory.update(dict.fromkeys(bytes_of(y), id(y)))
        for t in item.scratch:
            expect(t)
    for port in planned.outputs:
        expect(port.tensor)
