"""The memory plan as SVG: time across, addresses up, the peak marked with what lives there.

Colours are CSS variables with defaults, so that a page can set them for dark and for light; a
picture that stands alone brings both. Patterns and outlines say the same as colours do.
"""

from __future__ import annotations

from html import escape
from typing import Final

from ternc.drawing.plan import Box, Plan

_WIDTH, _HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 16, 34, 46
_MINUTE: Final = 1.5  # pixels below which a box has no outline
_LETTER: Final = 7.0  # width of one at this size
_TICKS: Final = 5

STYLE: Final = """
.plan { --ink: #1b1f24; --quiet: #57606a; --rule: #d0d7de; --tensor: #0072b2; --port: #009e73;
  --scratch: #e69f00; --peak: #d55e00; --on: #ffffff; font: 12px system-ui, sans-serif; }
.plan text { fill: var(--ink); } .plan .quiet { fill: var(--quiet); }
.plan .rule { stroke: var(--rule); stroke-width: 1; }
.plan .box { stroke: var(--on); stroke-width: 1; } .plan .on { fill: var(--on); }
.plan .tensor { fill: var(--tensor); } .plan .input, .plan .output { fill: var(--port); }
.plan .scratch { fill: url(#scratch); stroke: var(--scratch); }
.plan .stripe { stroke: var(--scratch); stroke-width: 3; }
.plan .place { fill: var(--on); }
.plan .peak { fill: var(--peak); fill-opacity: .16; }
.plan .edge { stroke: var(--peak); stroke-width: 1.5; stroke-dasharray: 4 3; }
.plan .said { fill: var(--peak); font-weight: 600; }
"""
DARK: Final = """
.plan { --ink: #e6edf3; --quiet: #9198a1; --rule: #3d444d; --tensor: #2f81c7; --port: #1f9d78;
  --scratch: #e69f00; --peak: #ff8a4c; --on: #0d1117; }
"""


def plan_svg(plan: Plan, *, alone: bool = False) -> str:
    """The picture; `alone` makes it a file of its own, with its colours and a background."""
    return "".join(_Picture(plan).parts(alone))


class _Picture:
    """Scales, and the pieces that use them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.steps = len(plan.layers) + 2
        self.step = (_WIDTH - _LEFT - _RIGHT) / self.steps
        self.bytes = max(plan.arena_bytes, 1)

    def x(self, step: int) -> float:
        return _LEFT + (step + 1) * self.step

    def y(self, address: float) -> float:
        return _HEIGHT - _BOTTOM - address / self.bytes * (_HEIGHT - _TOP - _BOTTOM)

    def parts(self, alone: bool) -> list[str]:
        plan = self.plan
        said = (f"Memory plan: {plan.arena_bytes:,} bytes over {len(plan.layers)} steps, peak "
                f"{plan.peak_bytes:,} bytes at {plan.where(plan.peak)}")
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" class="plan" role="img" '
               f'viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{escape(said)}">']
        if alone:
            out.append(f"<style>{STYLE} @media (prefers-color-scheme: dark) {{{DARK} "
                       ".ground { fill: #0d1117; } } "
                       "@media (prefers-color-scheme: light) { .ground { fill: #ffffff; } }"
                       '</style><rect class="ground" width="100%" height="100%"/>')
        out.append('<defs><pattern id="scratch" width="6" height="6" '
                   'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
                   '<line class="stripe" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>')
        out += self._peak()
        out += self._axes()
        for box in plan.boxes:
            out += self._box(box)
        out += self._peak_said()
        out.append("</svg>")
        return out

    def _peak(self) -> list[str]:
        left = self.x(self.plan.peak)
        return [f'<rect class="peak" x="{left:.1f}" y="{_TOP}" width="{max(self.step, 2):.1f}" '
                f'height="{_HEIGHT - _TOP - _BOTTOM}"/>']

    def _peak_said(self) -> list[str]:
        plan = self.plan
        middle = self.x(plan.peak) + self.step / 2
        anchor = "start" if middle < _WIDTH / 3 else "end" if middle > _WIDTH * 2 / 3 else "middle"
        return [
            f'<line class="edge" x1="{middle:.1f}" x2="{middle:.1f}" y1="{_TOP - 8}" '
            f'y2="{self.y(0):.1f}"/>',
            f'<text class="said" x="{middle:.1f}" y="{_TOP - 14}" text-anchor="{anchor}">peak '
            f"{plan.peak_bytes:,} B at {escape(_short(plan.where(plan.peak), 40))}</text>",
        ]

    def _axes(self) -> list[str]:
        out = []
        for i in range(_TICKS + 1):
            address = self.bytes * i / _TICKS
            y = self.y(address)
            out.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
                       f'y2="{y:.1f}"/><text class="quiet" x="{_LEFT - 8}" y="{y + 4:.1f}" '
                       f'text-anchor="end">{_size(address)}</text>')
        base = _HEIGHT - _BOTTOM + 16
        out.append(f'<text class="quiet" x="{_LEFT}" y="{base}">inputs</text>'
                   f'<text class="quiet" x="{_WIDTH - _RIGHT}" y="{base}" text-anchor="end">'
                   "outputs</text>")
        every = max(1, -(-len(self.plan.layers) // 16))
        for step in range(0, len(self.plan.layers), every):
            middle = self.x(step) + self.step / 2
            if _LEFT + 44 < middle < _WIDTH - _RIGHT - 52:
                out.append(f'<text class="quiet" x="{middle:.1f}" y="{base}" '
                           f'text-anchor="middle">{step}</text>')
        out.append(f'<text class="quiet" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" '
                   'text-anchor="middle">step of the program</text>')
        return out

    def _box(self, box: Box) -> list[str]:
        last = box.last - box.replaced  # where its successor in the same place begins
        left, width = self.x(box.first), max(last - box.first + 1, 0.02) * self.step
        top, height = self.y(box.start + box.size), box.size / self.bytes * (
            _HEIGHT - _TOP - _BOTTOM)
        outline = "" if height > _MINUTE and width > _MINUTE else ' stroke="none"'
        place = ", in the place of its input" if box.in_place else ""
        tip = (f"{box.name}: {box.size:,} bytes at {box.start:,}, from "
               f"{self.plan.where(box.first)} to {self.plan.where(box.last)}, {box.use}{place}")
        out = [f'<g><title>{escape(tip)}</title><rect class="box {box.use}" x="{left:.1f}" '
               f'y="{top:.1f}" width="{width:.1f}" height="{max(height, .5):.1f}"{outline}/>']
        if box.in_place and height > 7:
            middle = top + height / 2
            out.append(f'<path class="place" d="M{left + 1:.1f} {middle - 6:.1f}l7 6l-7 6z"/>')
        room = int((width - (18 if box.in_place else 10)) / _LETTER)
        size = f"{box.size:,} B"
        if height >= 15 and room >= len(size) and box.use != "scratch":
            name = _short(box.name, room - len(size) - 1)
            text = f"{name} {size}" if name else size
            out.append(f'<text class="on" x="{left + width / 2 + (4 if box.in_place else 0):.1f}" '
                       f'y="{top + height / 2 + 4:.1f}" text-anchor="middle">{escape(text)}'
                       "</text>")
        out.append("</g>")
        return out


def _short(name: str, room: int) -> str:
    """A name's end, which tells layers apart; "" where there is no room for one."""
    if len(name) <= room:
        return name
    return f"…{name[1 - room:]}" if room >= 5 else ""


def _size(address: float) -> str:
    return f"{address / 1024:.1f} KB" if address >= 10_000 else f"{address:,.0f} B"
