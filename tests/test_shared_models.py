"""The whole path on models that other people trained: the promises of the first issue."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from ternc import compiler
from ternc.compiled import CompiledModel
from ternc.layerwise import check_layers
from ternc.oracle import Oracle
from ternc.running import to_device
from tests.backends.test_header import COMPILERS, SOURCES
from tests.shared_models import DATA, MODELS, feeds, mnist, model_id, needs_models, paths

pytestmark = needs_models
each_model = pytest.mark.parametrize("path", paths(), ids=model_id)
MIN_MODELS_AT_BOUND = 0.9


@cache
def compiled_model(path: Path) -> CompiledModel:
    return compiler.compile(path, "esp32c3", check_fit=False)


def is_quantized(compiled: CompiledModel) -> bool:
    return any(node.op_type == "QuantizeLinear" for node in compiled.model.graph)


@each_model
def test_agrees_with_onnxruntime(path: Path) -> None:
    """Float models to 1e-5; integer models layer by layer within 1 and with the same top-1."""
    compiled = compiled_model(path)
    samples, _ = feeds(path, compiled.source)
    assert len(samples) >= 32
    if is_quantized(compiled):
        for result in check_layers(compiled.model, samples):
            assert result.passed, result
    oracle = Oracle(compiled.model)
    for feed in samples:
        expected, got = oracle.run(feed), compiled.run(feed)
        for name, value in expected.items():
            assert got[name].dtype == value.dtype
            assert got[name].shape == value.shape
            if not is_quantized(compiled):
                error = np.abs(got[name] - value).max() / max(np.abs(value).max(), 1e-6)
                assert error <= 1e-5, name
            elif value.size > 1 and value.argmax() != got[name].argmax():
                top = np.sort(value.reshape(-1).astype(np.float64))[-2:]
                assert top[1] - top[0] <= 1e-6, f"{name}: not a tie: {top}"


@each_model
def test_source_and_prepared_model_agree(path: Path) -> None:
    """The passes changed nothing: the model as given and as lowered answer alike."""
    compiled = compiled_model(path)
    if any(node.domain not in ("", "com.microsoft") for node in compiled.source.graph.node):
        pytest.skip("onnxruntime cannot run the operators of the model as given (QONNX)")
    if path.parent.name.startswith("CCT"):
        pytest.skip("onnxruntime refuses the model as given: LayerNormalization under opset 17")
    before, after = Oracle(compiled.source), Oracle(compiled.model)
    for feed in feeds(path, compiled.source, 4)[0]:
        expected, got = before.run(feed), after.run(feed)
        for name, value in expected.items():
            scale = max(np.abs(value.astype(np.float64)).max(), 1e-6)
            assert np.abs(got[name].astype(np.float64) - value).max() <= 1e-5 * scale


def test_arena_is_optimal_on_most_models() -> None:
    """The arena equals its lower bound on at least nine models of ten."""
    plans = {model_id(path): compiled_model(path).plan for path in paths()}
    optimal = [name for name, plan in plans.items() if plan.arena_bytes == plan.lower_bound_bytes]
    assert len(optimal) >= MIN_MODELS_AT_BOUND * len(plans), set(plans) - set(optimal)


def test_order_search_lowers_the_peak_of_a_branching_model() -> None:
    """Two chains side by side: the order of the file is not the best one."""
    plan = compiled_model(MODELS / "certificate_and_controller_mandal.onnx").plan
    assert plan.arena_bytes < plan.given_order_bound_bytes


@pytest.mark.parametrize("name", ["TFC_2W2A", "TFC_2W2A_std"])
@pytest.mark.skipif(not DATA.is_dir(), reason="needs MNIST in ../shared/data")
def test_golden_ternary_model(name: str) -> None:
    """All four layers packed ternary; the authors' 96.60 % and their logits' argmax."""
    compiled = compiled_model(MODELS / f"{name}.onnx")
    layers = [i for i in compiled.program.instructions if i.macs]
    assert len(layers) == 4
    assert all(i.weight_nonzeros is not None for i in layers)
    images, labels = mnist()
    logits = compiled.run(images)[compiled.program.outputs[0].name]
    reference = np.load(MODELS / "TFC_2W2A_mnist_test_logits.npz")["logits"]
    assert (logits.argmax(1) == reference.argmax(1)).all()
    assert (logits.argmax(1) == labels).mean() == pytest.approx(0.9660, abs=1e-9)


@pytest.mark.slow
@each_model
@pytest.mark.parametrize("compiler_name", COMPILERS)
def test_header_compiles(path: Path, compiler_name: str, tmp_path: Path) -> None:
    """No warning from any compiler, as C99 and as C++17."""
    tool = COMPILERS[compiler_name]
    tool.require()
    (tmp_path / "model.h").write_text(compiled_model(path).header(), encoding="utf-8")
    source = tmp_path / f"user{tool.suffix}"
    source.write_text('#include "model.h"\n', encoding="utf-8")
    tool.compile(source)


_MAIN = """
#include <stdio.h>
#include "model.h"
static unsigned char arena[{symbol}_ARENA_BYTES + 16] TERNC_ALIGNED;
int main(void) {{
  ternc_model model;
  ternc_tensor t;
  uint32_t i;
  ternc_status status = {name}_load(&model, arena, sizeof arena);
  if (status != TERNC_OK) {{ fputs(ternc_message(status), stderr); return 1; }}
  for (;;) {{
    for (i = 0; i < ternc_input_count(&model); i++) {{
      ternc_input(&model, i, &t);
      if (fread(t.data, 1, t.size, stdin) != t.size) return 0;
    }}
    if (ternc_run(&model) != TERNC_OK) return 2;
    for (i = 0; i < ternc_output_count(&model); i++) {{
      ternc_output(&model, i, &t);
      fwrite(t.data, 1, t.size, stdout);
    }}
  }}
}}
"""


@pytest.mark.slow
@each_model
def test_header_gives_the_same_bytes_in_c(
    path: Path, tmp_path: Path, runtime_library: Path
) -> None:
    """The header in a C program answers as `run` does, byte for byte."""
    compiled = compiled_model(path)
    (tmp_path / "model.h").write_text(compiled.header(), encoding="utf-8")
    main = tmp_path / "main.c"
    text = _MAIN.format(symbol=compiled.name.upper(), name=compiled.name)
    main.write_text(text, encoding="utf-8")
    subprocess.run(["cc", "-std=c99", f"-I{SOURCES}", str(main), str(runtime_library), "-o",
                    str(tmp_path / "main")], check=True)
    samples, _ = feeds(path, compiled.source)
    ports = compiled.program.inputs
    data = b"".join(
        to_device(feed[port.name], port).tobytes() for feed in samples for port in ports)
    done = subprocess.run([str(tmp_path / "main")], input=data, capture_output=True, check=True)
    expected = []
    for feed in samples:
        for place, port in enumerate(ports):
            compiled.engine.write_input(place, to_device(feed[port.name], port).tobytes())
        compiled.engine.run()
        expected += [compiled.engine.read_output(i) for i in range(len(compiled.program.outputs))]
    assert done.stdout == b"".join(expected)


@pytest.mark.parametrize("name", ["mlperf_tiny_kws_ref_model", "TFC_2W2A"])
def test_same_input_gives_the_same_bytes(name: str) -> None:
    """Compilation is deterministic."""
    path = MODELS / f"{name}.onnx"
    again = compiler.compile(onnx.load(path), "esp32c3", check_fit=False)
    assert again.blob == compiled_model(path).blob
