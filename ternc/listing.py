"""`ternc targets` and `ternc ops`: the two tables, for people, as Markdown and as JSON."""

from __future__ import annotations

import json as _json
from collections.abc import Sequence
from typing import IO, Final

# What the passes remove or rewrite, so that lowering never sees it.
_FOLDED: Final = {
    "Compress": "with a constant condition rewritten to Gather",
    "ConstantOfShape": "computed by the compiler",
    "Range": "computed by the compiler",
    "Dropout": "removed: it does nothing at inference",
    "Identity": "removed",
    "LpNormalization": "rewritten to a reduction and Div",
    "Mean": "of several operands: rewritten to Add and Div",
    "Sum": "of several operands: rewritten to Add",
    "GroupNormalization": "rewritten to LayerNormalization",
    "InstanceNormalization": "rewritten to LayerNormalization",
    "DynamicQuantizeLinear": "left out before integer products, with a warning",
    "MatMulInteger": "rewritten to MatMul behind DynamicQuantizeLinear",
    "ConvInteger": "rewritten to Conv behind DynamicQuantizeLinear",
    "com.microsoft::Gelu": "rewritten to Gelu, with a warning",
    "com.microsoft::BiasGelu": "rewritten to Add and Gelu, with a warning",
    "com.microsoft::FastGelu": "rewritten to Gelu, with a warning",
    "com.microsoft::QuickGelu": "rewritten to Sigmoid and Mul, with a warning",
    "com.microsoft::FusedMatMul": "rewritten to MatMul, with a warning",
    "com.microsoft::MatMulNBits": "2-bit weights: rewritten to DequantizeLinear and MatMul",
    "QONNX::Quant": "rewritten to QuantizeLinear and DequantizeLinear",
    "QONNX::BipolarQuant": "rewritten to QuantizeLinear and DequantizeLinear",
}


def operators(target: str | None = None) -> list[dict[str, str]]:
    """Each supported operator with its precisions, in the order of their names.

    With a target, the precisions say in which arithmetic that chip computes them.

    Raises:
        UsageError: there is no such target (TC0401).
    """
    import ternc.backends.esp32.lower  # noqa: F401  (fills the registry)
    from ternc.backends.esp32.lower.registry import OPERATORS
    from ternc.passes.expand_functions import EXPANDED
    from ternc.passes.import_qoperators import REWRITTEN

    folded = {
        **_FOLDED, **dict.fromkeys(EXPANDED, "written out as ONNX defines it"),
        **dict.fromkeys(REWRITTEN, "rewritten to QuantizeLinear and DequantizeLinear")}
    rows = [
        {"operator": item.name, "float32": "yes", "int8": item.int8 or "no",
         "int16": item.int16 or "no", "note": item.note}
        for item in OPERATORS.values()
    ]
    rows += [
        {"operator": name, "float32": "folded", "int8": "folded", "int16": "folded", "note": note}
        for name, note in folded.items() if name not in OPERATORS
    ]
    if target is not None:
        from ternc.backends.esp32.targets import target_named

        floats = "float with FPU" if target_named(target).fpu else "soft float"
        for row in rows:
            row["float32"] = floats if row["float32"] == "yes" else row["float32"]
            for kind in ("int8", "int16"):
                if row[kind] == "no":
                    row[kind] = floats
                elif row[kind] != "folded":
                    row[kind] = f"integer: {row[kind]}"
    return sorted(rows, key=lambda row: row["operator"].lower())


def print_operators(
    file: IO[str], target: str | None = None, *, json: bool = False, markdown: bool = False
) -> None:
    """Prints the operators, with a target as that chip computes them."""
    rows = operators(target)
    if json:
        print(_json.dumps(rows, indent=2), file=file)
        return
    print_table(file, ("operator", "float32", "int8", "int16", "note"),
                [list(row.values()) for row in rows], markdown=markdown)


def print_targets(file: IO[str], *, json: bool = False, markdown: bool = False) -> None:
    """Prints the chips; a figure with a star is unverified."""
    from ternc.backends.esp32.targets import TARGETS, UNBOUNDED

    if json:
        print(_json.dumps([
            {"name": item.name, "isa": item.isa, "cores": item.cores, "clock_hz": item.clock_hz,
             "fpu": item.fpu, "sram_bytes": item.sram_bytes, "flash_bytes": item.flash_bytes,
             "psram_bytes": item.psram_bytes, "simd": item.simd, "sources": dict(item.sources),
             "unverified": list(item.unverified)} for item in TARGETS
        ], indent=2), file=file)
        return
    rows = []
    for item in TARGETS:
        def cell(name: str, text: str, unverified: tuple[str, ...] = item.unverified) -> str:
            return f"{text}*" if name in unverified else text

        def memory(size: int) -> str:
            if size >= UNBOUNDED:
                return "no limit"
            return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"

        rows.append([
            item.name, cell("isa", item.isa), cell("cores", str(item.cores)),
            cell("clock_hz", f"{item.clock_hz // 1_000_000} MHz" if item.clock_hz else ""),
            cell("fpu", "yes" if item.fpu else "no"),
            cell("sram_bytes", memory(item.sram_bytes)),
            cell("flash_bytes", memory(item.flash_bytes)),
            cell("psram_bytes", memory(item.psram_bytes) if item.psram_bytes else "none"),
            cell("simd", item.simd or "none"),
        ])
    print_table(file, ("target", "isa", "cores", "clock", "FPU", "static RAM", "flash", "PSRAM",
                  "SIMD"), rows, markdown=markdown)
    print("\n* unverified: the source could not be read. Sources:", file=file)
    for item in TARGETS:
        for figure, source in item.sources.items():
            print(f"  {item.name} {figure}: {source}", file=file)


def print_table(
    file: IO[str], head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool
) -> None:
    """Columns as wide as their cells, or a Markdown table."""
    if markdown:
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", file=file)
        for row in rows:
            print(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |", file=file)
        return
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in (head, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip(), file=file)
