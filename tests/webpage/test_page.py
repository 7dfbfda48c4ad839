"""The HTML report: whole, safe, and shown by a real browser without a complaint."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest

import ternc
from ternc.cli import main
from ternc.webpage import page
from ternc.webpage.nodes import Fate, nodes
from tests.making import MODELS, dense, saved
from tests.shared_models import MODELS as OTHERS
from tests.shared_models import needs_models
from tests.webpage.chromium import PHONE, needs_chromium, rendered, text_of

SHAPES = MODELS / "shapes_cnn.onnx"
DATA = MODELS / "shapes.npz"
_VOID = {"meta", "link", "br", "img"}


class _Balance(HTMLParser):
    """Whether every element is closed, and which there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> _Balance:
    balance = _Balance()
    balance.feed(text)
    assert balance.open == []
    return balance


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a validation of a calibrated model."""
    written = tmp_path_factory.mktemp("page") / "report.html"
    report = ternc.validate(SHAPES, "esp32c3", DATA, calibration_data=DATA, samples=16)
    written.write_text(page(report.compiled, report))
    return written


def test_a_page_is_one_file(shapes: Path) -> None:
    text = shapes.read_text()
    found = parsed(text)
    assert found.seen & {"script", "iframe", "img", "object"} == set()
    assert found.links == ["data:,"]
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text
    assert "url(" not in text.replace("url(#scratch)", "")


def test_a_page_says_what_there_is(shapes: Path) -> None:
    text = shapes.read_text()
    for title in ("Checks", "Memory plan", "Layers", "Precision of each layer", "Weights",
                  "Numeric agreement, tensor by tensor", "Outputs", "What became of each node"):
        assert f"<h2>{title}</h2>" in text
    for node in onnx.load(SHAPES).graph.node:
        assert node.name[-20:] in text


def test_the_same_page_twice() -> None:
    compiled = ternc.compile(SHAPES, "esp32c3")
    assert page(compiled) == page(ternc.compile(SHAPES, "esp32c3"))


def test_every_node_has_a_fate() -> None:
    compiled = ternc.compile(SHAPES, "esp32c3")
    found = nodes(compiled)
    assert len(found) == len(compiled.source.graph.node)
    by_name = {node.name: node for node in found}
    assert by_name["node_conv2d"].fate is Fate.COMPUTED
    assert by_name["node_conv2d"].where == ("conv2d_f32",)
    assert by_name["node_relu"].fate is Fate.MERGED
    assert by_name["node_relu"].where == ("node_conv2d",)
    assert by_name["node_view"].fate is Fate.VIEW


def test_names_out_of_a_model_are_text() -> None:
    model = dense()
    model.graph.node[0].name = '<script>alert("1")</script>'
    model.graph.node[1].name = "</title><img src=x onerror=alert(1)>"
    report = ternc.validate(model, samples=2)
    found = parsed(page(report.compiled, report))
    assert found.seen & {"script", "img"} == set()


def test_the_page_of_a_model_that_does_not_compile(tmp_path: Path) -> None:
    model = saved(dense(op="RandomNormalLike"), tmp_path)
    assert main(["validate", str(model), "-q", "--report", str(tmp_path / "r.html")]) == 1
    text = (tmp_path / "r.html").read_text()
    parsed(text)
    assert "TC0101" in text
    assert "checks failed" in text


def test_the_page_of_a_compilation(tmp_path: Path) -> None:
    model = saved(dense(), tmp_path)
    assert main([str(model), "-o", str(tmp_path / "m.h"), "-q", "--report",
                 str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text()
    parsed(text)
    assert "<h2>Layers</h2>" in text
    assert "<h2>Checks</h2>" not in text


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(dense(), tmp_path)
    for command in (["validate", str(model)], [str(model), "-o", str(tmp_path / "m.h")]):
        assert main([*command, "--report", str(tmp_path / "no" / "r.html")]) == 2
        assert "[TC0007]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


# --- in a browser --------------------------------------------------------------------------------


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, 1100])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it(width: int, dark: bool, shapes: Path, tmp_path: Path) -> None:
    pixels, console = rendered(shapes, tmp_path, width=width, height=5000, dark=dark)
    assert console == []
    ground = pixels[5, 5]
    assert (ground.mean() < 64) == dark
    ink = (pixels.astype(int) - ground.astype(int)).any(axis=2)
    assert ink.mean() > 0.02
    blue = (pixels[..., 2].astype(int) - pixels[..., 0].astype(int)) > 80  # bars and boxes
    assert blue.mean() > 0.005
    assert np.flatnonzero(ink.any(axis=1)).max() > 1500  # to the end of the window


@needs_chromium
@pytest.mark.slow
def test_a_page_that_fetches_would_be_noticed(shapes: Path, tmp_path: Path) -> None:
    """The policy forbids it, and the console says so: the tests here see what they look for."""
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(shapes.read_text().replace("</h1>", '</h1><script src="x.js"></script>'))
    assert "Content Security Policy" in " ".join(rendered(spoiled, tmp_path)[1])


@needs_chromium
@pytest.mark.slow
def test_nothing_is_wider_than_a_phone(shapes: Path, tmp_path: Path) -> None:
    found = re.search(r"<title>(\d+)</title>", text_of(shapes, tmp_path, width=500))
    assert found is not None
    assert int(found[1]) <= 500  # Chromium without a window is 500 pixels wide at least


@needs_chromium
@needs_models
@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "mlperf_tiny_pretrainedResnet_quant", "mlperf_tiny_kws_ref_model"])
def test_models_of_other_people(name: str, tmp_path: Path) -> None:
    report = ternc.validate(OTHERS / f"{name}.onnx", "esp32c3", samples=4)
    written = tmp_path / "report.html"
    written.write_text(page(report.compiled, report))
    parsed(written.read_text())
    pixels, console = rendered(written, tmp_path, width=PHONE, height=6000)
    assert console == []
    assert pixels.shape == (6000, PHONE, 3)
    found = re.search(r"<title>(\d+)</title>", text_of(written, tmp_path, width=500))
    assert found is not None
    assert int(found[1]) <= 500
