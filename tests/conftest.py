"""What all tests share: the runtime compiled once, and examples that are the same every time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

# Threads of small matrix products wait for each other where workers share the cores; set before
# numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from tests.runtime import loader

RUNTIME = Path(__file__).resolve().parents[1] / "runtime_c" / "src"

# A test run says something about the code, not about luck. To look for new counterexamples:
# pytest --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("repeatable")


@contextmanager
def built_once(temporary: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers of a run share, and whether it is this one's part to fill it."""
    shared = temporary.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = shared / name
        missing = not made.exists()
        made.mkdir(exist_ok=True)
        try:
            yield made, missing
        except BaseException:  # a skip included: the next worker finds nothing half done
            shutil.rmtree(made)
            raise


@pytest.fixture(scope="session")
def runtime_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The C runtime compiled for this machine, each function in a section of its own."""
    with built_once(tmp_path_factory, "runtime") as (folder, missing):
        if missing:
            sources = [str(path) for path in sorted(RUNTIME.rglob("*.c"))]
            subprocess.run(
                ["cc", "-std=c99", "-O2", "-ffp-contract=off", "-ffunction-sections",
                 "-fdata-sections", f"-I{RUNTIME}", "-c", *sources], cwd=folder, check=True)
    return sorted(folder.glob("*.o"))


@pytest.fixture(scope="session")
def sanitized_loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime in a program of its own that loads and runs blobs, with sanitizers."""
    with built_once(tmp_path_factory, "loader") as (folder, missing):
        if missing:
            loader.build(folder)
    return folder / "loader"


@pytest.fixture(scope="session")
def runtime_library(
    runtime_objects: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same as a static library."""
    library = tmp_path_factory.mktemp("library") / "libternc.a"
    subprocess.run(["ar", "rcs", str(library), *map(str, runtime_objects)], check=True)
    return library
