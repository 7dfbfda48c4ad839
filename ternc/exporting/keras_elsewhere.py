"""A Keras model that its own backend cannot export, exported by another process on TensorFlow.

Keras chooses its backend once, when it is imported; a saved model loads on each of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import onnx

from ternc.diagnostics import CompileError, Diagnostic

PACKAGES: Final = ("tensorflow", "tf2onnx")


def on_tensorflow(model: Any, reason: str) -> onnx.ModelProto:
    """Saves the model and exports it in a process whose Keras runs on TensorFlow.

    Args:
        model: a built Keras model that names its inputs and is saved as Keras saves models:
            layers of one's own cannot be loaded in the other process.
        reason: why it cannot be exported here, for the diagnostic.

    Raises:
        CompileError: TC0008, a package is missing, or the other process failed; with what it
            said last.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise _refused(reason, (), f"pip install {' '.join(missing)}, with which ternc does it")
    with tempfile.TemporaryDirectory(prefix="ternc-") as folder:
        saved, written = Path(folder) / "model.keras", Path(folder) / "model.onnx"
        model.save(saved)
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(saved), str(written)], check=False,
            capture_output=True, text=True, encoding="utf-8", errors="replace",
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3",
                 "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)})
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise _refused(
                reason, (f"on TensorFlow: {said[-1] if said else 'no reason given'}",),
                "save the model, load it with KERAS_BACKEND=tensorflow and whatever it needs, "
                "and export it there")
        return onnx.load(written)


def _refused(reason: str, notes: tuple[str, ...], help_: str) -> CompileError:
    return CompileError((Diagnostic("TC0008", reason, notes=notes, help=help_),))


def main(saved: str, written: str) -> None:
    """What the other process does: loads the model and exports it."""
    import keras

    import ternc.qat.keras  # noqa: F401 - registers its layers
    from ternc.exporting.keras import from_keras

    onnx.save(from_keras(keras.models.load_model(saved, compile=False), None), written)


if __name__ == "__main__":
    main(*sys.argv[1:])
