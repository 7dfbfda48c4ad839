"""Adds a program that later runtimes must keep running, with its answers: never replaces one.

    python -m tests.golden.add NAME MODEL.onnx [--calibration X.npz] [--activations int16]
    python -m tests.golden.add NAME operators [--calibration noise] [--activations int16]
    python -m tests.golden.add NAME recurrences [--calibration noise] [--activations int16]

Writes NAME.tern; NAME.in, the bytes of the inputs of three runs one after the other; and NAME.out,
those of the outputs. Name it after the release and the model, like 0.1.0-gesture_cnn-int8.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ternc._engine import Model
from ternc.backends.esp32.decode import PortRecord, decode
from ternc.backends.esp32.program import DType
from ternc.compiler import compile as compile_model
from tests.golden.operators import operators, recurrences, samples

FOLDER = Path(__file__).resolve().parent
RUNS = 3
MADE = {"operators": operators, "recurrences": recurrences}


def random_input(port: PortRecord, dtype: DType, generator: np.random.Generator) -> bytes:
    """Values in the range that the models expect."""
    shape = port.shape
    if dtype is DType.F32:
        return generator.normal(size=shape).astype("<f4").tobytes()
    if dtype in (DType.I8, DType.I16):
        edge = 2 ** (8 * dtype.size - 1)
        return generator.integers(-edge, edge, shape).astype(dtype.numpy).tobytes()
    raise TypeError(f"inputs of type {dtype.name} have no values here: only float32, int8 and "
                    "int16 do")


def run(blob: bytes, inputs: bytes) -> bytes:
    """The outputs of every run whose inputs are in `inputs`."""
    parsed = decode(blob)
    model = Model(blob)
    sizes = [parsed.tensors[port.tensor].size for port in parsed.ports if not port.is_output]
    position, out = 0, b""
    while position < len(inputs):
        for place, size in enumerate(sizes):
            model.write_input(place, inputs[position : position + size])
            position += size
        model.run()
        out += b"".join(model.read_output(place) for place in range(len(model.outputs)))
    return out


def main() -> None:
    """Compiles, runs and writes the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("model", help=f"an ONNX file, or one made here: {', '.join(MADE)}")
    parser.add_argument("--calibration", help="X.npz, or 'noise' for one made here")
    parser.add_argument("--activations", default="auto", choices=("auto", "int16"))
    given = parser.parse_args()
    paths = [FOLDER / f"{given.name}{suffix}" for suffix in (".tern", ".in", ".out")]
    if any(path.exists() for path in paths):
        parser.error(f"{given.name} exists; what is released stays: choose another name")
    made = MADE[given.model]() if given.model in MADE else None
    compiled = compile_model(
        made or given.model, "esp32c3",
        calibration_data=samples(made) if made is not None and given.calibration == "noise"
        else given.calibration,
        activations=given.activations)
    parsed, generator = decode(compiled.blob), np.random.default_rng(1)
    inputs = b"".join(
        random_input(port, parsed.tensors[port.tensor].dtype, generator)
        for _ in range(RUNS) for port in parsed.ports if not port.is_output)
    for path, data in zip(paths, (compiled.blob, inputs, run(compiled.blob, inputs)), strict=True):
        path.write_bytes(data)
        print(f"{path.name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
