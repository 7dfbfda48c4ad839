"""Handwritten digits in Keras: one network float, and the same trained ternary, then compiled.

    python tests/examples/digits_keras.py

The data is the set of 1,797 images of 8 by 8 pixels that scikit-learn brings along; a fifth of it,
the same for every seed, is the test set. One network is trained float, one ternary from the same
start, and the float one is converted and trained on.

Measured with the defaults (40 epochs, twn, test accuracy as mean of the seeds 0 to 2 and range;
Keras 3.15.1 on TensorFlow 2.21, one thread of an x86-64 CPU, 125 s for all):

    float                             98.61 % (97.50 to 99.44)
    ternarized after training         38.24 % (28.33 to 57.78), nothing recalibrated
    ternary                           97.96 % (96.67 to 98.61)
    ternary, from the float network   98.52 % (98.33 to 98.89)
    compiled program                  97.96 % (96.67 to 98.61), of the network trained ternary
    flash 6,384 bytes, arena 12,288 bytes

With `--network gru`, which reads an image row by row: float 97.96 % (97.22 to 99.17), ternarized
after training 93.98 %, ternary 98.52 % (98.06 to 99.17), ternary from the float network 99.17 %
(98.89 to 99.44), compiled program as ternary; flash 6,560 bytes, arena 1,216 bytes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

# read when TensorFlow is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import ternc
from ternc.qat.keras import Warmup, convert

layers = keras.layers
BATCH = 64
# the first convolution and the last layer have few weights and stay float
FLOAT_LAYERS = {"convolutions": ("first", "last"), "gru": "last", "lstm": "last"}


def data() -> tuple[Any, Any, Any, Any]:
    """Images to train and to test with, in [0, 1], and their labels."""
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(
        images, digits.target, test_size=0.2, random_state=0, stratify=digits.target)
    return x, y, x_test, y_test


def network() -> Any:
    """A convolution, two depthwise separable ones, global pooling, one dense layer."""
    x = entrance = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="first")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for index, (filters, strides) in enumerate(((32, 1), (64, 2)), 1):
        x = layers.DepthwiseConv2D(
            3, strides, "same", use_bias=False, name=f"depthwise{index}")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{index}")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(entrance, layers.Dense(10, name="last")(x))


def recurrent(kind: str) -> Any:
    """The rows of the image one after the other through a GRU or an LSTM, one dense layer."""
    cells = {"gru": layers.GRU, "lstm": layers.LSTM}[kind](48, name="cells")
    entrance = keras.Input((8, 8, 1))
    x = cells(layers.Reshape((8, 8))(entrance))
    return keras.Model(entrance, layers.Dense(10, name="last")(x))


def fit(model: Any, x: Any, y: Any, epochs: int, *, warm: bool) -> None:
    """Adam with a cosine schedule; with `warm`, ternary by and by in the first third."""
    steps = epochs * -(-len(x) // BATCH)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = [Warmup(max(steps // 3, 1))] if warm else []
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)


def accuracy(logits: Any, labels: Any) -> float:
    """In per cent."""
    return 100 * float(np.mean(np.argmax(logits, 1) == labels))


def run(kind: str, seed: int, epochs: int, out: Path | None) -> dict[str, float]:
    """Accuracies of one seed; the compiled network is written to `out`."""
    x, y, x_test, y_test = data()
    skip = FLOAT_LAYERS[kind]

    def build() -> Any:
        keras.utils.set_random_seed(seed)
        return network() if kind == "convolutions" else recurrent(kind)

    def measured(model: Any) -> float:
        return accuracy(model.predict(x_test, verbose=0), y_test)

    plain = build()
    fit(plain, x, y, epochs, warm=False)
    ternary = convert(build(), "twn", skip=skip, verbose=seed == 0)
    fit(ternary, x, y, epochs, warm=True)
    tuned = convert(plain, "twn", skip=skip, verbose=False)
    afterwards = measured(tuned)
    fit(tuned, x, y, epochs, warm=True)

    compiled = ternc.compile(ternary, target="esp32c3", name="digits")
    (logits,) = compiled.run(x_test).values()
    if out is not None:
        compiled.save(out)
    report = compiled.report()
    return {
        "float": measured(plain), "ternarized after training": afterwards,
        "ternary": measured(ternary), "ternary, from the float network": measured(tuned),
        "compiled program": accuracy(logits, y_test), "flash bytes": report["flash_bytes"],
        "arena bytes": report["arena_bytes"]}


def main() -> None:
    """Prints the mean of all seeds, and how far they are apart."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=tuple(FLOAT_LAYERS), default="convolutions")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the C header goes")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    results = [run(arguments.network, seed, arguments.epochs, arguments.out)
               for seed in range(arguments.seeds)]
    for name in results[0]:
        values = [result[name] for result in results]
        print(f"{name}: {np.mean(values):.2f} (from {min(values):.2f} to {max(values):.2f})")
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
