"""The page's style sheet. Colours are Okabe and Ito's, which colour-blind people tell apart."""

from __future__ import annotations

from typing import Final

from ternc.drawing.plan_svg import DARK, STYLE

_LIGHT: Final = """
  --ground: #ffffff; --raised: #f6f8fa; --ink: #1b1f24; --quiet: #57606a; --rule: #d0d7de;
  --bar: #0072b2; --second: #e69f00; --good: #00785a; --bad: #b3400a; --track: #e7ebef;
  --ternary: #0072b2; --int8: #009e73; --int16: #56b4e9; --float32: #d55e00; --none: #8c959f;
  --chip: #ffffff;
"""
_NIGHT: Final = """
  --ground: #0d1117; --raised: #161b22; --ink: #e6edf3; --quiet: #9198a1; --rule: #30363d;
  --bar: #2f81c7; --second: #e69f00; --good: #3fb68b; --bad: #ff8a4c; --track: #21262d;
  --ternary: #2f81c7; --int8: #1f9d78; --int16: #56b4e9; --float32: #e0702a; --none: #6e7681;
  --chip: #0d1117;
"""

CSS: Final = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_NIGHT} }} }}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ margin: 0 auto; padding: 20px 16px 48px; max-width: 1040px; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }}
h1 {{ font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.12rem; margin: 2.2rem 0 .5rem; }}
p {{ margin: .35rem 0; max-width: 70ch; }}
.quiet {{ color: var(--quiet); }} .small {{ font-size: .86rem; }}
.verdict {{ font-weight: 600; }} .good {{ color: var(--good); }} .bad {{ color: var(--bad); }}
code, .name {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace;
  font-size: .86em; overflow-wrap: anywhere; }}
.tiles {{ display: grid; gap: 10px; margin: 1rem 0;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }}
.tile {{ background: var(--raised); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 12px; }}
.tile b {{ display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }}
.track {{ height: 6px; background: var(--track); border-radius: 3px; margin-top: 6px;
  overflow: hidden; }}
.track i {{ display: block; height: 100%; background: var(--bar); }}
.track i.over {{ background: var(--bad); }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th {{ text-align: left; font-weight: 600; color: var(--quiet); font-size: .82rem;
  border-bottom: 1px solid var(--rule); padding: 4px 10px 4px 0; vertical-align: bottom; }}
td {{ border-bottom: 1px solid var(--rule); padding: 5px 10px 5px 0; vertical-align: top; }}
.right {{ text-align: right; white-space: nowrap; }}
.wide {{ overflow-x: auto; }} .wide > svg {{ min-width: 640px; width: 100%; height: auto;
  display: block; }}
.bars {{ display: grid; gap: 3px 10px; align-items: center; margin: .5rem 0;
  grid-template-columns: minmax(0, 13rem) minmax(60px, 1fr) minmax(6.5rem, max-content);
  font-variant-numeric: tabular-nums; }}
.bars .label {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  direction: rtl; text-align: left; }}
.bars .label bdi {{ direction: ltr; unicode-bidi: isolate; }}
.bar {{ position: relative; height: 14px; background: var(--track); border-radius: 2px; }}
.bar i {{ position: absolute; left: 0; top: 0; height: 100%; background: var(--bar);
  border-radius: 2px; }}
.bar i.second {{ top: 4px; height: 6px; background: var(--second); }}
.bar u {{ position: absolute; top: -2px; bottom: -2px; width: 2px; background: var(--bad); }}
.chips {{ display: flex; flex-wrap: wrap; gap: 3px; margin: .5rem 0; }}
.chip {{ padding: 2px 7px; border-radius: 4px; color: var(--chip); font-size: .78rem;
  font-weight: 600; max-width: 22rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }}
.chip.mixed {{ background: linear-gradient(90deg, var(--ternary), var(--int8)); }}
.chip.ternary {{ background: var(--ternary); }} .chip.int8 {{ background: var(--int8); }}
.chip.int16 {{ background: var(--int16); color: #0d1117; }}
.chip.float32 {{ background: var(--float32); }}
.chip.none {{ background: transparent; color: var(--quiet); border: 1px solid var(--rule); }}
.legend {{ display: flex; flex-wrap: wrap; gap: 4px 16px; }}
.key {{ display: inline-block; width: 12px; height: 12px; border-radius: 2px;
  margin-right: 5px; vertical-align: -1px; background: var(--bar); }}
.key.second {{ background: var(--second); }} .key.port {{ background: var(--int8); }}
.key.stripes {{ background: repeating-linear-gradient(45deg, var(--second) 0 3px,
  transparent 3px 6px); }} .key.limit {{ background: var(--bad); width: 3px; }}
.plots {{ display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); }}
.plots svg {{ width: 100%; height: auto; max-width: 420px; }}
.plots text {{ fill: var(--quiet); font-size: 11px; }}
.plots .rule {{ stroke: var(--rule); }} .plots .same {{ stroke: var(--quiet);
  stroke-dasharray: 4 3; }}
.plots circle {{ fill: var(--bar); fill-opacity: .55; }}
{STYLE}
@media (prefers-color-scheme: dark) {{ {DARK} }}
.plan {{ --on: var(--ground); }}
@media (min-width: 641px) {{ .wide td {{ white-space: nowrap; }}
  .wide table {{ font-size: .87em; }} }}
@media (max-width: 640px) {{
  body {{ padding: 14px 12px 40px; font-size: 14px; }}
  .bars {{ grid-template-columns: minmax(0, 8.5rem) minmax(40px, 1fr) max-content; }}
  table.stack thead {{ display: none; }}
  table.stack tr {{ display: block; padding: 5px 0; border-bottom: 1px solid var(--rule); }}
  table.stack td {{ display: inline-block; max-width: 100%; border: 0; padding: 0 8px 0 0;
    text-align: left; white-space: normal; overflow-wrap: anywhere; }}
  table.stack td[data-title]:not(:empty)::before {{ content: attr(data-title) " ";
    color: var(--quiet); font-size: .86em; }}
  table.plain td[data-title]::before {{ content: none !important; }}
  table.plain td:nth-child(2) {{ font-weight: 600; }}
}}
@media print {{
{STYLE}
  :root {{ color-scheme: light; {_LIGHT} }}
  body {{ max-width: none; padding: 0; font-size: 10pt; }}
  h2 {{ break-after: avoid; }} tr, .tile, .bars, figure {{ break-inside: avoid; }}
  .wide {{ overflow: visible; }}
  .wide td {{ white-space: normal !important; }}
  .wide > svg {{ min-width: 0; }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
