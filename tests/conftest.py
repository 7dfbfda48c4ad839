"""What all tests share: the runtime compiled once, and examples that are the same every time."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

RUNTIME = Path(__file__).resolve().parents[1] / "runtime_c" / "src"

# A test run says something about the code, not about luck. To look for new counterexamples:
# pytest --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def runtime_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The C runtime compiled for this machine, each function in a section of its own."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # all workers share it
    made = folder / "runtime"
    with (folder / "runtime.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            made.mkdir()
            sources = [str(path) for path in sorted(RUNTIME.rglob("*.c"))]
            subprocess.run(
                ["cc", "-std=c99", "-O2", "-ffp-contract=off", "-ffunction-sections",
                 "-fdata-sections", f"-I{RUNTIME}", "-c", *sources], cwd=made, check=True)
    return sorted(made.glob("*.o"))


@pytest.fixture(scope="session")
def runtime_library(
    runtime_objects: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same as a static library."""
    library = tmp_path_factory.mktemp("library") / "libternc.a"
    subprocess.run(["ar", "rcs", str(library), *map(str, runtime_objects)], check=True)
    return library
