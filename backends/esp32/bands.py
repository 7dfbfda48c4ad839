"""Pooled convolutions in bands of rows: the image between the two is never there as a whole.

A convolution whose result only a pooling reads, and each pixel once, becomes several of both: each
computes some rows of the image into a tensor of its own, which the pooling takes from there. The
kernels are the same, on views of the operands, and so are the bytes. What it costs are the halves
of images that two-lane kernels work on, and the program's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import Instruction, OperandValue, Program, Region, Tensor

# Their scratch depends on the rows, or their operands are no image.
_WHOLE = ("conv2d_i8_depthwise", "conv2d_i8_t2_taps", "conv2d_i8_t2_lists", "conv2d_i8_lines")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A convolution and the pooling of its result, by their places in the program."""

    conv: int
    pool: int


def pooled_layers(program: Program) -> list[str]:
    """The convolutions that can run in bands, by name."""
    return [program.instructions[pair.conv].layer for pair in _pairs(program)]


def split_into_bands(program: Program, bands: Mapping[str, int]) -> dict[str, str]:
    """Splits the convolutions that `bands` names, each into so many; for a program not yet placed.

    Returns:
        For each value that the program then lacks, the pooling's layer.
    """
    items = list(program.instructions)
    new: dict[int, list[Instruction]] = {}
    folded = {}
    for pair in _pairs(program):
        conv, pool = items[pair.conv], items[pair.pool]
        if conv.layer not in bands:
            continue
        count = min(bands[conv.layer], _int(pool, "out_h"))
        new[pair.conv], new[pair.pool] = [], []
        for k in range(count):
            edges = [_int(pool, "out_h") * at // count for at in (k, k + 1)]
            new[pair.pool] += _band(conv, pool, k, edges[0], edges[1])
        image = _tensor(conv, "y")
        for name in [n for n, view in program.values.items() if view.tensor is image]:
            del program.values[name]
            folded[name] = pool.layer
    program.instructions[:] = [one for i, item in enumerate(items) for one in new.get(i, [item])]
    return folded


def _pairs(program: Program) -> Iterator[_Pair]:
    """In the order of the poolings, where nothing else touches the image between the two."""
    ports = {id(port.tensor) for port in (*program.inputs, *program.outputs)}
    written: dict[int, list[int]] = {}
    read: dict[int, list[int]] = {}
    for i, item in enumerate(program.instructions):
        for tensor in item.writes:
            written.setdefault(id(tensor), []).append(i)
        for tensor in item.tensors(Kind.IN):
            read.setdefault(id(tensor), []).append(i)
    for i, pool in enumerate(program.instructions):
        if not pool.opcode.name.startswith(("maxpool", "avgpool")):
            continue
        image = _tensor(pool, "x")
        makers = written.get(id(image), [])
        if len(makers) != 1 or read[id(image)] != [i] or id(image) in ports:
            continue
        conv = program.instructions[makers[0]]
        if _can_split(conv, pool):
            yield _Pair(makers[0], i)


def _can_split(conv: Instruction, pool: Instruction) -> bool:
    """Whether bands of the pooling's rows need separate rows of the image, which is all there."""
    name = conv.opcode.name
    if not name.startswith("conv2d") or name in _WHOLE:
        return False
    window = (_int(pool, "kernel_h") - 1) * _int(pool, "dilation_h") + 1
    rows = _int(pool, "out_h")
    images = (*conv.tensors(Kind.IN), *pool.writes)
    return (
        all(tensor.region is Region.SCRATCH and tensor.base is None for tensor in images)
        and _int(conv, "n") == _int(conv, "up_h") == 1
        and (_int(conv, "out_h"), _int(conv, "out_w")) == (_int(pool, "in_h"), _int(pool, "in_w"))
        and rows > 1
        and window <= _int(pool, "stride_h")
        and _int(pool, "pad_top") == 0
        and (rows - 1) * _int(pool, "stride_h") + window <= _int(pool, "in_h")
        and all(first < last for first, last in (
            _rows_read(conv, row, row + window)
            for row in range(0, rows * _int(pool, "stride_h"), _int(pool, "stride_h"))))
    )


def _rows_read(conv: Instruction, first: int, last: int) -> tuple[int, int]:
    """The input's rows that rows `first` to `last` of the output need."""
    stride, pad = _int(conv, "stride_h"), _int(conv, "pad_top")
    reach = (_int(conv, "kernel_h") - 1) * _int(conv, "dilation_h")
    return (max(0, first * stride - pad),
            min(_int(conv, "in_h"), (last - 1) * stride + reach - pad + 1))


def _band(conv: Instruction, pool: Instruction, number: int, first: int, last: int
          ) -> list[Instruction]:
    """The pooling's rows from `first` to `last`."""
    stride = _int(pool, "stride_h")
    window = (_int(pool, "kernel_h") - 1) * _int(pool, "dilation_h") + 1
    top, bottom = first * stride, (last - 1) * stride + window
    in_top, in_bottom = _rows_read(conv, top, bottom)
    x, image, y = _tensor(conv, "x"), _tensor(conv, "y"), _tensor(pool, "y")
    out_row = image.nbytes // image.dtype.size // _int(conv, "out_h")
    band = Tensor(f"{image.name}:band{number}", image.dtype, ((bottom - top) * out_row,))
    changed: dict[str, OperandValue] = {
        "x": _view(x, _int(conv, "in_h"), in_top, in_bottom), "y": band,
        "in_h": in_bottom - in_top, "out_h": bottom - top,
        "pad_top": in_top - (top * _int(conv, "stride_h") - _int(conv, "pad_top")),
    }
    names = {operand.name for operand in conv.opcode.operands}
    residual = conv.operand("r") if "r" in names else None
    if isinstance(residual, Tensor):
        changed["r"] = _view(residual, _int(conv, "out_h"), top, bottom)
    for scratch in conv.scratch:
        changed["scratch"] = Tensor(f"{scratch.name}:band{number}", scratch.dtype, scratch.shape)
    share = (bottom - top) / _int(conv, "out_h")
    estimate = None if conv.instructions is None else conv.instructions * share
    part = replace(_with(conv, changed), macs=round(conv.macs * share), instructions=estimate)
    return [part, _with(pool, {
        "x": band, "y": _view(y, _int(pool, "out_h"), first, last), "in_h": bottom - top,
        "out_h": last - first})]


def _view(tensor: Tensor, rows: int, first: int, last: int) -> Tensor:
    """Rows `first` to `last` of an image of `rows` rows."""
    row = prod(tensor.shape) // rows
    return Tensor(f"{tensor.name}:rows{first}", tensor.dtype, ((last - first) * row,),
                  tensor.region, base=tensor, start=first * row * tensor.dtype.size)


def _with(item: Instruction, changed: Mapping[str, OperandValue]) -> Instruction:
    names = [operand.name for operand in item.opcode.operands]
    return replace(item, operands=tuple(
        changed.get(name, value) for name, value in zip(names, item.operands, strict=True)))


def _tensor(item: Instruction, name: str) -> Tensor:
    value = item.operand(name)
    assert isinstance(value, Tensor), name
    return value


def _int(item: Instruction, name: str) -> int:
    value = item.operand(name)
    assert isinstance(value, int), (name, value)
    return value
