"""Training of several networks side by side; on CUDA one step of all of them is one CUDA graph.

The networks here are far too small to fill a GPU one by one. Each job keeps its data on the
device and augments a whole epoch at once; a step is recorded with a branch for each job, and
replayed for every batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ternc.qat.torch import Warmup, distill

Augment = Callable[[Tensor, Generator], Tensor]
_EAGER = 3  # steps before a graph is recorded: optimizers make their state in the first ones


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: AdamW, the rate rising for a tenth of the steps, then falling as a cosine.

    `clip` is the largest norm of all gradients together (0: any); `calm` the share of epochs, at
    the end, without augmentation. With `average` the network that training ends with is the
    running mean of the weights: how much of it stays at each step (0: the last weights).
    """

    epochs: int
    batch: int
    rate: float
    decay: float = 0.0
    smoothing: float = 0.0
    compile: bool = False
    half: bool = True
    clip: float = 0.0
    calm: float = 0.0
    average: float = 0.0


class _Mean:
    """The running mean of a network's weights and of its normalizations' statistics."""

    def __init__(self, model: nn.Module, stays: float) -> None:
        self.stays = stays
        self.values = [v for v in model.state_dict().values() if v.is_floating_point()]
        self.means = [v.clone() for v in self.values]
        # the mean of as many steps as there were is exact in the beginning
        self.steps = torch.zeros((), device=self.means[0].device)

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def update(self) -> None:
        """Takes the weights of now in."""
        self.steps += 1
        share = (1 / self.steps).clamp(min=1 - self.stays)
        for mean, value in zip(self.means, self.values, strict=True):
            mean += share * (value - mean)

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def give(self) -> None:
        """Puts the means in the weights' place."""
        for mean, value in zip(self.means, self.values, strict=True):
            value.copy_(mean)


class Job:
    """One network in training."""

    def __init__(
        self, name: str, model: nn.Module, x: Tensor, y: Tensor, augment: Augment, recipe: Recipe,
        *, seed: int, warm: float = 0.0, teacher: nn.Module | None = None,
    ) -> None:
        """Takes the data as it is on its device; `warm` is the warm-up's share of all steps."""
        device = x.device
        self.name, self.x, self.y, self.augment, self.recipe = name, x, y, augment, recipe
        self.model = model.to(device).train()
        self.teacher = None if teacher is None else teacher.to(device).eval()
        self.call = torch.compile(self.model) if recipe.compile else self.model
        self.generator = torch.Generator(device).manual_seed(seed)
        self.batches = max(len(x) // recipe.batch, 1)
        self.batch = min(recipe.batch, len(x))
        steps = self.batches * recipe.epochs
        self.rates = torch.tensor([_rate(step, steps) * recipe.rate for step in range(steps)],
                                  device=device)
        weights = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        cuda = device.type == "cuda"
        self.rate = torch.tensor(0.0, device=device) if cuda else None
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": recipe.decay},
             {"params": others, "weight_decay": 0.0}],
            lr=recipe.rate if self.rate is None else self.rate, capturable=cuda, fused=cuda)
        self.step_number = torch.zeros(1, dtype=torch.long, device=device)
        self.offsets = torch.arange(self.batch, device=device)
        self.images, self.labels = x.clone(), y.clone()
        self.stream = torch.cuda.Stream() if cuda else None
        self.done = 0
        self.mean = _Mean(self.model, recipe.average) if recipe.average else None
        self.warmup = Warmup(model, max(int(steps * warm), 1)) if warm else None

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def shuffle(self) -> None:
        """A new order and new augmentation."""
        order = torch.randperm(len(self.x), generator=self.generator, device=self.x.device)
        if self.done >= self.batches * self.recipe.epochs * (1 - self.recipe.calm):
            self.images.copy_(self.x[order])
            self.labels.copy_(self.y[order])
            return
        for part in torch.arange(len(order), device=order.device).split(10000):
            self.images[part] = self.augment(self.x[order[part]], self.generator)
        self.labels.copy_(self.y[order])

    def advance(self) -> None:
        """What follows a step, on the host."""
        self.done += 1
        if self.warmup is not None:
            self.warmup.step()
            if self.warmup.share >= 1.0:
                self.warmup = None

    def step(self) -> None:
        """One batch."""
        index = self.step_number.remainder(self.batches) * self.batch + self.offsets
        x, y = self.images.index_select(0, index), self.labels.index_select(0, index)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.rate is not None:
            self.rate.copy_(self.rates.index_select(0, self.step_number).squeeze())
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = float(self.rates[self.done])
        self.optimizer.zero_grad(set_to_none=True)
        half = self.recipe.half and self.rate is not None
        # no cache of cast weights: a recorded step must cast them anew each time
        with torch.autocast("cuda", torch.bfloat16, enabled=half, cache_enabled=False):
            scores = self.call(x)
            if self.teacher is not None:
                with torch.no_grad():
                    target = self.teacher(x)
        if self.teacher is not None:
            loss = distill(scores.float(), target.float(), y, temperature=2.0, weight=0.7)
        else:
            loss = functional.cross_entropy(
                scores.float(), y, label_smoothing=self.recipe.smoothing)
        loss.backward()
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        if self.mean is not None:
            self.mean.update()
        self.step_number += 1

    def finish(self) -> None:
        """The trained network, in eval mode."""
        if self.mean is not None:
            self.mean.give()
        self.model.eval()


class _Steps:
    """Steps of jobs together: recorded after the first few, and again when something changed."""

    def __init__(self) -> None:
        self.kind: object = None
        self.eager = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self, jobs: Sequence[Job]) -> None:
        # the end of a warm-up changes what is computed
        kind = [(job, job.warmup is not None) for job in jobs]
        if kind != self.kind:
            self.kind, self.eager, self.graph = kind, 0, None
        if jobs[0].stream is None or self.eager < _EAGER:
            self._all(jobs)
            self.eager += 1
        else:
            if self.graph is None:
                self.graph = self._recorded(jobs)
            self.graph.replay()
        for job in jobs:
            job.advance()

    def _recorded(self, jobs: Sequence[Job]) -> torch.cuda.CUDAGraph:
        torch.cuda.synchronize()
        for job in jobs:
            job.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._all(jobs)
        return graph

    def _all(self, jobs: Sequence[Job]) -> None:
        """A step of each, each in its own stream between what was before and what comes after."""
        for job in jobs:
            if job.stream is None:
                job.step()
                continue
            here = torch.cuda.current_stream()
            job.stream.wait_stream(here)
            with torch.cuda.stream(job.stream):
                job.step()
        for job in jobs:
            if job.stream is not None:
                torch.cuda.current_stream().wait_stream(job.stream)


def _rate(step: int, steps: int) -> float:
    rise = max(steps // 10, 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def train(jobs: Sequence[Job], progress: Callable[[str], None] = print) -> None:
    """Trains all jobs at the same pace, and leaves their networks in eval mode."""
    if not jobs:
        return
    start = time.perf_counter()
    steps = _Steps()
    epochs = max(job.recipe.epochs for job in jobs)
    for epoch in range(epochs):
        running = [job for job in jobs if epoch < job.recipe.epochs]
        for job in running:
            job.shuffle()
        for index in range(max(job.batches for job in running)):
            steps.step([job for job in running if index < job.batches])
        if epoch in (0, 1, 2) or (epoch + 1) % max(epochs // 10, 1) == 0:
            if running[0].stream is not None:
                torch.cuda.synchronize()
            progress(f"epoch {epoch + 1}/{epochs}: {time.perf_counter() - start:.1f} s")
    if jobs[0].stream is not None:
        torch.cuda.synchronize()
    for job in jobs:
        job.finish()


@torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples whose largest score is at their label."""
    scores = torch.cat([model(part) for part in x.split(1000)])
    return float((scores.argmax(1) == y).float().mean())
