"""Files that follow from the instruction table: the C header and the reference's table.

`python -m ternc.backends.esp32.generate --write` rewrites them, `--check` exits 1 when stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ternc.backends.esp32.isa import NATIVE_OPCODES, OPCODES, TENSOR_KINDS, Kind, Opcode

_ROOT = Path(__file__).resolve().parents[2]
HEADER = _ROOT / "runtime_c" / "src" / "ternc_isa.h"
REFERENCE = _ROOT / "runtime_c" / "BYTECODE.md"
_BEGIN = "<!-- generated from backends/esp32/isa.py: begin -->"
_END = "<!-- generated from backends/esp32/isa.py: end -->"

_C_TYPES = {Kind.I32: "int32_t", Kind.F32: "float"}


def _struct(opcode: Opcode) -> str:
    fields = "".join(
        f"  {_C_TYPES.get(operand.kind, 'uint32_t')} {operand.name};\n"
        for operand in opcode.operands
    )
    return f"/* {opcode.synopsis} */\ntypedef struct {{\n{fields}}} ternc_{opcode.name}_args;\n"


def _known() -> list[list[int]]:
    """For each revision eight words: bit `code % 32` of word `code / 32`."""
    rows = [[0] * 8 for _ in range(max(op.revision for op in OPCODES))]
    for op in OPCODES:
        rows[op.revision - 1][op.code // 32] |= 1 << op.code % 32
    return rows


def header() -> str:
    """`ternc_isa.h`: one argument struct, one X-macro row, one kernel declaration per opcode."""
    rows = " \\\n".join(
        f'  X(0x{op.code:02x}, {op.name}, {op.revision}, {len(op.operands)}, "{op.kinds}")'
        for op in OPCODES
    )
    structs = "\n".join(_struct(op) for op in (*OPCODES, *NATIVE_OPCODES))
    known = ", \\\n".join(
        f"  {{{', '.join(f'0x{word:08x}u' for word in words)}}}" for words in _known())
    natives = "".join(
        f"#define TERNC_WORDS_{op.name} {len(op.operands)}\n"
        f'#define TERNC_KINDS_{op.name} "{op.kinds}"\n'
        for op in NATIVE_OPCODES
    )
    return (
        "/* Generated from backends/esp32/isa.py by ternc.backends.esp32.generate: do not edit.\n"
        " *\n"
        " * Every operand is one 32-bit word, so an instruction's words are read through its "
        "struct.\n"
        " * Operands that name tensors hold an index into the tensor table (TERNC_NONE: absent)."
        " */\n"
        "#ifndef TERNC_ISA_H\n#define TERNC_ISA_H\n\n"
        "#include <stdint.h>\n\n"
        "/* X(code, name, revision, operand words, operand kinds) */\n"
        f"#define TERNC_OPCODES(X) \\\n{rows}\n\n"
        "/* Which codes there are, a bit each; the first row's are of revision 1. */\n"
        f"#define TERNC_KNOWN {{ \\\n{known} }}\n\n"
        f"{structs}\n/* Operands of generated code. */\n{natives}\n#endif\n"
    )


def reference_table() -> str:
    """The Markdown table of `BYTECODE.md`: one row per opcode."""
    lines = [
        "| code | name | rev | operands | meaning | may share memory |",
        "|---|---|---|---|---|---|",
    ]
    for op in (*OPCODES, *NATIVE_OPCODES):
        operands = " ".join(
            (f"[{o.name}]" if o.optional else o.name)
            + (f":{o.kind.value}" if o.kind in TENSOR_KINDS else "")
            for o in op.operands
        )
        shared = ", ".join([*(f"{a}={b}" for a, b in op.aliases),
                            *([op.walk.value] if op.walk.value else [])])
        synopsis = op.synopsis.replace("|", "\\|")
        cells = (f"0x{op.code:02x}", f"`{op.name}`", str(op.revision), operands, synopsis, shared)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def reference() -> str:
    """`BYTECODE.md` with its generated part renewed."""
    text = REFERENCE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{reference_table()}\n{_END}{after}"


def main(argv: list[str]) -> int:
    """Rewrites (`--write`) or checks (`--check`) the generated files; 1 when one is stale."""
    stale = [path for path, text in ((HEADER, header()), (REFERENCE, reference()))
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    if argv == ["--write"]:
        HEADER.write_text(header(), encoding="utf-8")
        REFERENCE.write_text(reference(), encoding="utf-8")
        return 0
    for path in stale:
        print(
            f"{path.name} is stale: run python -m ternc.backends.esp32.generate --write",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
