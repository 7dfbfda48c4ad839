"""Reference and random cases of the multiply-accumulate layers, in numpy int64 and float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ternc.quantize import pack_ternary

Array = npt.NDArray[Any]

FORMS = ("f32", "f32_w8", "f32_t2", "i8", "i8_t2", "i8f", "i8f_t2", "i16", "i16_t2")


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution; pairs are (height, width)."""

    n: int
    size: tuple[int, int]
    out: tuple[int, int]
    group_in: int
    group_out: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    up: tuple[int, int] = (1, 1)

    @property
    def in_c(self) -> int:
        return self.group_in * self.groups

    @property
    def out_c(self) -> int:
        return self.group_out * self.groups

    def numbers(self) -> dict[str, int]:
        """The number operands that all forms share."""
        numbers = {"n": self.n, "in_c": self.in_c, "out_c": self.out_c, "groups": self.groups,
                   "pad_top": self.pad[0], "pad_left": self.pad[1]}
        pairs = {"in": self.size, "out": self.out, "kernel": self.kernel, "stride": self.stride,
                 "dilation": self.dilation, "up": self.up}
        for name, (h, w) in pairs.items():
            numbers |= {f"{name}_h": h, f"{name}_w": w}
        return numbers


def convolve(x: Array, w: Array, g: Geometry, padding: float) -> Array:
    """The sums, straight from the definition: x [n,h,w,c], w [out_c,kh,kw,group_in]."""
    taps, valid = [], []
    for axis in range(2):
        o, k = np.arange(g.out[axis])[:, None], np.arange(g.kernel[axis])[None]
        p = o * g.stride[axis] + k * g.dilation[axis] - g.pad[axis]
        i = p // g.up[axis]
        valid.append((p >= 0) & (p % g.up[axis] == 0) & (i < g.size[axis]))
        taps.append(np.clip(i, 0, g.size[axis] - 1))
    mask = valid[0][:, None, :, None] & valid[1][None, :, None, :]
    windows = x[:, taps[0][:, None, :, None], taps[1][None, :, None, :]]  # n oh ow kh kw c
    windows = np.where(mask[None, ..., None], windows, padding)
    windows = windows.reshape(*windows.shape[:-1], g.groups, g.group_in)
    weights = w.reshape(g.groups, g.group_out, *w.shape[1:])
    sums: Array = np.einsum("nyxklgi,gokli->nyxgo", windows, weights)
    return sums.reshape(g.n, *g.out, g.out_c)


class Layer:
    """Random operands of one form: weights of shape [outputs, ...], int8-like where quantized."""

    def __init__(
        self, form: str, rng: np.random.Generator, weight_shape: tuple[int, ...], optional: bool
    ) -> None:
        """`optional` says whether the optional operand (bias or w_zero) is there."""
        self.form, self.rng = form, rng
        outputs = weight_shape[0]
        self.integer = self.form.startswith("i")
        self.wide = self.form.startswith("i16")
        self.edge = 2**15 if self.wide else 128  # of activations
        self.has_x_zero = self.integer and not self.wide
        self.requantizes = self.form in ("i8", "i8_t2", "i16", "i16_t2")
        if form.endswith("t2"):
            self.codes: Array = rng.integers(-1, 2, weight_shape).astype(np.int8)
        elif form == "f32":
            self.codes = rng.normal(size=weight_shape).astype(np.float32)
        else:
            self.codes = rng.integers(-128, 128, weight_shape).astype(np.int8)
        self.zero: Array | None = None
        if self.form in ("i8", "i8f", "i16") and optional:
            self.zero = rng.integers(-128, 128, outputs).astype(np.int32)
            self.zero[: outputs // 2] = 0
        fan = max(1, int(np.prod(weight_shape[1:])))
        if self.requantizes:
            self.shift = int(rng.integers(0, 12))
            top = max(4, min(2**31, (2 ** (16 + self.shift)) // fan))
            self.m: Array = rng.integers(0, top, outputs).astype(np.int32) & ~np.int32(1)
            self.c: Array | None = rng.integers(
                -(80 << self.shift), 80 << self.shift, outputs
            ).astype(np.int32)
            self.lo: float
            self.hi: float
            self.lo, self.hi = sorted(int(v) for v in rng.integers(-self.edge, self.edge, 2))
        else:
            self.m = rng.uniform(0.001, 0.1, outputs).astype(np.float32)
            if form == "f32":
                self.m[:] = 1.0  # has no multiplier
            has_bias = optional or self.form.startswith("i8f")
            self.c = rng.normal(size=outputs).astype(np.float32) if has_bias else None
            bounds = (-np.inf, np.inf) if rng.random() < 0.5 else (0.0, 1.5)
            self.lo, self.hi = bounds

    def input(self, shape: tuple[int, ...]) -> Array:
        """Random activations."""
        if self.integer:
            values = self.rng.integers(-self.edge, self.edge, shape)
            return values.astype(np.int16 if self.wide else np.int8)
        return self.rng.normal(size=shape).astype(np.float32)

    @property
    def weights(self) -> Array:
        """What the sums multiply by: int64 or float64, zero point taken off."""
        wide = self.codes.astype(np.int64 if self.integer else np.float64)
        if self.zero is None:
            return wide
        return wide - self.zero.astype(np.int64).reshape(-1, *[1] * (wide.ndim - 1))

    def tensors(self) -> dict[str, Array | None]:
        """The constant operands."""
        packed = self.form.endswith("t2")
        w = np.frombuffer(pack_ternary(self.codes), np.uint8) if packed else self.codes.reshape(-1)
        tensors: dict[str, Array | None] = {"w": w, "c" if self.requantizes else "b": self.c}
        if self.form != "f32":
            tensors["m"] = self.m
        if self.form in ("i8", "i8f", "i16"):
            tensors["w_zero"] = self.zero
        return tensors

    def dense(self) -> tuple[str, dict[str, Array | None]]:
        """The dense instruction and its constant operands: one for both weights of int16."""
        if self.form == "i16_t2":
            return "dense_i16", {**self.tensors(), "w_zero": None}
        return f"dense_{self.form}", self.tensors()

    def numbers(self) -> dict[str, int | float]:
        """The number operands of the form."""
        numbers: dict[str, int | float] = {"lo": self.lo, "hi": self.hi}
        return numbers | ({"shift": self.shift} if self.requantizes else {})

    def output(self, shape: tuple[int, ...]) -> Array:
        """A placeholder for y."""
        return np.zeros(shape, self.output_type)

    @property
    def output_type(self) -> type[np.generic]:
        """The type of y's elements."""
        if not self.requantizes:
            return np.float32
        return np.int16 if self.wide else np.int8

    def expected(self, sums: Array) -> Array:
        """y of the exact sums [..., outputs]; float64 for the float forms."""
        if self.requantizes:
            assert self.c is not None
            wide = sums.astype(np.int64) * self.m.astype(np.int64)
            wide = (wide + (self.c.astype(np.int64) << 16)) >> (16 + self.shift)
            return np.clip(wide, self.lo, self.hi).astype(self.output_type)
        scaled = sums.astype(np.float64)
        scaled = scaled * self.m.astype(np.float64)
        if self.c is not None:
            scaled = scaled + self.c.astype(np.float64)
        return np.clip(scaled, self.lo, self.hi)

    def assert_equal(self, y: Array, sums: Array, magnitude: float) -> None:
        """Integers exactly, floats within 1e-6 of the terms' sum of magnitudes."""
        expected = self.expected(sums)
        if self.requantizes:
            np.testing.assert_array_equal(y, expected)
        else:
            np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6 * magnitude)
