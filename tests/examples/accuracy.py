"""Accuracy of float and ternary networks on real data: trains them, then compiles them.

    python -m tests.examples.accuracy train mnist --data DIR --out runs --seeds 3
    python -m tests.examples.accuracy compile mnist --data DIR --out runs

`train` appends a line of JSON per network to runs/TASK.jsonl and keeps the networks in
runs/TASK.pt; `compile` reads those, writes a C header for each, runs/TASK-VARIANT-SEED.h, and
appends the accuracy of the compiled programs, run on this machine, on the whole test split, and
their size. README.md in this folder holds what was measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from tests.examples.programs import Part, compile_all
from tests.examples.tasks import TASKS, Task, Variant
from tests.examples.training import Job, accuracy, train

# what of a recipe the command line changes
CHANGES: Final[dict[str, Callable[[str], Any]]] = {
    "epochs": int, "batch": int, "rate": float, "decay": float, "smoothing": float,
    "average": float}


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("train", "compile"))
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--data", type=Path, required=True, help="folder with the data")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--variants", help="names, separated by commas; default all of the table")
    parser.add_argument("--trial", action="store_true",
                        help="for choices: trials' variants, tested on held-out training samples")
    parser.add_argument("--folds", type=int, default=0,
                        help="--trial as cross-validation on the training samples")
    for name, kind in CHANGES.items():
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--compile", action="store_true", help="train through torch.compile")
    parser.add_argument("--samples", type=int, help="use the first training samples only")
    parser.add_argument("--test-samples", type=int, help="and the first test samples")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--post-training", action="store_true",
                        help="compile: ternarize the float networks too, on training samples")
    return parser.parse_args()


def _train(arguments: argparse.Namespace, task: Task) -> None:
    torch.backends.cudnn.benchmark = True
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    _chosen(arguments, task)  # says what is wrong before data are read
    for part in _parts(arguments, task):
        _train_on(part, arguments, task)


def _parts(arguments: argparse.Namespace, task: Task) -> Iterator[Part]:
    """The official split; with --trial held-out training samples, once or in folds."""
    data = task.load(arguments.data)
    if not arguments.trial:
        yield Part(arguments.task, "test", data)
        return
    name = f"{arguments.task}-trial"
    if not arguments.folds:
        yield Part(name, "held out", data.held_out(task.held_out))
    for fold in range(arguments.folds):
        yield Part(name, f"fold {fold}", data.fold(fold, arguments.folds))


def _train_on(part: Part, arguments: argparse.Namespace, task: Task) -> None:
    variants, data = _chosen(arguments, task), part.data
    x, y = (a[:arguments.samples].to(arguments.device) for a in (data.x, data.y))
    x_test, y_test = (a[:arguments.test_samples].to(arguments.device)
                      for a in (data.x_test, data.y_test))
    changes = {name: getattr(arguments, name) for name in CHANGES
               if getattr(arguments, name) is not None}
    recipe = replace(task.recipe, **changes, compile=arguments.compile)
    kept = part.networks(arguments.out)
    # networks of an earlier run can be started from, and taught by
    states: dict[str, Any] = torch.load(kept, map_location="cpu") if kept.exists() else {}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for wave in _waves(variants):
        jobs: list[tuple[str, int, Job]] = []
        for variant, seed in itertools.product(wave, seeds):
            torch.manual_seed(seed)
            chosen = variants[variant]
            model = chosen.build(task.network)
            if chosen.start is not None:
                model.load_state_dict(_state(states, chosen.start, seed))
            teacher = None
            if chosen.teacher is not None:
                teacher = task.known[chosen.teacher].build(task.network)
                teacher.load_state_dict(_state(states, chosen.teacher, seed))
            jobs.append((variant, seed, Job(
                f"{variant}-{seed}", model, x, y, chosen.augment or task.augment,
                chosen.recipe(recipe), seed=seed, warm=chosen.warm, teacher=teacher)))
        start = time.perf_counter()
        train([job for _, _, job in jobs], lambda text: print(text, flush=True))
        seconds = time.perf_counter() - start
        for variant, seed, job in jobs:
            states[job.name] = {k: v.detach().cpu() for k, v in job.model.state_dict().items()}
            row = {
                "task": arguments.task, "variant": variant, "seed": seed,
                "epochs": job.recipe.epochs, "batch": job.recipe.batch, "rate": job.recipe.rate,
                "decay": job.recipe.decay, "split": part.split,
                "accuracy": accuracy(job.model, x_test, y_test),
                "train_accuracy": accuracy(job.model, x[:10000], y[:10000]),
                "seconds_of_all": round(seconds, 1)}
            print(json.dumps(row), flush=True)
            with (arguments.out / f"{part.name}.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
        torch.save(states, kept)


def _waves(variants: dict[str, Variant]) -> list[list[str]]:
    """Variants in an order such that what one starts from or learns from is trained before."""
    left, waves = dict(variants), []
    while left:
        waves.append([name for name, variant in left.items()
                      if variant.start not in left and variant.teacher not in left])
        left = {name: variant for name, variant in left.items() if name not in waves[-1]}
    return waves


def _state(states: dict[str, Any], variant: str, seed: int) -> Any:
    if f"{variant}-{seed}" not in states:
        raise SystemExit(f"{variant} of seed {seed} has to be trained before, or with these")
    return states[f"{variant}-{seed}"]


def _chosen(arguments: argparse.Namespace, task: Task) -> dict[str, Variant]:
    known = task.known
    names = list(task.trials if arguments.trial else task.variants)
    if arguments.variants:
        names = arguments.variants.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"unknown variants {', '.join(unknown)}: known are {', '.join(known)}")
    return {name: known[name] for name in names}


def main() -> None:
    arguments = _parsed()
    arguments.out.mkdir(parents=True, exist_ok=True)
    task = TASKS[arguments.task]
    if arguments.step == "train":
        _train(arguments, task)
    else:
        for part in _parts(arguments, task):
            compile_all(
                part, task, arguments.out,
                test_samples=arguments.test_samples, post_training=arguments.post_training,
                variants=arguments.variants.split(",") if arguments.variants else None)


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None
