"""What is installed, what it is built from, and which module may import which."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ternc.backends.esp32 import generate
from ternc.backends.esp32.isa import OPCODES

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / "runtime_c"
LINKS = {"passes": "../passes", "backends": "../backends", "_runtime_c": "../runtime_c"}
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = CONFIG["tool"]["setuptools"]
EXTENSION, *OTHER_EXTENSIONS = SETUPTOOLS["ext-modules"]


def python_files() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its installed name, links not followed."""
    for top, package in (("ternc", "ternc"), ("passes", "ternc.passes"),
                         ("backends", "ternc.backends")):
        for path in sorted((ROOT / top).rglob("*.py")):
            inside = path.relative_to(ROOT / top)
            if top == "ternc" and inside.parts[0] in LINKS:
                continue
            yield ".".join([package, *inside.with_suffix("").parts]), path


class TestLists:
    """The lists that pyproject.toml keeps by hand."""

    def test_packages(self) -> None:
        found = {name.removesuffix(".__init__") for name, path in python_files()
                 if path.name == "__init__.py"}
        assert set(SETUPTOOLS["packages"]) == found | {"ternc._runtime_c"}

    def test_every_module_is_in_a_package(self) -> None:
        folders = {name.rpartition(".")[0] for name, _ in python_files()}
        assert folders <= set(SETUPTOOLS["packages"])

    def test_extension_sources(self) -> None:
        found = [path.relative_to(ROOT).as_posix() for path in RUNTIME.glob("src/**/*.c")]
        assert sorted(EXTENSION["sources"]) == sorted(["ternc/_engine.c", *found])

    def test_every_extension_is_built(self) -> None:
        sources = {f"ternc/{path.name}" for path in (ROOT / "ternc").glob("*.c")}
        assert sources == {EXTENSION["sources"][0],
                           *(name for other in OTHER_EXTENSIONS for name in other["sources"])}

    def test_extension_headers(self) -> None:
        found = [path.relative_to(ROOT).as_posix() for path in RUNTIME.glob("src/**/*.h")]
        assert sorted(EXTENSION["depends"]) == sorted(found)

    def test_runtime_files_are_shipped(self) -> None:
        patterns = SETUPTOOLS["package-data"]["ternc._runtime_c"]
        matches = (path for pattern in patterns for path in RUNTIME.glob(pattern))
        shipped = {path for path in matches if path.is_file()}
        files = {path for path in RUNTIME.rglob("*") if path.is_file()}
        assert files == shipped


class TestLayout:
    @pytest.mark.parametrize("name", LINKS)
    def test_link(self, name: str) -> None:
        link = ROOT / "ternc" / name
        if not link.is_symlink():
            pytest.skip("this checkout has no symbolic links")
        assert os.readlink(link) == LINKS[name]

    def test_runtime_has_no_links(self) -> None:
        assert not [path for path in RUNTIME.rglob("*") if path.is_symlink()]

    def test_one_version(self) -> None:
        version = CONFIG["project"]["version"]
        assert json.loads((RUNTIME / "library.json").read_text())["version"] == version
        assert f'version: "{version}"' in (RUNTIME / "idf_component.yml").read_text()
        assert f"version={version}\n" in (RUNTIME / "library.properties").read_text()

    def test_one_license(self) -> None:
        assert (RUNTIME / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


class TestRuntime:
    def test_generated_files_are_fresh(self) -> None:
        assert generate.main(["--check"]) == 0

    def test_every_instruction_has_one_kernel(self) -> None:
        sources = [path.read_text(encoding="utf-8") for path in RUNTIME.glob("src/kernels/*.c")]
        pattern = r"^TERNC_(?:KERNEL|MAP_F32)\((\w+),"
        found = [name for text in sources for name in re.findall(pattern, text, re.MULTILINE)]
        assert sorted(found) == sorted(opcode.name for opcode in OPCODES)

    def test_kernels_are_in_files_of_their_name(self) -> None:
        """The emulator compiles just those that a model uses."""
        found = {path.stem for path in RUNTIME.glob("src/kernels/*.c")}
        assert {opcode.name for opcode in OPCODES} <= found

    def test_only_freestanding_headers(self) -> None:
        allowed = {"stddef.h", "stdint.h", "limits.h", "float.h", "stdbool.h"}
        hosts = {"immintrin.h", "arm_neon.h"}
        for path in RUNTIME.glob("src/**/*.[ch]"):
            used = set(re.findall(r"#\s*include\s*<([^>]+)>", path.read_text(encoding="utf-8")))
            assert used <= (allowed | hosts if path.name == "dot_simd.h" else allowed), path

    def test_no_mutable_globals(self, tmp_path: Path) -> None:
        if shutil.which("gcc") is None or shutil.which("nm") is None:
            pytest.skip("needs gcc and nm (Debian packages gcc, binutils)")
        sources = [str(path) for path in RUNTIME.glob("src/**/*.c")]
        subprocess.run(
            ["gcc", "-std=c99", "-O1", "-fno-pic", "-c", f"-I{RUNTIME / 'src'}", *sources],
            cwd=tmp_path, check=True,
        )
        objects = [str(path) for path in tmp_path.glob("*.o")]
        done = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True)
        assert not re.findall(r"^[0-9a-f]+ [bBdDC] .*", done.stdout, re.MULTILINE)
        undefined = set(re.findall(r"^ +U (?!ternc_)(\w+)", done.stdout, re.MULTILINE))
        detection = {"__cpu_model"}  # GCC's own, of the host's dot products
        assert undefined <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"} | detection


def imports(name: str, path: Path) -> Iterator[str]:
    """Modules of ternc that a file imports, wherever in it."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def outside(name: str, path: Path, allowed: tuple[str, ...]) -> set[str]:
    """Imports of ternc's own modules that are not `allowed`."""
    return {
        module for module in imports(name, path)
        if module.startswith("ternc.")
        and not any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed)
    }


LEAVES = ("ternc.quantize", "ternc.diagnostics")
MAY_IMPORT = {
    "ternc.quantize": ("ternc.quantize",),
    "ternc.diagnostics": ("ternc.diagnostics",),
    "ternc.passes": ("ternc.passes", *LEAVES),
    "ternc.backends": ("ternc.backends", "ternc.passes", *LEAVES),
}


def area(name: str) -> str | None:
    return next((top for top in MAY_IMPORT if name == top or name.startswith(f"{top}.")), None)


class TestImports:
    """ternc -> backends -> passes -> onnx_ir; quantize and diagnostics are leaves."""

    @pytest.mark.parametrize(
        ("name", "path"), [pytest.param(*item, id=item[0]) for item in python_files()])
    def test_go_one_way(self, name: str, path: Path) -> None:
        top = area(name)
        if top is not None:
            assert not outside(name, path, MAY_IMPORT[top])
            assert "ternc" not in set(imports(name, path)), "import the module, not the package"

    @pytest.mark.parametrize(
        ("name", "path"),
        [pytest.param(*item, id=item[0]) for item in python_files() if area(item[0]) in LEAVES])
    def test_leaves_need_numpy_only(self, name: str, path: Path) -> None:
        tops = {module.partition(".")[0] for module in imports(name, path)}
        assert tops - set(sys.stdlib_module_names) <= {"numpy", "ternc"}

    def test_top_level_names_are_not_imported(self) -> None:
        for name, path in python_files():
            tops = {module.partition(".")[0] for module in imports(name, path)}
            assert not tops & {"passes", "backends", "runtime_c"}, name


@pytest.mark.slow
class TestBuilds:
    def test_cmake(self, tmp_path: Path) -> None:
        if shutil.which("cmake") is None:
            pytest.skip("needs cmake (Debian package cmake)")
        for command in (["cmake", "-S", str(RUNTIME), "-B", "."], ["cmake", "--build", "."]):
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / "libternc.a").exists()

    def test_component_overrides_the_optimization_of_esp_idf(self, tmp_path: Path) -> None:
        """A stand-in for ESP-IDF, whose projects are compiled with -Og unless told otherwise."""
        if shutil.which("cmake") is None:
            pytest.skip("needs cmake (Debian package cmake)")
        (tmp_path / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(application C)\n"
            "set(ESP_PLATFORM 1)\nmacro(idf_component_register)\n"
            "  add_library(component STATIC ${TERNC_SOURCES})\n"
            "  set(COMPONENT_LIB component)\nendmacro()\n"
            f"include({(RUNTIME / 'CMakeLists.txt').as_posix()})\n", encoding="utf-8")
        subprocess.run(["cmake", "-S", ".", "-B", "build", "-DCMAKE_C_FLAGS=-Og",
                        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"], cwd=tmp_path, check=True)
        commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
        assert commands
        for item in commands:
            options = item["command"].split()
            assert options.index("-Og") < options.index("-O2")
            assert "-ffp-contract=off" in options

    def test_wheel_and_sdist(self, tmp_path: Path) -> None:
        spec = find_spec("build")  # without an origin it is the folder that `pip install .` leaves
        if spec is None or spec.origin is None:
            pytest.skip("needs the build package (pip install build)")
        source = tmp_path / "source"
        ignored = shutil.ignore_patterns(".git", "*.so", "*.egg-info", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
        command = [sys.executable, "-m", "build", "--no-isolation", "-o", str(tmp_path)]
        command.append(str(source))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
        assert "-cp311-abi3-" in wheel.name
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"ternc"}
        runtime = {path.relative_to(RUNTIME).as_posix() for path in RUNTIME.glob("src/**/*.[ch]")}
        assert {f"ternc/_runtime_c/{name}" for name in runtime} <= names
        modules = {name.replace(".", "/") + ".py" for name, _ in python_files()}
        assert modules <= names
        assert {"ternc/py.typed", "ternc/_emulator.pyi", "ternc/_engine.pyi",
                "ternc/_ternary_cpu.pyi"} <= names
        with tarfile.open(sdist) as tar:
            members = tar.getmembers()
        assert not [member.name for member in members if member.issym()]
        files = {member.name.partition("/")[2] for member in members}
        assert {f"runtime_c/{name}" for name in runtime} <= files
