"""What `ternc inspect` shows of a program that is already compiled."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ternc.backends.esp32.decode import Blob, InvalidBlob, decode
from ternc.backends.esp32.encode import MAGIC
from ternc.backends.esp32.isa import TENSOR_KINDS
from ternc.backends.esp32.program import Region
from ternc.diagnostics import CompileError, Diagnostic

_WORDS = re.compile(r"static const uint32_t \w+_blob\[\][^=]*=\s*\{([^}]*)\}")
_WIDTH: Final = 64


def blob_in(path: Path) -> bytes | None:
    """The program in a .tern file or a generated header; None when it is something else.

    Raises:
        CompileError: the file cannot be read (TC0001), or its program is damaged (TC0002).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _failure("TC0001", f"cannot read {str(path)!r}: {error.strerror}",
                       "check the path") from None
    if path.suffix in (".h", ".hpp"):
        match = _WORDS.search(data.decode("utf-8", "replace"))
        if match is None:
            raise _failure("TC0002", f"{path.name!r} holds no ternc program",
                           "a header that ternc wrote has an array NAME_blob")
        words = [int(word.rstrip("uU"), 16) for word in re.findall(r"0x[0-9a-fA-F]+u?", match[1])]
        data = struct.pack(f"<{len(words)}I", *(word & 0xFFFFFFFF for word in words))
    elif not data.startswith(MAGIC) and path.suffix != ".tern":
        return None
    try:
        decode(data)
    except (InvalidBlob, struct.error, ValueError) as error:
        raise _failure("TC0002", f"{path.name!r} holds no valid program: {error}",
                       "compile the model again") from None
    return data


def _failure(code: str, message: str, help: str) -> CompileError:
    return CompileError((Diagnostic(code, message, help=help),))


def describe(blob: bytes) -> dict[str, Any]:
    """A program as plain data."""
    parsed = decode(blob)
    return {
        "version": list(parsed.version),
        "flash_bytes": len(blob),
        "arena_bytes": parsed.region_bytes[Region.SCRATCH] + parsed.region_bytes[Region.STATE],
        "inputs": [_port(p) for p in parsed.ports if not p.is_output],
        "outputs": [_port(p) for p in parsed.ports if p.is_output],
        "layers": [{"name": item.layer, "instruction": item.opcode.name}
                   for item in parsed.instructions],
    }


def _port(port: Any) -> dict[str, Any]:
    return {"name": port.name, "shape": list(port.shape), "scale": port.scale or None,
            "zero_point": port.zero_point}


@dataclass(slots=True)
class _Life:
    """From which step to which a tensor is in use; -1 is before the run."""

    first: int
    last: int


def _lives(parsed: Blob) -> dict[int, _Life]:
    lives: dict[int, _Life] = {}

    def touch(index: int, step: int) -> None:
        life = lives.setdefault(index, _Life(step, step))
        life.first, life.last = min(life.first, step), max(life.last, step)

    for port in parsed.ports:
        touch(port.tensor, len(parsed.instructions) if port.is_output else -1)
    for step, item in enumerate(parsed.instructions):
        for operand, value in zip(item.opcode.operands, item.operands, strict=True):
            if operand.kind in TENSOR_KINDS and value is not None:
                touch(int(value), step)
    return {i: life for i, life in lives.items() if parsed.tensors[i].region is Region.SCRATCH}


def draw_plan(blob: bytes) -> str:
    """The memory plan: a row for each tensor in the arena, a column for each step."""
    parsed = decode(blob)
    steps = len(parsed.instructions) + 2  # one before and one after the instructions
    scale = max(1, -(-steps // _WIDTH))
    width = -(-steps // scale)
    lives = _lives(parsed)
    lines = [f"memory plan: {parsed.region_bytes[Region.SCRATCH]:,} bytes of scratch, "
             f"{steps - 2} steps" + (f", {scale} to a column" if scale > 1 else ""),
             f"{'offset':>8} {'bytes':>8}  {'steps (first column: inputs, last: outputs)'}"]
    for index in sorted(lives, key=lambda i: (parsed.tensors[i].offset, lives[i].first)):
        record, life = parsed.tensors[index], lives[index]
        first, last = (life.first + 1) // scale, (life.last + 1) // scale
        bar = "".join("#" if first <= column <= last else "." for column in range(width))
        lines.append(f"{record.offset:8} {record.size:8}  {bar}  {record.name or f't{index}'}")
    return "\n".join(lines) + "\n"
