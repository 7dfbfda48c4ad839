"""A page in a real browser without a window: what its console says, and a picture of it."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which(
    "google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt: chromium)")
PHONE, DESK = 390, 1100
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--hide-scrollbars", "--enable-logging=stderr"]
_CONSOLE = re.compile(r'CONSOLE[^"]*"([^"]*)"')


def rendered(
    page: Path, folder: Path, *, width: int = DESK, height: int = 2000, dark: bool = False
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """(pixels [height, width, 3], messages of the console)."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    assert CHROMIUM is not None
    picture = folder / "page.png"
    done = subprocess.run(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}",
         f"--blink-settings=preferredColorScheme={0 if dark else 1}",
         f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=False)
    assert picture.exists(), done.stderr[-2000:]
    pixels = np.asarray(image.open(io.BytesIO(picture.read_bytes())).convert("RGB"))
    return pixels, _CONSOLE.findall(done.stderr)


def text_of(page: Path, folder: Path, *, width: int = DESK) -> str:
    """The document as the browser has it, with a script of ours that measures its width."""
    assert CHROMIUM is not None
    measured = folder / "measured.html"
    source = page.read_text().replace(
        "</body>", "<script>document.title = document.documentElement.scrollWidth"
        "</script></body>")
    measured.write_text(re.sub(r"<meta http-equiv[^>]*>", "", source))
    done = subprocess.run(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}",
         f"--window-size={width},900", "--dump-dom", measured.as_uri()],
        capture_output=True, text=True, timeout=120, check=False)
    return done.stdout
