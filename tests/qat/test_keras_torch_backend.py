"""A Keras model whose backend is PyTorch is exported as a Keras model."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import keras, numpy as np, ternc, ternc.qat.keras as qat
from ternc.diagnostics import CompileError

def compiled(shape, *layers, **options):
    model = keras.Sequential([keras.Input(shape), *layers])
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype("float32")
    result = ternc.compile(model)
    (answer,) = result.run(x).values()
    expected = model.predict(x, verbose=0)
    assert np.abs(answer - expected).max() <= 1e-5 * np.abs(expected).max()
    return [item.opcode.name for item in result.program.instructions]

assert keras.backend.backend() == "torch"
layers = keras.layers
print(compiled((10,), layers.Dense(8, activation="relu"), qat.TernaryDense(4)))
print(compiled((8, 8, 3), qat.TernaryConv2D(8, 3, use_bias=False), layers.BatchNormalization(),
               layers.ReLU(), layers.GlobalAveragePooling2D(), qat.TernaryDense(4)))
print(compiled((10,), qat.TernaryDense(4, activations="dynamic")))
try:
    compiled((6, 5), qat.TernaryGRU(8, name="memory"))
except CompileError as error:
    (diagnostic,) = error.diagnostics
    assert diagnostic.code == "TC0008" and "memory" in diagnostic.message
    assert "KERAS_BACKEND=tensorflow" in diagnostic.help
    print("refused")
"""


def test_torch_backend() -> None:
    for package in ("keras", "torch", "onnxscript"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": "torch",
             "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "['dense_f32', 'dense_f32_t2']"
    assert "conv2d_f32_t2" in lines[1]
    assert lines[2] == "['absmax_i8', 'dense_i8f_t2', 'scale_rows_f32']"
    assert lines[3] == "refused"
