"""What ternary weights cost in accuracy, and what they save in flash, model by model.

    python -m tests.benchmarks.ternarize_table [--models NAME ...] [--calibrate 256] [--test 5000]

Models and data are those of ../shared, and models that this project trained. Every figure is of
the compiled program, run through the C runtime on this machine. Calibration takes training
samples. Of the test samples, those at even places are what mixed precision measures its choices
on, and accuracy is on those at odd places, that nothing has seen. Models without data of their own
get features of spoken digits, and the SQNR of their output against the float model.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ternc
from ternc.quality import accuracy, sqnr
from tests.benchmarks.machine_sounds import sounds
from tests.models.synthetic import gestures
from tests.shared_models import DATA, MODELS

Array = npt.NDArray[Any]
OWN = Path(__file__).parent.parent / "models"
_CHECK = 2000  # unlabelled samples that mixed precision measures its choices on


@dataclass(frozen=True, slots=True)
class Split:
    """Samples to calibrate with, to choose by and to test on; labels where there are any."""

    fit: Array
    check: Array
    test: Array
    check_labels: Array | None = None
    test_labels: Array | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and its data for a number of samples to fit on and to test on."""

    name: str
    data: Callable[[int, int], Split]
    folder: Path = MODELS
    classifies: bool = True


def _parts(train: Array, test: Array, labels: Array, fit: int, count: int) -> Split:
    """Of the test samples, the even ones to choose by, the odd ones to test on."""
    even, odd = slice(0, 2 * count, 2), slice(1, 2 * count, 2)
    return Split(train[:fit], test[even], test[odd], labels[even], labels[odd])


def _mnist(scale: float, *shape: int) -> Callable[[int, int], Split]:
    def load(fit: int, test: int) -> Split:
        with np.load(DATA / "mnist" / "mnist.npz") as data:
            train, other = (
                (data[f"x_{part}"][:count].reshape(-1, *shape) * scale).astype(np.float32)
                for part, count in (("train", fit), ("test", 2 * test)))
            return _parts(train, other, data["y_test"], fit, test)

    return load


def _cifar(
    mean: tuple[float, ...], std: float, *, channels_first: bool
) -> Callable[[int, int], Split]:
    def load(fit: int, test: int) -> Split:
        from PIL import Image

        parts = []
        with np.load(DATA / "cifar10" / "cifar10_jpeg.npz") as data:
            for part, count in (("train", fit), ("test", 2 * test)):
                jpeg, offsets = data[f"jpeg_{part}"], data[f"offset_{part}"]
                images = np.stack([
                    np.asarray(Image.open(io.BytesIO(jpeg[a:b].tobytes())).convert("RGB"))
                    for a, b in itertools.pairwise(offsets[: count + 1])])
                real = ((images - np.array(mean)) / std).astype(np.float32)
                parts.append(real.transpose(0, 3, 1, 2) if channels_first else real)
            return _parts(parts[0], parts[1], data["y_test"], fit, test)

    return load


def _spoken(frames: int, bands: int, coefficients: int, *shape: int) -> Callable[
        [int, int], Split]:
    """Log-mel features of spoken digits, or their cosine transform; no labels that fit."""
    def load(fit: int, test: int) -> Split:
        count = fit + _CHECK + min(test, 700)  # there are 3,000 recordings
        features = np.stack([np.resize(f, (frames, f.shape[1])) for f in _log_mel(count, bands)])
        if coefficients < bands:
            grid = np.pi / bands * (np.arange(bands) + 0.5)
            features = features @ np.cos(grid[:, None] * np.arange(coefficients)) * np.sqrt(
                2 / bands)
        real = features.reshape(-1, *shape).astype(np.float32)
        return Split(*np.split(real, [fit, fit + _CHECK]))

    return load


def _machines(fit: int, test: int) -> Split:
    """The same as the autoencoder's own preparation would have them, in dB."""
    every = sounds(fit + _CHECK + min(test, 1000), recordings=3000)
    return Split(*np.split(every, [fit, fit + _CHECK]))


def _log_mel(count: int, bands: int) -> Iterator[Array]:
    window, hop = 256, 128
    with np.load(DATA / "fsdd" / "fsdd.npz") as data:
        signals, offsets = data["audio"], data["offset"]
    centres = 700 * (10 ** (np.linspace(0, 2146, bands + 2) / 2595) - 1) / 8000 * window
    bins = np.arange(window // 2 + 1)[:, None]
    left, mid, right = centres[:-2], centres[1:-1], centres[2:]
    bank = np.maximum(0, np.minimum((bins - left) / (mid - left), (right - bins) / (right - mid)))
    order = np.random.default_rng(0).permutation(len(offsets) - 1)  # they come by digit
    for index in order[:count]:
        signal = signals[offsets[index] : offsets[index + 1]].astype(np.float64)
        signal = np.pad(signal / 32768, (0, max(0, 2 * window - len(signal))))
        frames = np.lib.stride_tricks.sliding_window_view(signal, window)[::hop]
        power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
        yield np.log(power @ bank + 1e-6)


def _motion(fit: int, test: int) -> Split:
    """Synthetic gestures of a seed that training has not seen, 32 steps of 3 axes."""
    x, labels = gestures(fit + 2 * test, seed=9)
    motion = x[:, :, ::2].transpose(0, 2, 1).copy()
    return _parts(motion[:fit], motion[fit:], labels[fit:], fit, test)


SUBJECTS = (
    Subject("test_mnist_pytorch", _mnist(1 / 255, 784)),
    Subject("mnist5x20_leaky_relu", _mnist(1 / 255, 1, 28, 28)),
    Subject("cnn_max_mninst2", _mnist(1 / 255, 28, 28, 1)),
    Subject("test_mnist_model", _mnist(1.0, 1, 28, 28)),
    Subject("self-attention-mnist-pgd-medium-sim", _mnist(1 / 255, 28, 28, 1)),
    Subject("cifar_base_kw_simp", _cifar((123.675, 116.28, 103.53), 57.375, channels_first=True)),
    Subject("mlperf_tiny_pretrainedResnet", _cifar((0, 0, 0), 1.0, channels_first=False)),
    Subject("mlperf_tiny_kws_ref_model_float32", _spoken(49, 40, 10, 49, 10, 1)),
    Subject("mlperf_tiny_ad01_fp32", _machines, classifies=False),
    *(Subject(f"sequence_{cell}", _motion, OWN) for cell in ("lstm", "gru", "rnn")),
)


def rows(
    subject: Subject, fit: int, test: int, only: list[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """The model in every precision, or in those of `only` and float32."""
    path, split = subject.folder / f"{subject.name}.onnx", subject.data(fit, test)
    calibration = {"calibration_data": split.fit}
    chosen_by = {**calibration, "evaluation_data": split.check, "labels": split.check_labels}
    reference: list[Array] = []
    ways: dict[str, dict[str, Any]] = {
        "float32": {}, "int8": calibration,
        **{scheme: {**calibration, "ternarize": scheme}
           for scheme in ("median", "twn", "bitnet", "optimal")},
        "reconstruction": {**calibration, "ternarize": True},
        "mixed, 1.0": {**chosen_by, "max_drop": 1.0},
    }
    if split.check_labels is None:
        del ways["mixed, 1.0"]
        ways["mixed, 1.0 dB"] = {**chosen_by, "max_drop": 1.0}
        if subject.classifies:
            ways["mixed, 1.0 % of answers"] = {**chosen_by, "max_drop": 1.0, "labels": "model"}
    for way, options in ways.items():
        if only is not None and way not in ("float32", *only):
            continue
        begin = time.monotonic()
        try:
            compiled = ternc.compile(path, "host", **options)
        except ternc.CompileError as error:
            yield subject.name, way, error.diagnostics[-1].message[:60], "", "", "", ""
            continue
        seconds = time.monotonic() - begin
        outputs = [next(iter(compiled.run(x[None] if compiled.program.inputs[0].shape[0] == 1
                                          else x).values())).reshape(-1) for x in split.test]
        reference = reference or outputs
        report = compiled.report()
        right = "" if split.test_labels is None else f"{accuracy(outputs, split.test_labels):.1f}"
        noise = "" if way == "float32" else f"{sqnr(reference, outputs):.1f}"
        yield (subject.name, way, right, noise, f"{report['flash_bytes']:,}",
               f"{report['arena_bytes']:,}", f"{seconds:.1f}")
        if compiled.mixed is not None:
            print(compiled.mixed.table(), file=sys.stderr)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=[s.name for s in SUBJECTS])
    parser.add_argument("--calibrate", type=int, default=256)
    parser.add_argument("--test", type=int, default=5000)
    parser.add_argument("--ways", nargs="+", help="only these rows, float32 besides")
    parsed = parser.parse_args()
    if not Path(MODELS).is_dir():
        sys.exit("needs ../shared")
    print("| model | weights | accuracy % | SQNR dB | flash B | arena B | compile s |")
    print("|---|---|---|---|---|---|---|")
    for subject in SUBJECTS:
        if subject.name in parsed.models:
            for row in rows(
                    subject, parsed.calibrate, parsed.test, parsed.ways):
                print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
