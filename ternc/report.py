"""What a compiled model needs and holds: as a dict, as tables, and as the header's comment."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ternc.backends.esp32 import cost
from ternc.backends.esp32.isa import Kind
from ternc.backends.esp32.kernel_forms import linked_kernels
from ternc.backends.esp32.program import DType, Instruction, Tensor

if TYPE_CHECKING:
    import onnx
    from rich.console import Console

    from ternc.compiled import CompiledModel

WEIGHT_KINDS = ("ternary", "int8", "float32")
_ACTIVATIONS = {DType.F32: "float32", DType.I8: "int8", DType.I16: "int16"}
_NAME_WIDTH = 36
_NO_KERNEL_BYTES = "not measured: no compiler for the target was run"


def report(compiled: CompiledModel) -> dict[str, Any]:
    """Every figure of a compiled model as plain data, the same on every machine.

    After `ternc.emulation.emulate`, instructions, latency and kernel bytes are measured ones.
    """
    program, plan, target = compiled.program, compiled.plan, compiled.target
    latency = latency_of(compiled)
    layers = _layers(compiled, latency)
    constants = {_place(t): t for i in program.instructions for t in i.tensors(Kind.CONST)}
    constant_bytes = sum(tensor.nbytes for tensor in constants.values())
    float_bytes = float32_bytes(compiled.source)
    weights = _weights(program.instructions)
    flash = compiled.flash_bytes
    own = {native.opcode.name for native in program.natives}
    return {
        "name": compiled.name,
        "target": target.name,
        "flash_bytes": flash,
        "program_bytes": flash - min(flash, constant_bytes),
        **_kernel_bytes(compiled),
        "kernels": [f"ternc_k_{name}" for name in linked_kernels(program.instructions)
                    if name not in own],
        "arena_bytes": plan.arena_bytes,
        "arena_lower_bound_bytes": plan.lower_bound_bytes,
        "peak": {
            "step": plan.peak_step,
            "tensors": [{"name": name, "bytes": size} for name, size in plan.peak_tensors],
        },
        "macs": sum(item.macs for item in program.instructions),
        "weights": weights,
        "float32_bytes": float_bytes,
        "compression": float_bytes / flash if flash else 0.0,
        "layer_count": len(layers),
        "layers": layers,
        "folded": dict(sorted(compiled.folded.items())),
        "inputs": [_port(port) for port in program.inputs],
        "outputs": [_port(port) for port in program.outputs],
        "available": {"ram_bytes": target.sram_bytes, "flash_bytes": target.flash_bytes},
        "latency_ms": {"value": latency.milliseconds, "basis": latency.basis},
        "mixed_precision": None if compiled.mixed is None else compiled.mixed.to_dict(),
        "diagnostics": [item.to_json() for item in compiled.diagnostics],
    }


def latency_of(compiled: CompiledModel) -> cost.Latency:
    """Measured in the emulator where it ran, else the estimate."""
    found = compiled.emulation
    if found is None:
        return cost.estimate(compiled.program, compiled.target)
    counts = tuple(counts.instructions for _, counts in found.layers)
    return cost.Latency(counts, found.latency_ms, found.latency_basis)


def _kernel_bytes(compiled: CompiledModel) -> dict[str, Any]:
    found = compiled.emulation
    if found is None:
        return {"kernel_bytes": None, "kernel_bytes_reason": _NO_KERNEL_BYTES}
    return {"kernel_bytes": found.flash.kernels, "kernel_bytes_reason": found.basis}


def _port(port: Any) -> dict[str, Any]:
    return {
        "name": port.name, "shape": list(port.shape), "dtype": port.tensor.dtype.name.lower(),
        "scale": port.scale, "zero_point": port.zero_point,
    }


def weight_kind(item: Instruction) -> str:
    """Which weights an instruction has: ternary, int8, mixed (both), float32, or "" for none."""
    if item.weight_nonzeros is not None:
        return "ternary"
    names = [operand.name for operand in item.opcode.operands]
    weight = item.operand("w") if "w" in names else None
    if not isinstance(weight, Tensor):
        return ""
    if "_t2" in item.opcode.name:
        return "ternary"
    if item.opcode.name.endswith("_mixed"):
        return "mixed"
    return "float32" if weight.dtype is DType.F32 else "int8"  # some kernels' in 16 bits


def weight_count(item: Instruction) -> int:
    """How many weights an instruction has."""
    if item.codes is not None:
        return int(item.codes.size)
    if not weight_kind(item):
        return 0
    if item.opcode.name.startswith("dense"):
        return _int(item, "in_features") * _int(item, "out_features")
    if item.opcode.name.startswith(("lstm", "gru", "rnn")):
        columns = _int(item, "in_features") + _int(item, "hidden")
        return item.macs // (_int(item, "steps") * _int(item, "batch") * columns) * columns
    window = _int(item, "kernel_h") * _int(item, "kernel_w")
    return _int(item, "out_c") * window * _int(item, "in_c") // _int(item, "groups")


def _zeros(item: Instruction) -> float | None:
    """Which part of an instruction's weights is zero; None where they have a zero point.

    What pads a kernel's layout is zero: counting the others is exact.
    """
    names = {operand.name for operand in item.opcode.operands}
    if not weight_count(item) or ("w_zero" in names and item.operand("w_zero") is not None):
        return None
    nonzeros = item.weight_nonzeros
    if nonzeros is None and weight_kind(item) == "mixed":
        return None
    if nonzeros is None:
        stored = [item.operand(name) for name in ("w", "r") if name in names]
        nonzeros = sum(int(np.count_nonzero(tensor.data)) for tensor in stored
                       if isinstance(tensor, Tensor) and tensor.data is not None)
    return 1 - nonzeros / weight_count(item)


def _place(constant: Tensor) -> tuple[str, int]:
    """What equal constants, of which the blob holds one, have in common."""
    if constant.offset is None:  # of generated code, which has its own
        return "", id(constant)
    return "blob", constant.offset


def _int(item: Instruction, name: str) -> int:
    value = item.operand(name)
    assert isinstance(value, int), name
    return value


def _weights(items: list[Instruction]) -> dict[str, dict[str, int]]:
    """Weights and their bytes by kind; weights that layers share count once, code has no bytes."""
    out = {kind: {"count": 0, "bytes": 0} for kind in WEIGHT_KINDS}
    seen: set[tuple[str, int]] = set()
    for item in items:
        kind = weight_kind(item)
        if not kind:
            continue
        # "r" are the second weights of a recurrent layer, or a residual, which is no constant; a
        # layer of generated code has neither.
        stored = [value for operand, value in zip(item.opcode.operands, item.operands, strict=True)
                  if operand.name in ("w", "r") and isinstance(value, Tensor)
                  and value.data is not None]
        if stored and _place(stored[0]) in seen:
            continue
        seen.update(_place(tensor) for tensor in stored)
        if kind == "mixed":
            _add_rows(item, out)
            continue
        out[kind]["count"] += weight_count(item)
        out[kind]["bytes"] += sum(tensor.nbytes for tensor in stored)
    return out


def _add_rows(item: Instruction, out: dict[str, dict[str, int]]) -> None:
    """Counts the ternary rows of a layer, and the others as int8."""
    from ternc.backends.esp32.lower.kernel_layouts import ternary_row_count

    sizes = {"w": _int(item, "in_features"), "r": _int(item, "hidden")}
    rows = weight_count(item) // sum(sizes.values())
    for name, columns in sizes.items():
        tensor = item.operand(name)
        assert isinstance(tensor, Tensor)
        assert tensor.data is not None
        ternary = ternary_row_count(tensor.data.view(np.uint8), rows)
        packed = ternary * -(-columns // 4)
        out["ternary"]["count"] += ternary * columns
        out["ternary"]["bytes"] += packed
        out["int8"]["count"] += (rows - ternary) * columns
        out["int8"]["bytes"] += tensor.nbytes - packed


def _layers(compiled: CompiledModel, latency: cost.Latency) -> list[dict[str, Any]]:
    shapes: dict[int, tuple[int, ...]] = {}
    for port in (*compiled.program.inputs, *compiled.program.outputs):
        shapes[id(port.tensor)] = port.shape
    for view in compiled.program.values.values():
        shapes.setdefault(id(view.tensor), view.shape)
    layers = []
    for item, count in zip(compiled.program.instructions, latency.instructions, strict=True):
        output = item.writes[0]
        weights = weight_count(item)
        layers.append({
            "name": item.layer, "op": item.op_type, "instruction": item.opcode.name,
            "kernel": f"ternc_k_{item.opcode.name}", "macs": item.macs,
            "output_shape": list(shapes.get(id(output), output.shape)),
            "output_bytes": output.nbytes,
            "activations": _ACTIVATIONS.get(output.dtype, output.dtype.name.lower()),
            "weights": weight_kind(item) or None, "weight_count": weights, "zeros": _zeros(item),
            "flash_bytes": sum(tensor.nbytes for tensor in item.tensors(Kind.CONST)),
            "scratch_bytes": sum(tensor.nbytes for tensor in item.scratch),
            "instructions": count,
        })
    return layers


def float32_bytes(source: onnx.ModelProto) -> int:
    """Bytes of the source model's parameters, if each were a float32.

    Parameters are the float tensors and the integer tensors that a DequantizeLinear or, up to
    16 bits, a Cast reads; the scales and zero points of quantization, and single numbers, are
    none.
    """
    import onnx

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16,
              onnx.TensorProto.BFLOAT16}
    wide = {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL}
    parameters = {tensor.name: tensor for tensor in source.graph.initializer}
    quantized: set[str] = set()
    cast: set[str] = set()
    scales: set[str] = set()
    for node in source.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    parameters[node.output[0]] = attribute.t
        elif node.op_type in ("DequantizeLinear", "QuantizeLinear", "Quant", "BipolarQuant"):
            scales.update(node.input[1:])
            quantized.update(node.input[:1])
        elif node.op_type == "Cast":
            cast.update(node.input[:1])
    total = 0
    for name, tensor in parameters.items():
        count = math.prod(tensor.dims)
        codes = name in cast and tensor.data_type not in wide  # that a multiplication scales
        wanted = tensor.data_type in floats or name in quantized or codes
        if wanted and name not in scales and (count > 1 or len(tensor.dims) > 0):
            total += 4 * count
    return total


# --- for people ----------------------------------------------------------------------------------


def short(name: str) -> str:
    """A layer's name for people: of a converter's list of names the first, and its end."""
    first = name.split(";")[0]
    if len(first) <= _NAME_WIDTH:
        return first
    parts = first.split("/")
    kept = parts.pop()
    while parts and len(parts[-1]) + len(kept) < _NAME_WIDTH - 1:
        kept = f"{parts.pop()}/{kept}"
    # A last part alone, like "FusedBatchNormV3", is the same in many layers.
    return kept if _NAME_WIDTH // 2 < len(kept) <= _NAME_WIDTH else f"…{first[1 - _NAME_WIDTH:]}"


def _bytes(size: float) -> str:
    if size < 10_000:
        return f"{size:,.0f} B"
    return f"{size / 1024:,.1f} KB" if size < 10 * 1024 * 1024 else f"{size / 1024**2:,.1f} MB"


def _shape(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def duration(value: float | None) -> str:
    """Milliseconds for people."""
    if value is None:
        return "unknown"
    return f"{value:.2f} ms" if value < 100 else f"{value:,.0f} ms"


def _summary(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, how much, detail), line by line."""
    bound, arena = data["arena_lower_bound_bytes"], data["arena_bytes"]
    available = data["available"]
    bounded = data["target"] != "host"
    rows = [
        ("flash", _bytes(data["flash_bytes"]),
         f"{_share(data['flash_bytes'], available['flash_bytes'])} of "
         f"{_bytes(available['flash_bytes'])}" if bounded else "weights and program"),
        ("arena", _bytes(arena),
         (f"{_share(arena, available['ram_bytes'])} of {_bytes(available['ram_bytes'])}, "
          if bounded else "")
         + ("as small as can be" if arena == bound else f"lower bound {_bytes(bound)}")),
        ("float32 size", _bytes(data["float32_bytes"]), f"{data['compression']:.1f}x the flash"),
        ("layers", str(data["layer_count"]), f"{len(data['kernels'])} kernels"),
        ("MACs", f"{data['macs']:,}", ""),
    ]
    for kind, figures in data["weights"].items():
        if figures["count"]:
            bits = 8 * figures["bytes"] / figures["count"]
            rows.append((f"{kind} weights", f"{figures['count']:,}",
                         f"{_bytes(figures['bytes'])}, {bits:.2g} bits each"))
    rows.append(("latency", duration(data["latency_ms"]["value"]), data["latency_ms"]["basis"]))
    return rows


def print_report(data: dict[str, Any], file: IO[str], *, layers: bool = True) -> None:
    """Prints a report as tables; without colour and lines that wrap when `file` is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = file.isatty()
    plain = io.StringIO()
    console = Console(file=file if terminal else plain, width=None if terminal else 180,
                      highlight=False)
    console.print(Text(f"{data['name']} for {data['target']}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="cyan")
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for row in _summary(data):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    if layers:
        _print_layers(console, data)
    if not terminal:
        file.writelines(f"{line.rstrip()}\n" for line in plain.getvalue().splitlines())


def precision(layer: dict[str, Any]) -> str:
    """Of weights and activations, as "ternary x int8"."""
    return f"{layer['weights']} x {layer['activations']}" if layer["weights"] else str(
        layer["activations"])


def _print_layers(console: Console, data: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("layer", overflow="ellipsis", no_wrap=True, max_width=_NAME_WIDTH)
    for title in ("operator", "kernel", "output", "precision"):
        table.add_column(title, no_wrap=True)
    for title in ("zeros", "MACs", "instr.", "per MAC", "flash", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    total = sum(layer["instructions"] for layer in data["layers"]) or 1
    for layer in data["layers"]:
        zeros = "" if layer["zeros"] is None else f"{100 * layer['zeros']:.0f} %"
        table.add_row(*(Text(cell) for cell in (
            short(layer["name"]), layer["op"], layer["instruction"], _shape(layer["output_shape"]),
            precision(layer), zeros, f"{layer['macs']:,}" if layer["macs"] else "",
            f"{layer['instructions']:,}",
            f"{layer['instructions'] / layer['macs']:.1f}" if layer["macs"] else "",
            _bytes(layer["flash_bytes"]) if layer["flash_bytes"] else "",
            _share(layer["instructions"], total))))
    console.print(table)


def header_comment(compiled: CompiledModel) -> list[str]:
    """The lines that open a generated header."""
    import ternc

    # without figures of an emulation, so that one model has one header
    data, target = report(replace(compiled, emulation=None)), compiled.target
    lines = [f"{compiled.name}: a model compiled by ternc {ternc.__version__}.", ""]
    if target.isa == "host":
        lines.append("target     host")
    else:
        cores = f"{target.cores} core{'s' if target.cores > 1 else ''}"
        lines += [
            f"target     {target.name}: {target.isa}, {cores}, "
            f"{target.clock_hz // 1_000_000} MHz, {'with' if target.fpu else 'without'} "
            "floating-point unit",
            f"available  {target.sram_bytes:,} bytes of RAM, {target.flash_bytes:,} of flash",
        ]
    weights = ", ".join(
        f"{figures['count']:,} {kind} ({figures['bytes']:,} bytes)"
        for kind, figures in data["weights"].items() if figures["count"]) or "none"
    lines += [
        f"weights    {weights}",
        f"flash      {data['flash_bytes']:,} bytes, of them {data['program_bytes']:,} of program",
        f"arena      {data['arena_bytes']:,} bytes (lower bound "
        f"{data['arena_lower_bound_bytes']:,})",
        f"MACs       {data['macs']:,}",
        f"latency    {duration(data['latency_ms']['value'])}: {data['latency_ms']['basis']}",
        "",
    ]
    for layer in data["layers"]:
        zeros = "" if layer["zeros"] is None else f", {100 * layer['zeros']:.0f} % zeros"
        weights = f", {layer['weights']}{zeros}" if layer["weights"] else ""
        macs = f", {layer['macs']:,} MACs" if layer["macs"] else ""
        flash = f", {layer['flash_bytes']:,} bytes" if layer["flash_bytes"] else ""
        lines.append(f"{short(layer['name'])} ({layer['op']}): {layer['instruction']} -> "
                     f"{_shape(layer['output_shape'])}{weights}{macs}{flash}")
    return lines
