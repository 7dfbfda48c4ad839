"""Trained networks through the compiler: accuracy of the program, flash, arena."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

import ternc
from ternc.exporting import to_onnx
from tests.examples.datasets import Split
from tests.examples.tasks import Task

CALIBRATION = 512  # training samples
LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


@dataclass(frozen=True, slots=True)
class Part:
    """A task's data as they are split, and the `name` of the files of what is made from them."""

    name: str
    split: str
    data: Split

    def networks(self, out: Path) -> Path:
        """Where the trained networks are: one file for each fold."""
        fold = self.split.removeprefix("fold")
        return out / f"{self.name}{fold if fold != self.split else ''}.pt"


def kept(
    model: nn.Module, source: onnx.ModelProto, x: Tensor, skip: tuple[str, ...],
) -> dict[str, str]:
    """ONNX nodes of the layers that `skip` names, to be kept int8: layers run in graph order."""
    order: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, module in model.named_modules() if isinstance(module, LAYERS)]
    model(x)
    for handle in handles:
        handle.remove()
    weights = {tensor.name for tensor in source.graph.initializer}
    nodes = [node.name for node in source.graph.node
             if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in weights]
    return {node: "int8" for node, name in zip(nodes, order, strict=True)
            if any(fnmatchcase(name, entry) for entry in skip)}


def measured(
    model: nn.Module, data: Split, header: Path, *,
    post_training: tuple[str, ...] | None = None, test_samples: int | None = None,
) -> dict[str, Any]:
    """Compiles for int8 activations, writes the header, and runs the program on the test split.

    With `post_training` the layers of a float network that it does not name become ternary, by
    reconstruction on the calibration data; those it names are int8, as beside trained ones.
    """
    source = to_onnx(model, (data.x[:1],))
    options: dict[str, Any] = {}
    if post_training is not None:
        options = {"ternarize": True, "keep": kept(model, source, data.x[:1], post_training)}
    compiled = ternc.compile(
        source, target="esp32", calibration_data=data.x[:CALIBRATION].numpy(),
        name="network", **options)
    compiled.save(header)
    x, y = data.x_test[:test_samples].numpy(), data.y_test[:test_samples].tolist()
    right = 0
    for index, label in enumerate(y):
        (scores,) = compiled.run(x[index:index + 1]).values()
        right += int(scores.argmax()) == label
    report = compiled.report()
    return {
        "program_accuracy": right / len(y), "flash_bytes": report["flash_bytes"],
        "arena_bytes": report["arena_bytes"], "weights": report["weights"],
        "header": str(header)}


def compile_all(
    part: Part, task: Task, out: Path, *, test_samples: int | None = None,
    post_training: bool = False, variants: list[str] | None = None,
) -> None:
    """For each network of the part a C header, and a line in out/NAME-programs.jsonl."""
    torch.set_num_threads(1)
    states = torch.load(part.networks(out), map_location="cpu")
    for key, state in states.items():
        variant, seed = key.rsplit("-", 1)
        if variants is not None and variant not in variants:
            continue
        chosen = task.known[variant]
        model = chosen.build(task.network)
        model.load_state_dict(state)
        model.eval()
        modes: list[tuple[str, ...] | None] = [None]
        if chosen.scheme is None and post_training:
            modes.append(task.known["ternary"].skip)
        for skip in modes:
            row = {"task": part.name, "variant": variant, "seed": int(seed), "split": part.split,
                   "ternarized": skip is not None,
                   **measured(
                       model, part.data,
                       out / f"{part.name}-{key}{'-after' * (skip is not None)}.h",
                       post_training=skip, test_samples=test_samples)}
            print(json.dumps(row), flush=True)
            with (out / f"{part.name}-programs.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
