"""Keras models on other backends than TensorFlow's are exported, if need be on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = """
import keras, numpy as np, ternc, ternc.qat.keras as qat
from ternc.diagnostics import CompileError

def check(model, *inputs):
    result = ternc.compile(model)
    names = [port.name for port in model.inputs]
    answers = result.run(dict(zip(names, inputs)) if len(inputs) > 1 else inputs[0]).values()
    expected = keras.tree.flatten(model.predict(list(inputs) if len(inputs) > 1 else inputs[0],
                                                verbose=0))
    for answer, wanted in zip(answers, expected, strict=True):
        assert np.abs(answer - wanted).max() <= 1e-5 * np.abs(wanted).max()
    return [item.opcode.name for item in result.program.instructions]

def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")

def compiled(shape, *layers):
    return check(keras.Sequential([keras.Input(shape), *layers]), noise(3, *shape))

layers = keras.layers
print(keras.backend.backend())
"""

PLAIN = """
print(compiled((10,), layers.Dense(8, activation="gelu"), qat.TernaryDense(4)))
print(compiled((8, 8, 3), qat.TernaryConv2D(8, 3, use_bias=False), layers.BatchNormalization(),
               layers.ReLU(), layers.GlobalAveragePooling2D(), qat.TernaryDense(4)))
print(compiled((10,), qat.TernaryDense(4, activations="dynamic")))
# padding that depends on the size, which a dynamic batch would leave to be computed
print(compiled((12, 9, 4), qat.TernaryConv2D(6, (3, 5), strides=(2, 1), padding="same")))
print(compiled((12, 12, 4), qat.TernaryDepthwiseConv2D(3, strides=2, padding="same")))
left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
both = qat.TernaryDense(5)(layers.Concatenate()([left, right]))
print(check(keras.Model([left, right], both), noise(1, 4), noise(1, 3)))
"""

RECURRENT = """
print(compiled((6, 5), qat.TernaryGRU(8, name="memory")))
print(compiled((6, 5), layers.Bidirectional(qat.TernaryLSTM(3, return_sequences=True)),
               layers.LSTM(4), layers.Dense(2)))
"""

OTHERS = """
normalization = layers.Normalization()
normalization.adapt(3 * noise(50, 3) + 1)
print(compiled((3,), normalization, qat.TernaryDense(4)))
codes = np.random.default_rng(0).integers(0, 10, (2, 6)).astype("int32")
print(check(keras.Sequential([keras.Input((6,), dtype="int32"), layers.Embedding(10, 8),
                              layers.Flatten(), qat.TernaryDense(3)]), codes))
x = keras.Input((5, 8))
print(check(keras.Model(x, qat.TernaryDense(3)(layers.MultiHeadAttention(2, 4)(x, x))),
            noise(1, 5, 8)))
"""

REFUSED = """
def refused(model):
    try:
        ternc.compile(model)
    except CompileError as error:
        (diagnostic,) = error.diagnostics
        assert diagnostic.code == "TC0008" and "memory" in diagnostic.message
        return diagnostic
    raise AssertionError("compiled")

@keras.saving.register_keras_serializable()
class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x

memory = qat.TernaryGRU(8, name="memory")
diagnostic = refused(keras.Sequential([keras.Input((6, 5)), memory, Doubled()]))
assert "Doubled" in diagnostic.notes[0], diagnostic
assert "KERAS_BACKEND=tensorflow" in diagnostic.help

class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.memory = memory

    def call(self, x):
        return self.memory(x)

model = Subclass()
model(noise(1, 6, 5))
assert "KERAS_BACKEND=tensorflow" in refused(model).help

from ternc.exporting import keras_elsewhere
keras_elsewhere.find_spec = lambda name: None
assert "pip install tensorflow tf2onnx" in refused(
    keras.Sequential([keras.Input((6, 5)), memory])).help
print("refused")
"""


@pytest.mark.parametrize(("backend", "packages"), [
    ("torch", ("keras", "torch", "onnxscript")), ("jax", ("keras", "jax", "jax2onnx"))])
def test_exports(backend: str, packages: tuple[str, ...]) -> None:
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    lines = output(backend, SETUP + PLAIN + REFUSED)
    assert lines[0] == backend
    assert lines[1] == "['dense_f32', 'gelu_f32', 'dense_f32_t2']"
    assert "conv2d_f32_t2" in lines[2]
    assert lines[3] == "['absmax_i8', 'dense_i8f_t2', 'scale_rows_f32']"
    assert lines[4] == lines[5] == "['conv2d_f32_t2']"
    assert "dense_f32_t2" in lines[6]
    assert lines[7] == "refused"


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_recurrent_layers_are_exported_on_tensorflow(backend: str) -> None:
    for package in ("keras", backend, "tensorflow", "tf2onnx"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    lines = output(backend, SETUP + RECURRENT)
    assert lines[1].startswith("['gru_f32_t2'")
    assert lines[2].count("lstm_f32") == 2


@pytest.mark.parametrize("backend", ["torch"])
def test_layers_that_keras_writes_with_other_operators(backend: str) -> None:
    for package in ("keras", backend, "tensorflow", "tf2onnx"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    lines = output(backend, SETUP + OTHERS)
    assert lines[1].endswith("'dense_f32_t2']")
    assert lines[2] == "['gather', 'dense_f32_t2']"
    assert lines[3].endswith("'dense_f32_t2']")


INFERENCE = """
import keras, numpy as np, ternc, ternc.qat.keras as qat
from ternc.diagnostics import CompileError
from ternc.exporting import keras_elsewhere

keras.utils.set_random_seed(0)
layers = [qat.TernaryConv1D(6, 3), qat.TernaryGRU(5), qat.TernaryDense(4, activations="dynamic")]
model = keras.Sequential([keras.Input((8, 3)), *layers])
print(model.predict(np.ones((2, 8, 3), "float32"), verbose=0).shape)
codes, scale = layers[2].ternary()
print(sorted(set(codes.ravel().tolist())))
keras_elsewhere.find_spec = lambda name: None
try:
    ternc.compile(model)
except CompileError as error:
    (diagnostic,) = error.diagnostics
    assert diagnostic.code == "TC0008"
    print(diagnostic.message)
"""


def test_numpy_backend_computes_and_does_not_export_itself() -> None:
    for package in ("keras", "jax"):  # Keras's numpy backend imports jax
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    shape, codes, message = output("numpy", INFERENCE)
    assert shape == "(2, 4)"
    assert codes == "[-1, 0, 1]"
    assert message == "Keras on the backend numpy cannot export models"


def output(backend: str, script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "KERAS_BACKEND": backend,
             "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
