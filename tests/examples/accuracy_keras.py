"""Keras networks on real data: float, ternary, fine-tuned with and without distillation.

    python -m tests.examples.accuracy_keras exercises --data DIR --out runs

Each network ends in a C header, runs/TASK-VARIANT-SEED.h, and in a line of JSON, printed and
appended to runs/TASK-keras.jsonl: accuracy on the test split as Keras computes it and through the
compiled program with int8 activations, flash and arena. There is no augmentation, unlike in
accuracy.py, whose data this takes; README.md in this folder has what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

# read when TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import ternc
from ternc.qat.keras import Distiller, convert
from tests.examples import arrays, networks_keras

CALIBRATION: Final = 512  # training samples
VARIANTS: Final = ("float", "ternary", "tuned", "tuned-distilled")


@dataclass(frozen=True, slots=True)
class Task:
    """Data, network, and what of it stays float; `rate` is Adam's at the beginning."""

    load: Callable[[Path], arrays.Arrays]
    network: Callable[[], Any]
    epochs: int
    batch: int
    rate: float
    skip: tuple[str, ...] = ("first", "last")


TASKS: Final = MappingProxyType({
    "exercises": Task(arrays.exercises, networks_keras.motions, 60, 64, 3e-3),
    "fsdd": Task(arrays.fsdd, networks_keras.keywords, 60, 64, 3e-3),
    "fsdd-gru": Task(arrays.fsdd, networks_keras.keywords_gru, 100, 64, 3e-3, ("last",)),
    "cifar10": Task(
        arrays.cifar10, networks_keras.resnet8, 60, 128, 5e-3, ("first", "last", "shortcut*")),
    "mnist-vit": Task(arrays.mnist, networks_keras.transformer, 20, 128, 1e-3),
})


def fit(model: Any, x: Any, y: Any, task: Task, teacher: Any = None) -> None:
    """Adam with a cosine schedule; with a teacher, against its answers as well as the labels."""
    steps = task.epochs * -(-len(x) // task.batch)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(task.rate, steps), clipnorm=1.0)
    if teacher is None:
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=task.batch, epochs=task.epochs, verbose=0)
    else:
        trainer = Distiller(model, teacher)
        trainer.compile(optimizer)
        trainer.fit(x, y, batch_size=task.batch, epochs=task.epochs, verbose=0)


def trained(variant: str, plain: Any, build: Callable[[], Any], x: Any, y: Any, task: Task) -> Any:
    """A network of one variant; `plain` is the trained float network."""
    if variant == "float":
        return plain
    start = build() if variant == "ternary" else plain
    model = convert(start, "twn", skip=task.skip, verbose=False)
    fit(model, x, y, task, plain if variant == "tuned-distilled" else None)
    return model


def finished(model: Any, header: Path, x: Any, x_test: Any, y_test: Any) -> dict[str, Any]:
    """Compiles for int8 activations, writes the header, and runs the program on test samples."""
    compiled = ternc.compile(
        model, target="esp32", calibration_data=x[:CALIBRATION], name="network")
    compiled.save(header)
    (scores,) = compiled.run(x_test).values()
    report = compiled.report()
    return {
        "accuracy": _accuracy(model.predict(x_test, verbose=0), y_test),
        "program_accuracy": _accuracy(scores, y_test),
        "flash_bytes": report["flash_bytes"], "arena_bytes": report["arena_bytes"],
        "weights": {kind: part["count"] for kind, part in report["weights"].items()},
        "header": str(header)}


def _accuracy(scores: Any, labels: Any) -> float:
    return float(np.mean(np.argmax(scores, 1) == labels))


def run(name: str, task: Task, arguments: argparse.Namespace) -> None:
    """All seeds and variants, one after the other."""
    data = task.load(arguments.data)
    x, x_test = (np.moveaxis(a, 1, -1) for a in (
        data.x[:arguments.samples], data.x_test[:arguments.test_samples]))
    y, y_test = data.y[:len(x)], data.y_test[:len(x_test)]
    for seed in range(arguments.seeds):
        def build(seed: int = seed) -> Any:
            keras.utils.set_random_seed(seed)
            return task.network()

        plain = build()
        fit(plain, x, y, task)
        for variant in arguments.variants:
            model = trained(variant, plain, build, x, y, task)
            row = {"task": name, "variant": variant, "seed": seed, "epochs": task.epochs,
                   **finished(model, arguments.out / f"{name}-{variant}-{seed}.h",
                              x, x_test, y_test)}
            print(json.dumps(row), flush=True)
            with (arguments.out / f"{name}-keras.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--variants", default=list(VARIANTS), nargs="+", choices=VARIANTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--samples", type=int, help="use the first training samples only")
    parser.add_argument("--test-samples", type=int, help="and the first test samples")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    task = TASKS[arguments.task]
    if arguments.epochs is not None:
        task = replace(task, epochs=arguments.epochs)
    try:
        run(arguments.task, task, arguments)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
