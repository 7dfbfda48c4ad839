"""Programs are linked with a form of a kernel only where all of their instructions fit it."""

from __future__ import annotations

import numpy as np

from ternc.backends.esp32.isa import BY_NAME
from ternc.backends.esp32.kernel_forms import FORMS, linked_kernel
from ternc.backends.esp32.program import DType, Instruction, Tensor
from tests.runtime.harness import SOURCES, Array, Call


def lookup(**changed: int | Tensor | None) -> Instruction:
    opcode = BY_NAME["conv2d_i8_t2_lut"]
    numbers: dict[str, int | Tensor | None] = {o.name: 1 for o in opcode.operands}
    numbers |= {"r": None, "group": 3, "kernel_h": 3, "kernel_w": 3, "chunk": 9, **changed}
    return Instruction(opcode, tuple(numbers[o.name] for o in opcode.operands), "a", "Conv")


def test_all_instructions_must_fit() -> None:
    three, four = lookup(), lookup(group=4)
    added, chunked = lookup(r=Tensor("r", DType.I8, (1,))), lookup(chunk=8)
    name = "conv2d_i8_t2_lut"
    assert linked_kernel(name, [three, three]) == f"{name}_3"
    assert linked_kernel(name, [four]) == f"{name}_4"
    for other in (four, added, chunked):
        assert linked_kernel(name, [three, other]) == name
    assert linked_kernel("dense_i8", [three]) == "dense_i8"


def test_every_form_is_declared_and_refuses_the_rest() -> None:
    declared = (SOURCES / "ternc_kernels.h").read_text(encoding="utf-8")
    for form in FORMS:
        assert f"ternc_k_{form.name};" in declared
        assert (SOURCES / "kernels" / f"{form.name}.c").exists()
    numbers = {o.name: 1 for o in BY_NAME["avgpool_i8"].operands if o.kind.value in "uj"}
    numbers |= {"in_h": 4, "in_w": 2, "kernel_h": 4, "kernel_w": 2, "lo": -128, "hi": 127,
                "pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0, "x_zero": 0}
    tensors: dict[str, Array | None] = {
        "x": np.zeros(8, np.int8), "m": np.ones(1, np.int32), "y": np.zeros(1, np.int8)}
    assert Call("avgpool_i8", tensors, numbers, form="avgpool_i8_global").check() == 0
    for change in ({"pad_top": 1}, {"out_h": 2}, {"kernel_h": 3}, {"dilation_w": 2}, {"shift": 99},
                   {"m_count": 2}, {"n": 2}, {"channels": 2}, {"lo": -129}, {"x_zero": 128}):
        call = Call("avgpool_i8", tensors, {**numbers, **change}, form="avgpool_i8_global")
        assert call.check() != 0, change
