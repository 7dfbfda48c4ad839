"""The harness for kernels whose one output is `y`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from tests.runtime.harness import Number, Tensors, call


def output(
    name: str, tensors: Tensors, numbers: Mapping[str, Number], in_place: str | None = None
) -> npt.NDArray[Any]:
    """What the kernel writes to `y`; `in_place` names the input whose memory `y` shares."""
    alias = None if in_place is None else {"y": in_place}
    return call(name, tensors, alias, **numbers)["y"]
