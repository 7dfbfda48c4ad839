"""`import ternc` and the commands that need no model start at once."""

import subprocess
import sys

import pytest

import ternc

_HEAVY = ("numpy", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "rich", "torch", "keras")


def _modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", [
    "import ternc", "import ternc.cli", "import ternc.diagnostics",
    "import ternc\nternc.CompileError\nternc.__version__",
])
def test_nothing_heavy_is_imported(code: str) -> None:
    assert not _modules_after(code) & set(_HEAVY)


def test_import_is_fast() -> None:
    """The best of several: the machine may be busy."""
    program = "import time; t = time.perf_counter(); import ternc; print(time.perf_counter() - t)"
    times = [float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                                  check=True).stdout) for _ in range(5)]
    assert min(times) < 0.05


def test_everything_public_exists() -> None:
    for name in ternc.__all__:
        assert getattr(ternc, name) is not None
    assert set(ternc.__all__) <= set(dir(ternc))


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compil'"):
        ternc.compil  # noqa: B018  (the access is the test)
