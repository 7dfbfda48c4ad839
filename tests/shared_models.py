"""The models of other people in ../shared/models, with inputs that suit each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from ternc.feeds import input_specs, random_feeds

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
MODELS = SHARED / "models"
DATA = SHARED / "data"
Array = npt.NDArray[Any]
Feed = dict[str, Array]

needs_models = pytest.mark.skipif(
    not MODELS.is_dir(), reason="needs the models of other people in ../shared/models")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets in ../shared/data")


def paths() -> list[Path]:
    """Every model file."""
    return sorted([*MODELS.glob("*.onnx"), *MODELS.glob("*/network.onnx")])


def model_id(path: Path) -> str:
    """A short name."""
    return path.parent.name if path.name == "network.onnx" else path.stem


def mnist() -> tuple[Array, Array]:
    """The 10,000 test images as float32 [N, 1, 28, 28] in 0 to 1, and their labels."""
    data = np.load(DATA / "mnist" / "mnist.npz")
    return data["x_test"][:, None].astype(np.float32) / np.float32(255), data["y_test"]


def _mnist_feeds(count: int) -> Array:
    return mnist()[0][:count]


def _cifar(count: int) -> Array:
    """CIFAR-10 (JPEG) test images as float32 [N, 3, 32, 32] in 0 to 255."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    from io import BytesIO

    data = np.load(DATA / "cifar10" / "cifar10_jpeg.npz")
    raw, offset = data["jpeg_test"], data["offset_test"]
    images = [np.asarray(image.open(BytesIO(raw[offset[i] : offset[i + 1]].tobytes())))
              for i in range(count)]
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)


def _wake_word(count: int) -> Array:
    samples: Array = np.load(MODELS / "str_ww_calibration_samples.npz")["specs"]
    return samples[:count].astype(np.float32)


def _quantized(images: Array, scale: float, zero: int) -> Array:
    codes: Array = np.rint(images / scale) + zero
    return codes.clip(-128, 127).astype(np.int8)


# Per model: how many samples -> the samples of its (only) input, with a leading axis.
_REAL: dict[str, Callable[[int], Array]] = {
    "TFC_2W2A": _mnist_feeds,
    "TFC_2W2A_std": _mnist_feeds,
    "mnist5x20_leaky_relu": _mnist_feeds,
    "cnn_max_mninst2": lambda n: _mnist_feeds(n).transpose(0, 2, 3, 1),
    "self-attention-mnist-pgd-medium-sim": lambda n: _mnist_feeds(n).transpose(0, 2, 3, 1),
    "test_mnist_model": lambda n: _mnist_feeds(n) * np.float32(255),
    "test_mnist_pytorch": lambda n: _mnist_feeds(n).reshape(n, 784),
    "emlearn_mnist_cnn_int8": lambda n: _quantized(
        _mnist_feeds(n).transpose(0, 2, 3, 1), 1 / 255, -128
    ),
    "tinymaix_mnist_dw_q": lambda n: _quantized(
        _mnist_feeds(n).transpose(0, 2, 3, 1), 1 / 255, -128
    ),
    "tinymaix_mnist_resnet_q": lambda n: _quantized(
        _mnist_feeds(n).transpose(0, 2, 3, 1), 1 / 255, -128
    ),
    "mlperf_tiny_str_ww_ref_model": lambda n: _quantized(_wake_word(n), 0.0037010384, -128),
    "cifar_base_kw": lambda n: _cifar(n) / np.float32(255),
    "cifar_base_kw_simp": lambda n: _cifar(n) / np.float32(255),
    "mlperf_tiny_pretrainedResnet": lambda n: _cifar(n).transpose(0, 2, 3, 1),
    "mlperf_tiny_pretrainedResnet_quant": lambda n: _quantized(
        _cifar(n).transpose(0, 2, 3, 1), 1, -128
    ),
}
# Inputs whose range the model's authors state: uniform noise in it.
_RANGES = {"ACASXU_experimental_v2a_1_1": (-0.5, 0.5), "KJ_TinyTaxiNet": (0.0, 1.0)}


def feeds(path: Path, model: onnx.ModelProto, count: int = 32) -> tuple[list[Feed], str]:
    """`count` feeds for a model, and what they are."""
    specs = input_specs(model)
    name = model_id(path)
    if name in _REAL and DATA.is_dir():
        samples = _REAL[name](count)
        return [{specs[0].name: sample.reshape(specs[0].shape)} for sample in samples], "real data"
    if name in _RANGES:
        generator = np.random.default_rng(0)
        low, high = _RANGES[name]
        return [{s.name: generator.uniform(low, high, s.shape).astype(s.dtype) for s in specs}
                for _ in range(count)], f"seeded noise in [{low}, {high}]"
    return [dict(feed) for feed in random_feeds(specs, count)], "seeded noise"
