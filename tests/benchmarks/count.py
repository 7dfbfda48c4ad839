"""Machine instructions of layers and models on an emulated ESP32-C3 core, beside their goals.

    python tests/benchmarks/count.py [--layers] [--models] [--json] [--update | --check]

`--update` records the figures in baseline.json; `--check` fails when one is more than 2 % worse.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if __package__ in (None, ""):
    sys.path.insert(0, str(ROOT))

import ternc  # noqa: E402
from ternc.backends.esp32.encode import encode  # noqa: E402
from ternc.backends.esp32.isa import Kind  # noqa: E402
from ternc.backends.esp32.lower import lower  # noqa: E402
from ternc.backends.esp32.lower.kernel_cost import Room  # noqa: E402
from ternc.backends.esp32.memory_plan import plan_memory  # noqa: E402
from ternc.backends.esp32.native import add_native_code  # noqa: E402
from ternc.backends.esp32.program import Program  # noqa: E402
from ternc.backends.esp32.targets import target_named  # noqa: E402
from ternc.compiled import CompiledModel  # noqa: E402
from ternc.compiler import prepare  # noqa: E402
from tests.benchmarks import emulate  # noqa: E402
from tests.benchmarks.layers import LAYERS, Layer, model_of  # noqa: E402

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.02
LAYER_SCRATCH = 40 * 1024
MODELS = ROOT.parent / "shared" / "models"
Row = dict[str, Any]
# esp-tflite-micro with esp-nn on the same core: instructions, arena, flash of code and model.
PEERS = {
    "keyword spotting": ("mlperf_tiny_kws_ref_model.onnx", 25_825_408, 22_780, 91_842 + 53_936),
    "anomaly detection": ("mlperf_tiny_ad01_int8.onnx", 2_454_270, 2_380, 43_760 + 276_976),
    "ResNet8": ("mlperf_tiny_pretrainedResnet.onnx", 96_412_505, 54_364, 88_038 + 98_496),
}  # fmt: skip


def weight_bytes(compiled: CompiledModel) -> int:
    """Bytes of weights in kernel layout, constants of the requantization not counted."""
    tensors = {
        id(t): t
        for item in compiled.program.instructions
        for t in item.tensors(Kind.CONST)
        if t.name.rsplit(":", 1)[-1].split(".")[0] == "weights"
    }
    return sum(t.nbytes for t in tensors.values())


def compile_layer(layer: Layer, *, speed: bool = False) -> CompiledModel:
    """The layer by itself, its kernel allowed `LAYER_SCRATCH` bytes whatever its own activations.

    (In a model, `-O` sets what a kernel may take: activations that are alive elsewhere.) With
    `speed`, in generated code.
    """
    prepared = prepare(model_of(layer))

    def lowered() -> tuple[Program, dict[str, str]]:
        return lower(prepared.model, prepared.diagnostics, channels_last_io=True,
                     room=lambda _: Room(LAYER_SCRATCH))  # fmt: skip

    program, folded = lowered()
    prepared.diagnostics.raise_errors()
    host = None
    if speed:
        host, _ = lowered()
        plan_memory(host)
        add_native_code(program, "model", lambda _: Room(LAYER_SCRATCH))
        assert program.natives, layer.name
    plan = plan_memory(program)
    return CompiledModel(
        name="model", target=target_named("esp32c3"), source=prepared.source,
        model=prepared.model, program=program, plan=plan, blob=encode(program),
        diagnostics=prepared.diagnostics, folded=folded, host=host,
    )  # fmt: skip


def count_layers(only: str = "") -> dict[str, Row]:
    """One row per layer of the table."""
    rows = {}
    for layer in LAYERS:
        if only not in layer.name:
            continue
        rows[layer.name] = _row(layer, compile_layer(layer), layer.goal, layer.goal_bits)
        if layer.speed_goal:
            compiled = compile_layer(layer, speed=True)
            rows[f"{layer.name}, -O speed"] = _row(
                layer, compiled, layer.speed_goal, float("inf"))
    return rows


def _row(layer: Layer, compiled: CompiledModel, goal: float, goal_bits: float) -> Row:
    done = emulate.count(compiled)
    items = compiled.program.instructions
    macs = sum(item.macs for item in items)
    flash = weight_bytes(compiled) + sum(n.code_bytes for n in compiled.program.natives)
    return {
        "instructions": done.instructions, "macs": macs,
        "per_mac": round(done.instructions / macs, 3), "goal": goal,
        "bits": round(flash * 8 / int(np.prod(layer.w)), 2),
        "goal_bits": goal_bits if np.isfinite(goal_bits) else None, "stack": done.stack_bytes,
        "scratch": sum(t.nbytes for item in items for t in item.scratch),
        "kernel": " ".join(item.opcode.name for item in items),
        "kernel_bytes": done.kernel_bytes,
    }  # fmt: skip


def compile_peer(name: str) -> CompiledModel:
    """One of `PEERS`, int8; ResNet8 comes in float and is calibrated on noise."""
    data = None
    if name == "ResNet8":
        data = np.random.default_rng(0).uniform(0, 255, (8, 1, 32, 32, 3)).astype(np.float32)
    return ternc.compile(MODELS / PEERS[name][0], "esp32c3", calibration_data=data)


def count_models(only: str = "") -> dict[str, Row]:
    """One row per model that is there."""
    rows = {}
    for name, (file, instructions, arena, flash) in PEERS.items():
        if only not in name or not (MODELS / file).exists():
            continue
        compiled = compile_peer(name)
        done = emulate.run(compiled)
        clang = emulate.run(compiled, compiler=None, emulator="unicorn")
        rows[name] = {
            "instructions": done.instructions, "arena": compiled.plan.arena_bytes,
            "stack": done.stack_bytes, "weights": done.flash.weights,
            "program": done.flash.program, "kernels": done.flash.kernels,
            "clang_instructions": clang.instructions, "clang_kernels": clang.flash.kernels,
            "peer_instructions": instructions, "peer_arena": arena, "peer_flash": flash,
            "layers": [
                {"layer": i.layer, "kernel": i.opcode.name, "macs": i.macs,
                 "instructions": counts.instructions, "scratch": layer.scratch_bytes}
                for i, (layer, counts) in zip(compiled.program.instructions, done.layers,
                                              strict=True)],
        }  # fmt: skip
    return rows


def show(layers: dict[str, Row], models: dict[str, Row]) -> None:
    """Prints the figures beside the goals."""
    if layers:
        print(
            f"{'layer':38}{'instr':>10} {'/MAC':>6} {'goal':>5} {'bits':>6} {'goal':>5}"
            f" {'scratch':>8} {'stack':>6}  kernel"
        )
    for name, row in layers.items():
        bits = row["goal_bits"]
        good = row["per_mac"] <= row["goal"] and (bits is None or row["bits"] <= bits)
        mark = " " if good else "!"
        wanted = "" if bits is None else f"{bits:.2f}"
        print(
            f"{name:38}{row['instructions']:>10,} {row['per_mac']:6.3f} {row['goal']:5.2f} "
            f"{row['bits']:6.2f} {wanted:>5} {row['scratch']:>8,} {row['stack']:>6,} "
            f"{mark}{row['kernel']}"
        )
    for name, row in models.items():
        flash = row["weights"] + row["program"] + row["kernels"]
        print(
            f"\n{name}: {row['instructions']:,} instructions "
            f"({row['instructions'] / row['peer_instructions']:.2f} of esp-tflite-micro's), arena "
            f"{row['arena']:,} ({row['arena'] / row['peer_arena']:.2f}), stack {row['stack']:,}, "
            f"flash {flash:,} ({flash / row['peer_flash']:.2f}): weights {row['weights']:,}, "
            f"program {row['program']:,}, kernels {row['kernels']:,}"
        )
        for item in row["layers"]:
            each = f"{item['instructions'] / item['macs']:6.2f}" if item["macs"] else " " * 6
            print(
                f"  {item['layer'][-40:]:40} {item['kernel']:22}{item['instructions']:>11,} {each}"
                f" {item['scratch']:>7,}"
            )


def worse(found: dict[str, dict[str, Row]], baseline: dict[str, dict[str, Row]]) -> list[str]:
    """Figures that are more than 2 % above the recorded ones."""
    problems = []
    for kind, rows in found.items():
        for name, row in rows.items():
            old = baseline.get(kind, {}).get(name, {})
            for key in ("instructions", "bits", "scratch", "arena", "weights", "kernels",
                        "clang_instructions", "clang_kernels"):
                if key in row and key in old and row[key] > old[key] * TOLERANCE:
                    problems.append(f"{name}: {key} {row[key]} (recorded: {old[key]})")
    return problems


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmarks; 1 when a figure got worse."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for flag in ("layers", "models", "json", "update", "check"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--only", default="", help="part of a layer's or model's name")
    options = parser.parse_args(argv)
    if missing := emulate.missing_tools():
        print(missing, file=sys.stderr)
        return 2
    both = options.layers == options.models
    layers = count_layers(options.only) if both or options.layers else {}
    models = count_models(options.only) if both or options.models else {}
    found = {"layers": layers, "models": models}
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        show(layers, models)
    baseline = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    if options.update:
        for kind, rows in found.items():
            baseline.setdefault(kind, {}).update(rows)
        BASELINE.write_text(json.dumps(baseline, indent=1) + "\n", encoding="utf-8")
    problems = worse(found, baseline) if options.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
