"""Program and blob to one C header: what the user includes in a sketch or a component."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ternc.backends.esp32.encode import ALIGNMENT, VERSION
from ternc.backends.esp32.isa import BY_NAME
from ternc.backends.esp32.kernel_forms import FORMS, linked_kernels
from ternc.backends.esp32.program import DType, Port, Program, Region

_C_TYPES = {
    DType.F32: "float", DType.I8: "int8_t", DType.U8: "uint8_t", DType.I16: "int16_t",
    DType.I32: "int32_t", DType.BOOL: "uint8_t",
}
_WORDS_A_LINE = 8


def c_float(value: float) -> str:
    """A float32 as a C literal that reads back as the same value."""
    text = f"{np.float32(value):.9g}"
    assert text.lstrip("-")[0].isdigit(), f"{text} has no literal"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def c_string(text: str) -> str:
    """Text as a C string literal, its bytes in UTF-8."""
    out = []
    for byte in text.encode("utf-8", "replace"):
        # Three octal digits end an escape whatever follows; "?" could begin a trigraph.
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        out.append(chr(byte) if plain else f"\\{byte:03o}")
    return f'"{"".join(out)}"'


def _comment(lines: Iterable[str]) -> str:
    """A comment block that its own text cannot end, however the model names its layers."""
    out = []
    for line in "\n".join(lines).splitlines() or [""]:
        for bad, good in (("*/", "* /"), ("/*", "/ *"), ("??", "? ?")):
            line = line.replace(bad, good)
        printable = "".join(char if char.isprintable() else " " for char in line)
        out.append(f" * {printable}".rstrip())
    return "/*" + "\n".join(out)[2:] + "\n */"


@dataclass(frozen=True, slots=True)
class _Names:
    """The C names that one header defines."""

    symbol: str

    def macro(self, name: str) -> str:
        return f"{self.symbol.upper()}_{name}"

    def function(self, name: str) -> str:
        return f"{self.symbol}_{name}"


def _round_up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _port_macros(names: _Names, prefix: str, port: Port) -> list[str]:
    tensor = port.tensor
    shape = ", ".join(map(str, port.shape)) or "1"  # C has no empty initializer
    values = {
        "NAME": c_string(port.name),
        "SIZE": f"{tensor.nbytes // tensor.dtype.size}u",
        "BYTES": f"{tensor.nbytes}u",
        "RANK": str(len(port.shape)),
        "SHAPE": f"{{{shape}}}",
        "SCALE": c_float(port.scale or 0.0),
        "ZERO_POINT": f"({port.zero_point})" if port.zero_point < 0 else str(port.zero_point),
        "TYPE": _C_TYPES[tensor.dtype],
        "DTYPE": f"TERNC_{tensor.dtype.name}",
    }
    return [f"#define {names.macro(f'{prefix}_{key}')} {value}" for key, value in values.items()]


def _macros(program: Program, blob: bytes, names: _Names) -> str:
    size = {region: program.region_bytes.get(region, 0) for region in Region}
    scratch, state = _round_up(size[Region.SCRATCH]), _round_up(size[Region.STATE])
    # An array of no elements is not C, so a model that needs nothing is given one unit.
    arena = max(scratch + state, ALIGNMENT)
    lines = [
        "/* Bytes of memory that the model needs; the arena is scratch and state together. */",
        f"#define {names.macro('ARENA_BYTES')} {arena}u",
        f"#define {names.macro('SCRATCH_BYTES')} {scratch}u",
        f"#define {names.macro('STATE_BYTES')} {state}u",
        f"#define {names.macro('SLOW_BYTES')} {_round_up(size[Region.SLOW])}u",
        f"#define {names.macro('BLOB_BYTES')} {len(blob)}u",
        "",
        "/* real = (stored - ZERO_POINT) * SCALE; SCALE is 0 where nothing is quantized. */",
        f"#define {names.macro('INPUT_COUNT')} {len(program.inputs)}u",
    ]
    for i, port in enumerate(program.inputs):
        lines += _port_macros(names, f"INPUT{i}", port)
    lines.append(f"#define {names.macro('OUTPUT_COUNT')} {len(program.outputs)}u")
    for i, port in enumerate(program.outputs):
        lines += _port_macros(names, f"OUTPUT{i}", port)
    return "\n".join(lines)


def _blob(blob: bytes, names: _Names) -> str:
    padded = blob + bytes(-len(blob) % 4)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    rows = [
        "  " + ", ".join(f"0x{word:08x}u" for word in words[i : i + _WORDS_A_LINE]) + ","
        for i in range(0, len(words), _WORDS_A_LINE)
    ]
    return "\n".join(
        [f"static const uint32_t {names.function('blob')}[] TERNC_ALIGNED = {{", *rows, "};"]
    )


def _natives(program: Program) -> str:
    """The code generated for single layers, and the kernels that run it."""
    parts = ['#include "ternc_lines.h"']
    for native in program.natives:
        name = native.entry.removesuffix("_blocks")
        parts.append(
            f"{native.source}\n"
            f"static void {name}_run(const ternc_op *op, uint32_t begin, uint32_t end) {{\n"
            "  (void)begin;\n  (void)end;\n"
            f"  {native.call};\n}}\n"
            f"static const ternc_kernel {name}_kernel = {{\n"
            f"  {native.opcode.code:#x}u, {native.opcode.revision:#x}u, "
            "TERNC_WORDS_conv2d_i8_lines,"
            " TERNC_KINDS_conv2d_i8_lines,\n"
            f"  ternc_lines_check, NULL, {name}_run}};"
        )
    return "\n\n".join(parts)


def _kernels(program: Program, names: _Names) -> str:
    own = {native.opcode.name: f"&{native.entry.removesuffix('_blocks')}_kernel"
           for native in program.natives}
    used = linked_kernels(program.instructions)
    known = {*BY_NAME, *own, *(form.name for form in FORMS)}
    custom = [name for name in used if name not in known]
    lines = []
    if custom:
        lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif"]
        lines += [f"extern const ternc_kernel ternc_k_{name};" for name in custom]
        lines += ["#ifdef __cplusplus", "}", "#endif"]
    entries = ",\n".join(f"  {own.get(name, f'&ternc_k_{name}')}" for name in used) or "  NULL"
    lines += [
        f"#define {names.macro('KERNEL_COUNT')} {len(used)}u",
        f"static const ternc_kernel *const {names.function('kernels')}[] = {{",
        entries,
        "};",
    ]
    return "\n".join(lines)


def _asserts(blob: bytes, names: _Names) -> str:
    blob_words = f"(sizeof {names.function('blob')} == {len(blob) + -len(blob) % 4}u)"
    return (
        "/* An array of -1 elements does not compile: the runtime must be of this version. */\n"
        f"typedef char {names.function('assert_blob_bytes')}[{blob_words} ? 1 : -1];\n"
        f"typedef char {names.function('assert_version')}"
        f"[(TERNC_VERSION_MAJOR == {VERSION[0]}) ? 1 : -1];"
    )


def _load(names: _Names, *, slow: bool) -> str:
    arena = names.macro("ARENA_BYTES")
    slow_parameters = ", void *slow, size_t slow_bytes" if slow else ""
    slow_note = f" `slow` (PSRAM) has {names.macro('SLOW_BYTES')} bytes." if slow else ""
    slow_data, slow_size = ("slow", "slow_bytes") if slow else ("NULL", "0")
    return f"""\
/* Loads the model into `arena`: {arena} bytes on a 16-byte boundary.{slow_note}
 * Load it into as many ternc_model as you like, each with an arena of its own. */
static inline ternc_status {names.function("load")}(
    ternc_model *model, void *arena, size_t arena_bytes{slow_parameters}) {{
  ternc_region regions[TERNC_REGIONS];
  if (arena == NULL) return TERNC_E_ARGUMENT;
  if (arena_bytes < {arena}) return TERNC_E_REGION;
  regions[0].data = arena;
  regions[0].size = {names.macro("SCRATCH_BYTES")};
  regions[1].data = (uint8_t *)arena + {names.macro("SCRATCH_BYTES")};
  regions[1].size = arena_bytes - {names.macro("SCRATCH_BYTES")};
  regions[2].data = {slow_data};
  regions[2].size = {slow_size};
  return ternc_load(model, {names.function("blob")}, {names.macro("BLOB_BYTES")},
                    {names.function("kernels")}, {names.macro("KERNEL_COUNT")}, regions);
}}"""


def _accessor(names: _Names, kind: str, index: int, port: Port) -> str:
    const = "const " if kind == "output" else ""
    pointer = f"{const}{_C_TYPES[port.tensor.dtype]} *"
    return f"""\
static inline {pointer}{names.function(f"{kind}{index}")}(const ternc_model *model) {{
  ternc_tensor tensor;
  if (ternc_{kind}(model, {index}u, &tensor) != TERNC_OK) return NULL;
  return ({pointer})tensor.data;
}}"""


def _accessors(program: Program, names: _Names) -> str:
    functions = [_accessor(names, "input", i, port) for i, port in enumerate(program.inputs)]
    functions += [_accessor(names, "output", i, port) for i, port in enumerate(program.outputs)]
    head = (
        "/* Where a loaded model's inputs are written and its outputs read. Inputs may be\n"
        " * overwritten by a run; outputs are valid until the next. */"
    )
    return "\n".join([head, *functions])


def _instance(names: _Names, *, slow: bool) -> str:
    slow_argument = f", slow, {names.macro('SLOW_BYTES')}" if slow else ""
    slow_macro = slow_array = ""
    if slow:
        attribute = names.macro("SLOW_ATTRIBUTE")
        slow_macro = (
            "/* Define as EXT_RAM_BSS_ATTR (ESP-IDF) to place the slow memory in PSRAM. */\n"
            f"#ifndef {attribute}\n#define {attribute}\n#endif\n"
        )
        slow_array = (
            f"  static {attribute} uint8_t slow[{names.macro('SLOW_BYTES')}] TERNC_ALIGNED;\n"
        )
    return f"""\
{slow_macro}/* The model that {names.function("run")} uses, in static memory of its own;
 * loaded at the first call. */
static inline ternc_status {names.function("instance")}(ternc_model **model) {{
  static uint8_t arena[{names.macro("ARENA_BYTES")}] TERNC_ALIGNED;
{slow_array}  static ternc_model loaded;
  static int ready = 0;
  if (ready == 0) {{
    const ternc_status status =
        {names.function("load")}(&loaded, arena, sizeof arena{slow_argument});
    if (status != TERNC_OK) return status;
    ready = 1;
  }}
  *model = &loaded;
  return TERNC_OK;
}}"""


def _run(program: Program, names: _Names) -> str:
    inputs = [f"const float *in{i}" for i in range(len(program.inputs))]
    outputs = [f"float *out{i}" for i in range(len(program.outputs))]
    steps = [
        f"  if (status == TERNC_OK) status = ternc_set_input(model, {i}u, in{i},"
        f" {names.macro(f'INPUT{i}_SIZE')});"
        for i in range(len(program.inputs))
    ]
    steps.append("  if (status == TERNC_OK) status = ternc_run(model);")
    steps += [
        f"  if (status == TERNC_OK) status = ternc_get_output(model, {i}u, out{i},"
        f" {names.macro(f'OUTPUT{i}_SIZE')});"
        for i in range(len(program.outputs))
    ]
    body = "\n".join(steps)
    parameters = ", ".join([*inputs, *outputs]) or "void"
    return f"""\
/* The short way: float arrays in, float arrays out, quantized as the model says. Not re-entrant:
 * each source file that includes this header has one model and one static arena for it. */
static inline ternc_status {names.function("run")}({parameters}) {{
  ternc_model *model = NULL;
  ternc_status status = {names.function("instance")}(&model);
{body}
  return status;
}}"""


def emit_header(
    program: Program, blob: bytes, *, symbol: str, comment: Sequence[str] = ()
) -> str:
    """The C header of a model: constants, description, and functions that load and run it.

    Args:
        program: What `blob` was encoded from.
        blob: The encoded program.
        symbol: Prefix of every C name, itself a C identifier; macros have it in upper case.
        comment: Lines for the block at the top.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", symbol):
        raise ValueError(f"{symbol!r} is not a C identifier")
    names = _Names(symbol)
    slow = program.region_bytes.get(Region.SLOW, 0) > 0
    guard = names.macro("TERNC_MODEL_H")
    parts = [
        _comment(comment or [f"{symbol}: a model compiled by ternc."]),
        f"#ifndef {guard}\n#define {guard}",
        '#include "ternc.h"\n#include "ternc_kernels.h"',
        _macros(program, blob, names),
        f"/* Instructions, tensors and weights; stays in flash. */\n{_blob(blob, names)}",
        *([_natives(program)] if program.natives else []),
        f"/* Just the kernels that this model uses; the linker drops the others. */\n"
        f"{_kernels(program, names)}",
        _asserts(blob, names),
        _load(names, slow=slow),
        _accessors(program, names),
        _instance(names, slow=slow),
        _run(program, names),
        "#endif",
    ]
    return "\n\n".join(parts) + "\n"
