"""`ternc.export` writes the file that `ternc.compile` would compile."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import ternc
from ternc.diagnostics import CompileError, UsageError
from tests.test_export import noise


def same(path: Path, model: Any, x: Any, **options: Any) -> None:
    """The file is valid, has a batch of one, and compiles to the model's own program."""
    onnx.checker.check_model(path, full_check=True)
    for port in onnx.load(path).graph.input:
        assert port.type.tensor_type.shape.dim[0].dim_value == 1
    compiled = ternc.compile(path, name="same")
    assert compiled.blob == ternc.compile(model, name="same", **options).blob
    assert compiled.run(x)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch (pip install 'ternc[torch]')")
def test_torch(tmp_path: Path) -> None:
    import torch

    from ternc.qat.torch import BitLinear

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.Dropout(0.5), BitLinear(8, 3)).train()
    examples = (torch.zeros(1, 6),)
    ternc.export(model, tmp_path / "model.onnx", example_inputs=examples)
    assert model.training
    same(tmp_path / "model.onnx", model, noise(1, 6), example_inputs=examples)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(noise(1, 6))).numpy()
    (given,) = ternc.compile(tmp_path / "model.onnx").run(noise(1, 6)).values()
    np.testing.assert_allclose(given, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("keras") is None or find_spec("tf2onnx") is None or find_spec("tensorflow") is None,
    reason="needs keras, tf2onnx and tensorflow (pip install 'ternc[keras]')")
def test_keras(tmp_path: Path) -> None:
    import keras

    import ternc.qat.keras as qat

    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((7, 5)), qat.TernaryGRU(6), keras.layers.Dense(3, activation="gelu")])
    path = tmp_path / "model.onnx"
    ternc.export(model, str(path))
    same(path, model, noise(2, 7, 5))


@pytest.mark.parametrize("given", [3, None])
def test_path(given: Any) -> None:
    with pytest.raises(UsageError, match="a path is expected"):
        ternc.export(object(), given)


def test_nothing_is_written_for_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises((UsageError, CompileError)):
        ternc.export(object(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch (pip install 'ternc[torch]')")
def test_example_inputs_of_several_samples() -> None:
    """Their batch would be the program's."""
    import torch

    model = torch.nn.Linear(6, 3)
    compiled = ternc.compile(model, example_inputs=(torch.zeros(4, 6),))
    x = noise(4, 6)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    (given,) = compiled.run(x).values()
    np.testing.assert_allclose(given, expected, atol=1e-6)
