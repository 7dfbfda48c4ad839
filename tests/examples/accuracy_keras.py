"""Keras networks on real data: float, ternary, fine-tuned with and without distillation.

    python -m tests.examples.accuracy_keras train exercises --data DIR --out runs
    python -m tests.examples.accuracy_keras compile exercises --data DIR --out runs --post-training

`train` keeps each network in runs/TASK-keras-VARIANT-SEED.keras and appends a line of JSON to
runs/TASK-keras.jsonl; `compile` reads those, writes a C header for each, and appends accuracy
through the compiled program with int8 activations, flash and arena to
runs/TASK-keras-programs.jsonl; `both` does one after the other. Networks trained on one backend of
Keras can be compiled on another; `--post-training` needs TensorFlow's. There is no augmentation,
unlike in accuracy.py, whose data this takes; README.md in this folder has what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

# read when TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from ternc.qat.keras import Distiller, convert
from tests.examples import arrays, networks_keras

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


def trained(variant: str, plain: Path, x: Any, y: Any, task: Task) -> Any:
    """A network of one variant; `plain` is where the trained float network is kept."""
    start = task.network() if variant in ("float", "ternary") else keras.saving.load_model(plain)
    model = start if variant == "float" else convert(start, "twn", skip=task.skip, verbose=False)
    fit(model, x, y, task, start if variant == "tuned-distilled" else None)
    return model


def accuracy(model: Any, x: Any, y: Any) -> float:
    """The share of right answers by Keras, in float."""
    return float(np.mean(np.argmax(model.predict(x, batch_size=1000, verbose=0), 1) == y))


def append(path: Path, row: dict[str, Any]) -> None:
    """Prints a line of JSON, and appends it to a file."""
    print(json.dumps(row), flush=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def train(name: str, task: Task, data: arrays.Arrays, arguments: argparse.Namespace) -> None:
    """All seeds and variants, one after the other."""
    out = arguments.out
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for variant in arguments.variants:
            plain = out / f"{name}-float-{seed}.keras"
            if variant.startswith("tuned") and not plain.exists():
                raise SystemExit(f"float of seed {seed} has to be trained before {variant}")
            keras.utils.set_random_seed(seed)
            start = time.perf_counter()
            model = trained(variant, plain, data.x, data.y, task)
            seconds = time.perf_counter() - start
            row = {
                "task": name, "variant": variant, "seed": seed, "epochs": task.epochs,
                "split": "test", "backend": keras.backend.backend(),
                "accuracy": accuracy(model, data.x_test, data.y_test),
                "train_accuracy": accuracy(model, data.x[:10000], data.y[:10000]),
                "seconds": round(seconds, 1)}
            model.save(out / f"{name}-{variant}-{seed}.keras", include_optimizer=False)
            append(out / f"{name}.jsonl", row)


def compile_all(name: str, task: Task, data: arrays.Arrays, arguments: argparse.Namespace) -> None:
    """For each network that was trained a header, and a line in NAME-programs.jsonl."""
    from tests.examples.programs_keras import measured  # training needs no compiler

    for variant in arguments.variants:
        modes = (False, True) if variant == "float" and arguments.post_training else (False,)
        for path in sorted(arguments.out.glob(f"{name}-{variant}-[0-9]*.keras")):
            model = keras.saving.load_model(path)
            for ternarized in modes:
                header = path.with_name(f"{path.stem}{'-after' * ternarized}.h")
                append(arguments.out / f"{name}-programs.jsonl", {
                    "task": name, "variant": variant, "seed": int(path.stem.rpartition("-")[2]),
                    "split": "test", "ternarized": ternarized,
                    **measured(model, data, header, task.skip if ternarized else None)})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=("train", "compile", "both"))
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--variants", default=list(VARIANTS), nargs="+", choices=VARIANTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--samples", type=int, help="use the first training samples only")
    parser.add_argument("--test-samples", type=int, help="and the first test samples")
    parser.add_argument("--post-training", action="store_true",
                        help="compile: ternarize the float networks too, on training samples")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    task = TASKS[arguments.task]
    if arguments.epochs is not None:
        task = replace(task, epochs=arguments.epochs)
    try:
        data = task.load(arguments.data)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None
    samples, tests = arguments.samples, arguments.test_samples
    data = arrays.Arrays(  # channels last
        np.moveaxis(data.x[:samples], 1, -1), data.y[:samples],
        np.moveaxis(data.x_test[:tests], 1, -1), data.y_test[:tests])
    if arguments.step != "compile":
        train(f"{arguments.task}-keras", task, data, arguments)
    if arguments.step != "train":
        compile_all(f"{arguments.task}-keras", task, data, arguments)


if __name__ == "__main__":
    main()
