"""What `ternc inspect` shows of a program that is already compiled."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

from ternc.backends.esp32.decode import InvalidBlob, decode
from ternc.backends.esp32.encode import MAGIC
from ternc.backends.esp32.program import Region
from ternc.diagnostics import CompileError, Diagnostic

_WORDS = re.compile(r"static const uint32_t \w+_blob\[\][^=]*=\s*\{([^}]*)\}")


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
