"""The look of the page: light and dark screens, and paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #16181d; --soft: #5b6270; --line: #d8dce3; --tint: #eef3fc;
  --mark: #3566c8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #eceff4; --soft: #a4acba; --line: #343a45;
  --tint: #1d2735; --mark: #7ea6ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0; } p.soft, p.rules { color: var(--soft); } p.rules { font-size: .78rem; margin: .3rem 0 0; }
p.summary { border-left: 4px solid var(--mark); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; font-size: 1.05rem;
  overflow-wrap: anywhere; }
nav { margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; } nav a { color: var(--mark); }
ul { margin: .3rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.table, figure { margin: 1.4rem 0; }
.box { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
caption, figcaption { text-align: left; padding: .2rem 0 .4rem; }
caption { font-size: .94rem; } figcaption { font-size: .86rem; color: var(--soft); overflow-wrap: anywhere; }
figcaption b { color: var(--ink); }
th, td { text-align: left; padding: .26rem .55rem; vertical-align: top; }
th { border-bottom: 2px solid var(--line); font-weight: 600; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } td.number { white-space: nowrap; }
th:first-child, td:first-child { min-width: 7rem; }
tr.reference td { background: var(--tint); }
table.provenance td { overflow-wrap: anywhere; } table.provenance td:first-child { width: 22rem; color: var(--soft); }
td.value { font-family: ui-monospace, monospace; font-size: .78rem; white-space: pre-wrap; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line); }
@page { margin: 12mm; }
@media print { :root { font-size: 11px; } body { max-width: none; padding: 0; font-size: 11px; }
  :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --tint: #eef3fc; --mark: #3566c8; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  nav { display: none; } .box { overflow: visible; } td.number { white-space: normal; }
  th:first-child, td:first-child { min-width: 0; }
  table { font-size: 9px; } th, td { padding: .12rem .3rem; } tr, figure, p { break-inside: avoid; }
  h2, caption { break-after: avoid; } thead { display: table-header-group; }
  figure img { max-height: 230mm; width: auto; max-width: 100%; border: 0; } }
"""
