"""`mean` and `std`: raw samples in, no run-time cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import ternc
from ternc.diagnostics import UsageError
from tests.passes.running import graph, run

RNG = np.random.default_rng(0)
RAW = RNG.integers(0, 256, (8, 3, 6, 6), np.uint8)


def _model() -> ir.Model:
    return graph("c = Conv (x, k)\nr = Relu (c)\nf = Flatten (r)\ny = Gemm (f, w)",
                 "float[1,3,6,6] x", "float[1,4] y",
                 k=RNG.standard_normal((5, 3, 3, 3)).astype(np.float32),
                 w=RNG.standard_normal((80, 4)).astype(np.float32))


@pytest.mark.parametrize("mean", [127.5, [120.0, 110.0, 100.0]])
@pytest.mark.parametrize("std", [64.0, [60.0, 50.0, 40.0], None])
def test_float_program_takes_raw_samples(mean: Any, std: Any) -> None:
    model = _model()
    compiled = ternc.compile(model, mean=mean, std=std)
    plain = ternc.compile(model)
    assert ([i.opcode.name for i in compiled.program.instructions]
            == [i.opcode.name for i in plain.program.instructions])
    shift = np.asarray(mean, np.float32).reshape(-1, 1, 1)
    width = np.asarray(1.0 if std is None else std, np.float32).reshape(-1, 1, 1)
    for raw in RAW:
        expected = run(model, {"x": ((raw - shift) / width)[None].astype(np.float32)})["y"]
        got = compiled.run(raw[None])["y"]
        assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def test_int8_port_is_the_raw_byte() -> None:
    """Samples over the full range of a byte have scale 1 and zero point -128."""
    data = RAW.copy()
    data[0, 0, 0, :2] = 0, 255
    compiled = ternc.compile(_model(), mean=127.5, std=64.0, calibration_data=data)
    port = compiled.program.inputs[0]
    assert (port.scale, port.zero_point) == (1.0, -128)
    names = [item.opcode.name for item in compiled.program.instructions]
    assert names[0] == "copy_nd"  # NCHW to NHWC
    assert [name[:8] for name in names[1:]] == ["conv2d_i", "dense_i8"]


def test_statistics_of_the_data() -> None:
    """One number for each channel, whatever the form of the data; folded as if it were given."""
    model, mean = _model(), RAW.mean(axis=(0, 2, 3), dtype=np.float64)
    std = RAW.std(axis=(0, 2, 3), dtype=np.float64)
    given = ternc.compile(model, mean=mean, std=std, calibration_data=RAW)
    for data in (RAW, {"x": RAW}, (sample[None] for sample in RAW)):
        found = ternc.compile(model, mean="data", std="data", calibration_data=data)
        np.testing.assert_allclose(found.run(RAW)["y"], given.run(RAW)["y"], rtol=1e-4, atol=1e-4)
    one = ternc.compile(model, mean={"x": "data"}, std=64.0, calibration_data=RAW)
    other = ternc.compile(model, mean=mean, std=64.0, calibration_data=RAW)
    np.testing.assert_allclose(one.run(RAW)["y"], other.run(RAW)["y"], rtol=1e-4, atol=1e-4)


def test_channels_last_get_one_number() -> None:
    """A per-channel affine would not fold through the Transpose; and a constant channel is no
    division by 0."""
    model = graph("t = Transpose <perm=[0,3,1,2]> (x)\nc = Conv (t, k)\ny = Flatten (c)",
                  "float[1,6,6,3] x", "float[1,32] y",
                  k=RNG.standard_normal((2, 3, 3, 3)).astype(np.float32))
    data = np.moveaxis(RAW, 1, 3)
    found = ternc.compile(model, mean="data", std="data", calibration_data=data)
    given = ternc.compile(model, mean=float(data.mean()), std=float(data.std()),
                          calibration_data=data)
    np.testing.assert_allclose(found.run(data)["y"], given.run(data)["y"], rtol=1e-4, atol=1e-4)
    flat = RAW.copy()
    flat[:, 1] = 7
    constant = ternc.compile(_model(), mean="data", std="data", calibration_data=flat)
    assert all(np.isfinite(constant.run(flat)["y"]).reshape(-1))


def test_command_line_takes_statistics_of_the_data(tmp_path: Any) -> None:
    import onnx

    from ternc.cli import main

    onnx.save(ir.to_proto(_model()), tmp_path / "m.onnx")
    np.savez(tmp_path / "d.npz", x=RAW)
    command = [str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.tern"), "--mean", "data",
               "--std", "data"]
    assert main(command) == 2  # and no data
    assert not (tmp_path / "m.tern").exists()
    assert main([*command, "--calibration", str(tmp_path / "d.npz")]) == 0


@pytest.mark.parametrize(
    "options", [{"mean": [1.0, 2.0]}, {"std": 0.0}, {"std": -1.0}, {"mean": {"z": 1.0}},
                {"mean": float("nan")}, {"mean": "many"}, {"mean": "data"}])
def test_statistics_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="TC0403"):
        ternc.compile(_model(), **options)
