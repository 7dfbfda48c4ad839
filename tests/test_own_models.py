"""The models of tests/models: compiled, they answer as onnxruntime does, and as well."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from ternc.compiled import CompiledModel
from ternc.compiler import compile as compile_model
from ternc.diagnostics import UsageError
from ternc.feeds import Data
from ternc.oracle import Oracle
from tests.models.synthetic import gestures, shapes

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MODELS = Path(__file__).parent / "models"
MNIST = Path(__file__).parents[1].parent / "shared" / "data" / "mnist" / "mnist.npz"
HELD_OUT = 400
CALIBRATION = 128

needs_mnist = pytest.mark.skipif(not MNIST.is_file(), reason="needs ../shared/data/mnist")


@dataclass(frozen=True, slots=True)
class Case:
    """A model, and what is known about it."""

    name: str
    input: str
    ternary: int  # number of layers with ternary weights
    accuracy: float  # the float model reaches at least this on held-out samples

    @property
    def path(self) -> Path:
        return MODELS / f"{self.name}.onnx"


DIGITS = Case("digits_mlp", "image", ternary=3, accuracy=0.95)
GESTURE = Case("gesture_cnn", "motion", ternary=4, accuracy=0.97)
GESTURE_INT8 = Case("gesture_cnn_int8", "motion", ternary=4, accuracy=0.97)
SHAPES = Case("shapes_cnn", "image", ternary=6, accuracy=0.97)
CASES = [
    pytest.param(DIGITS, id=DIGITS.name, marks=needs_mnist),
    *(pytest.param(case, id=case.name) for case in (GESTURE, GESTURE_INT8, SHAPES)),
]
FLOAT_CASES = [case for case in CASES if case.values[0] is not GESTURE_INT8]


@functools.cache
def held_out(case: Case) -> tuple[Floats, Labels]:
    """Samples that neither training nor calibration has seen."""
    if case is DIGITS:
        data = np.load(MNIST)
        return _pixels(data["x_test"][:HELD_OUT]), data["y_test"][:HELD_OUT].astype(np.int64)
    return (shapes if case is SHAPES else gestures)(HELD_OUT, seed=1000)


def calibration(case: Case) -> Data:
    if case is DIGITS:
        return {case.input: _pixels(np.load(MNIST)["x_train"][:CALIBRATION])}
    return MODELS / ("shapes.npz" if case is SHAPES else "gesture.npz")


def _pixels(images: npt.NDArray[np.uint8]) -> Floats:
    return images.reshape(-1, 784).astype(np.float32) / np.float32(255)


@functools.cache
def compiled(case: Case, calibrated: bool = False) -> CompiledModel:
    data = calibration(case) if calibrated else None
    return compile_model(case.path, "esp32c3", calibration_data=data)


@functools.cache
def oracle_scores(case: Case) -> Floats:
    """onnxruntime's scores, one sample at a time: most of the models have a static batch."""
    oracle = Oracle(onnx.load(case.path))
    return np.concatenate(
        [np.asarray(oracle.run({case.input: sample[np.newaxis]})["scores"], np.float32)
         for sample in held_out(case)[0]])


def scores(case: Case, calibrated: bool = False) -> Floats:
    return np.asarray(compiled(case, calibrated).run(held_out(case)[0])["scores"], np.float32)


def accuracy(case: Case, values: Floats) -> float:
    return float(np.mean(values.argmax(1) == held_out(case)[1]))


def kernels(model: CompiledModel) -> Counter[str]:
    return Counter(item.opcode.name for item in model.program.instructions)


def ternary_kernels(model: CompiledModel) -> int:
    return sum(count for name, count in kernels(model).items() if "_t2" in name)


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_float_mode_computes_what_onnxruntime_computes(case: Case) -> None:
    """At most 1e-5 of the largest score, for every sample."""
    expected = oracle_scores(case)
    error = abs(scores(case) - expected).max(1) / np.maximum(abs(expected).max(1), 1e-6)
    assert error.max() <= 1e-5


@pytest.mark.parametrize("case", CASES)
def test_accuracy_is_what_the_readme_says(case: Case) -> None:
    assert accuracy(case, oracle_scores(case)) >= case.accuracy


@pytest.mark.parametrize("case", FLOAT_CASES)
def test_calibrated_model_is_as_accurate_as_the_float_model(case: Case) -> None:
    """Within 2 points, and all in integers."""
    assert compiled(case, calibrated=True).float_instructions() == 0
    drop = accuracy(case, oracle_scores(case)) - accuracy(case, scores(case, calibrated=True))
    assert drop <= 0.02


def test_quantized_model_runs_as_it_says() -> None:
    """uint8 activations: the same accuracy, and scores within two steps of their scale."""
    expected, given = oracle_scores(GESTURE_INT8), scores(GESTURE_INT8)
    scale = compiled(GESTURE_INT8).program.outputs[0].scale
    assert scale is not None
    assert abs(given - expected).max() <= 2.01 * scale
    assert compiled(GESTURE_INT8).float_instructions() == 0
    assert abs(accuracy(GESTURE_INT8, given) - accuracy(GESTURE_INT8, expected)) <= 0.01


@pytest.mark.parametrize("calibrated", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("case", FLOAT_CASES)
def test_ternary_layers_get_ternary_kernels(case: Case, calibrated: bool) -> None:
    """Every one of them, whatever the exporter made of the weights; float layers do not."""
    found = kernels(compiled(case, calibrated))
    assert ternary_kernels(compiled(case, calibrated)) == case.ternary, found
    # Only the stem's weights are not ternary.
    others = {name: count for name, count in found.items()
              if name.startswith(("conv", "dense")) and "_t2" not in name}
    kind = "conv2d_i8" if calibrated else "conv2d_f32"
    assert sum(others.values()) == (case is SHAPES)
    assert all(name.startswith(kind) for name in others)


def test_int8_codes_with_three_levels_get_ternary_kernels() -> None:
    """onnxruntime's -127, 0 and 127 are -1, 0 and 1 with another scale."""
    assert ternary_kernels(compiled(GESTURE_INT8)) == GESTURE_INT8.ternary


@needs_mnist
def test_dynamic_batch_takes_any_number_of_samples() -> None:
    images = held_out(DIGITS)[0]
    everything = compiled(DIGITS).run({"image": images[:5]})["scores"]
    assert everything.shape == (5, 10)
    alone = compiled(DIGITS).run(images[4:5])["scores"]
    np.testing.assert_array_equal(everything[4:], alone)


def test_ternary_weights_take_two_bits() -> None:
    """Four of the 54,912 weights to a byte, and little else."""
    assert len(compiled(DIGITS).blob) < 54_912 / 4 + 3_000


def test_report_counts_int8_codes_behind_a_cast() -> None:
    """Compression is measured against float32 weights, however the file holds them."""
    assert compiled(DIGITS).report()["float32_bytes"] >= 4 * 54_912
    assert compiled(DIGITS).report()["compression"] > 14


def test_options_that_cannot_be_followed_are_refused() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"name": "my-model"}, {"keep": {"nowhere": "float32"}}, {"keep": {"node_linear": "int5"}})
    for options in wrong:
        with pytest.raises(UsageError) as refused:
            compile_model(GESTURE.path, "esp32c3", **options)
        assert [item.code for item in refused.value.diagnostics] == ["TC0403"], options


def test_float_inputs_of_an_integer_model_are_no_float_model() -> None:
    """The conversions at the border are no reason to advise calibration."""
    model = compile_model(GESTURE_INT8.path, "esp32c3", io="float")
    assert not list(model.diagnostics)
    assert model.float_instructions() == 2


@pytest.mark.parametrize("case", CASES)
def test_compiling_twice_gives_the_same_bytes(case: Case) -> None:
    again = compile_model(case.path, "esp32c3")
    assert again.blob == compiled(case).blob


@pytest.mark.parametrize(("name", "make", "seed"), [
    ("gesture.npz", gestures, 4), ("shapes.npz", shapes, 5)])
def test_samples_are_those_of_the_generator(name: str, make: object, seed: int) -> None:
    """Neither the generator nor the files changed alone."""
    assert callable(make)
    data = np.load(MODELS / name)
    samples, labels = make(64, seed=seed)
    np.testing.assert_array_equal(data["labels"], labels)
    given = data[next(key for key in data if key != "labels")]
    np.testing.assert_allclose(given, samples, atol=1 / 63)  # a step of the coarser grid


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_model_files_are_small_and_name_no_machine(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 150_000
    assert not re.search(rb"/(work|root|home|usr)/|site-packages", data)
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_the_models_hold_what_they_are_for() -> None:
    """Int8 codes behind a Cast, batch normalizations and fake quantization left in the graph."""

    def operators(case: Case) -> set[str]:
        return {node.op_type for node in onnx.load(case.path).graph.node}

    assert {"Cast", "Mul", "BatchNormalization"} <= operators(DIGITS)
    assert {"BatchNormalization", "Abs", "ReduceMean", "Round", "Concat"} <= operators(SHAPES)
    assert not {"BatchNormalization", "Round"} & operators(GESTURE)
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(GESTURE_INT8)
