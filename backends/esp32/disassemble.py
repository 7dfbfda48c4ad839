"""Blob to text: one line an instruction, for people and for golden tests."""

from __future__ import annotations

from ternc.backends.esp32.decode import Blob, InstructionRecord, PortRecord, TensorRecord, decode
from ternc.backends.esp32.isa import TENSOR_KINDS, Kind, Operand
from ternc.backends.esp32.program import Region

_REGIONS = {
    Region.SCRATCH: "scratch", Region.STATE: "state", Region.SLOW: "slow",
    Region.CONSTANT: "const",
}


def _tensor(index: int, record: TensorRecord) -> str:
    name = record.name or f"t{index}"
    elements = record.size // record.dtype.size
    where = f"{_REGIONS[record.region]}:{record.offset}"
    return f"{name}/{where} {record.dtype.name.lower()}[{elements}]"


def _operand(blob: Blob, operand: Operand, value: float | None) -> str:
    if operand.kind in TENSOR_KINDS:
        if value is None:
            return f"{operand.name}=none"
        index = int(value)
        if index >= len(blob.tensors):
            return f"{operand.name}=?{index}"
        return f"{operand.name}={_tensor(index, blob.tensors[index])}"
    text = f"{value:.9g}" if operand.kind is Kind.F32 else str(value)
    return f"{operand.name}={text}"


def _instruction(blob: Blob, number: int, item: InstructionRecord) -> str:
    operands = " ".join(
        _operand(blob, operand, value)
        for operand, value in zip(item.opcode.operands, item.operands, strict=True)
    )
    layer = f"  ; {item.layer}" if item.layer else ""
    return f"{number:4} {item.opcode.name} {operands}{layer}"


def _port(blob: Blob, port: PortRecord) -> str:
    kind = "output" if port.is_output else "input"
    shape = "x".join(map(str, port.shape)) or "scalar"
    scale = f" scale={port.scale:.9g} zero={port.zero_point}" if port.scale else ""
    place = f"?{port.tensor}"
    if port.tensor < len(blob.tensors):
        place = _tensor(port.tensor, blob.tensors[port.tensor])
    return f"{kind} {port.name!r} {shape}{scale} = {place}"


def disassemble(blob: bytes) -> str:
    """The listing of a blob: needs, inputs and outputs, then one line an instruction."""
    parsed = decode(blob)
    needs = " ".join(f"{_REGIONS[region]}={size}" for region, size in parsed.region_bytes.items())
    lines = [
        f"ternc {parsed.version[0]}.{parsed.version[1]} {needs} const={len(parsed.data)}",
        *(_port(parsed, port) for port in parsed.ports),
        *(_instruction(parsed, i, item) for i, item in enumerate(parsed.instructions)),
    ]
    return "\n".join(lines) + "\n"
