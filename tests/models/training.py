"""What the training scripts share: ternary weights, a training loop, the export."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn
from torch.nn.utils import parametrize

HERE = Path(__file__).parent
Array = npt.NDArray[np.generic]


class Ternary(nn.Module):  # type: ignore[misc, unused-ignore]
    """Weights as `mean|w| · {-1, 0, 1}` in the forward pass, as they are in the backward pass."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        scale = weight.abs().mean().clamp(min=1e-5)
        ternary = (weight / scale).round().clamp(-1, 1) * scale
        return weight + (ternary - weight).detach()


def ternary(layer: nn.Module) -> nn.Module:
    """`layer`, trained and exported with ternary weights."""
    parametrize.register_parametrization(layer, "weight", Ternary())
    return layer


def prepare(seed: int) -> None:
    """Makes training repeatable: one thread, a seed, deterministic algorithms."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


def fit(
    model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, *, epochs: int,
    batch: int = 128, rate: float = 3e-3,
) -> None:
    """Trains a classifier with Adam and a one-cycle schedule, and leaves it in eval mode."""
    steps = len(inputs) // batch
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(inputs))
        total = 0.0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}", flush=True)
    model.eval()


def accuracy(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of samples whose largest score is at their label."""
    with torch.no_grad():
        return float((model(inputs).argmax(1) == labels).float().mean())


def export(
    model: nn.Module, example: torch.Tensor, name: str, *, inputs: str, outputs: str,
    dynamic_batch: bool = False, optimize: bool = True,
) -> None:
    """Writes tests/models/<name>.onnx, with the exporter's notes except for stack traces.

    Args:
        model: what to export, in eval mode.
        example: an input.
        name: the file's name.
        inputs: the input's name.
        outputs: the output's name.
        dynamic_batch: leave the leading dimension open.
        optimize: let the exporter fold constants and batch normalizations.
    """
    shapes = ({0: torch.export.Dim("batch")},) if dynamic_batch else None
    program = torch.onnx.export(
        model, (example,), dynamo=True, input_names=[inputs], output_names=[outputs],
        dynamic_shapes=shapes, optimize=optimize, verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for item in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input,
                 *proto.graph.output, *proto.graph.initializer):
        # Stack traces and the graph's exported program name files of the machine.
        kept = [note for note in item.metadata_props if _is_portable(note)]
        del item.metadata_props[:]
        item.metadata_props.extend(kept)
    onnx.checker.check_model(proto, full_check=True)
    path = HERE / f"{name}.onnx"
    path.write_bytes(proto.SerializeToString(deterministic=True))
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def _is_portable(note: onnx.StringStringEntryProto) -> bool:
    return bool(re.search(r"\.(name_scopes|class_hierarchy|onnx_node)$", note.key))


def save_samples(name: str, inputs: str, samples: Array, labels: Array) -> None:
    """Writes tests/models/<name>.npz: samples under the input's name, and their labels."""
    np.savez_compressed(HERE / f"{name}.npz", labels=labels, **{inputs: samples})  # type: ignore[arg-type]
