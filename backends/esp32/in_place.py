"""Which operand of an instruction its output may take the place of."""

from __future__ import annotations

from collections.abc import Mapping

from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.program import Instruction, OperandValue, Region, Tensor


def in_place(item: Instruction) -> list[tuple[Tensor, Tensor]]:
    """(input, output) pairs of the instruction that may share memory exactly."""
    pairs = []
    for source_name, target_name in item.opcode.aliases:
        source, target = item.operand(source_name), item.operand(target_name)
        if source is None:  # an optional operand
            continue
        assert isinstance(source, Tensor)
        assert isinstance(target, Tensor)
        if {source.region, target.region} != {Region.SCRATCH} or source.nbytes != target.nbytes:
            continue
        if source.base is not None or target.base is not None:  # only whole tensors have places
            continue
        alike = {name for name, _ in item.opcode.aliases
                 if _walks_alike(item, name) and _read_before_written(item, name)}
        read_as = {operand.name
                   for operand, tensor in zip(item.opcode.operands, item.operands, strict=True)
                   if operand.kind is Kind.IN and tensor is source}
        if read_as <= alike:
            pairs.append((source, target))
    return pairs


def overwrites_input(name: str, numbers: Mapping[str, OperandValue]) -> bool:
    """Whether a convolution has read all of its input `x` that an output takes the place of.

    Depthwise kernels gather a channel before they write it, the blocked one copies the pixels that
    it works on, the one of look-up tables has those of a strip before its outputs unless it
    builds them several times, and generated code packs a strip of the image first.
    """
    def same(*pairs: tuple[str, int | str]) -> bool:
        return all(numbers[a] == (numbers[b] if isinstance(b, str) else b) for a, b in pairs)

    image = same(("in_h", "out_h"), ("in_w", "out_w"), ("in_c", "out_c"))
    pointwise = image and same(("kernel_h", 1), ("kernel_w", 1), ("stride_h", 1), ("stride_w", 1),
                               ("pad_top", 0), ("pad_left", 0))
    if name in ("conv2d_i8_depthwise", "conv2d_i8_t2_taps", "conv2d_i8_t2_lists"):
        return image and (name != "conv2d_i8_t2_lists" or _lines_stay(numbers))
    if name == "conv2d_i8_blocked":
        return pointwise
    if name == "conv2d_i8_t2_lut":  # as one row, which lowering has made of the image
        return pointwise and same(("n", 1), ("out_h", 1), ("held", "out_c"))
    if not name.startswith("lines"):
        return False
    strip, height = numbers["strip"], numbers["out_h"]
    assert isinstance(strip, int)
    assert isinstance(height, int)
    return same(("n", 1)) and 2 * strip >= height


def _lines_stay(numbers: Mapping[str, OperandValue]) -> bool:
    """Whether a plane of some lines keeps those that outputs overwrite while they are needed."""
    across = "w" if numbers["out_h"] != 1 else "h"
    lines, out, kernel, dilation, stride, pad = (
        numbers[name] for name in ("lines", f"out_{across}", f"kernel_{across}",
                                   f"dilation_{across}", f"stride_{across}",
                                   "pad_left" if across == "w" else "pad_top"))
    assert isinstance(kernel, int)
    assert isinstance(dilation, int)
    assert isinstance(pad, int)
    return lines == out or (stride == 1 and pad <= (kernel - 1) * dilation)


def _read_before_written(item: Instruction, operand: str) -> bool:
    """Whether all of the operand is read that an output takes the place of."""
    name = item.opcode.name
    if operand != "x" or not name.startswith(("conv2d", "lines")):
        return True
    numbers = {o.name: v for o, v in zip(item.opcode.operands, item.operands, strict=True)}
    return overwrites_input(name, numbers)


def _walks_alike(item: Instruction, operand: str) -> bool:
    """Whether an n-dimensional operand is read at exactly the index that is written."""
    names = {o.name for o in item.opcode.operands}
    if "d0" not in names or operand not in ("a", "b"):
        return True
    dims = [item.operand(f"d{i}") for i in range(6)]
    step = 1
    for i in reversed(range(6)):
        dim = dims[i]
        assert isinstance(dim, int)
        if dim != 1 and item.operand(f"{operand}s{i}") != step:
            return False
        step *= dim
    return True
