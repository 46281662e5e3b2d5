"""The HTML of a case report: one file, no scripts, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nnunet_textguided import __version__

NOTICE = "Research software, not a medical device: not for diagnosis or treatment."

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #16181d; --soft: #5b6270; --line: #d8dce3; --bar: #3566c8;
  --hit: #c62828; --tint: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #eceff4; --soft: #a4acba; --line: #343a45;
  --bar: #7ea6ff; --hit: #ff8a80; --tint: #3a1f22; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
p.soft, td.soft { color: var(--soft); } p.soft { margin: 0; }
p.notice { border: 1px solid var(--hit); color: var(--hit); padding: .4rem .7rem; margin: .9rem 0; }
img { max-width: 100%; height: auto; display: block; background: #101318; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .28rem .6rem; }
th { border-bottom: 2px solid var(--line); font-weight: 600; } td { border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.present td { background: var(--tint); } tr.present td.name { color: var(--hit); font-weight: 600; }
.track { position: relative; width: 9rem; height: .7rem; background: var(--line); }
.fill { position: absolute; inset: 0 auto 0 0; background: var(--bar); } tr.present .fill { background: var(--hit); }
.mark { position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; background: var(--ink); }
@media print { body { max-width: none; padding: 0; font-size: 11px; }
  :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --bar: #3566c8; --hit: #b71c1c;
    --tint: #ffffff; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } tr, img { break-inside: avoid; } }
"""


def report_page(content: Mapping[str, Any], picture: bytes) -> str:
    """Lay out a case.

    Args:
        content: Of `CASE_findings.json`, findings in the order to show.
        picture: PNG.

    Returns:
        A whole HTML document.
    """
    present = sum(bool(finding["present"]) for finding in content["findings"])
    case = escape(str(content["case"]))
    data = base64.b64encode(picture).decode()
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{case}</title><style>{_STYLE}</style></head>
<body>
<h1>{case}</h1>
<p class="soft">{present} of {len(content["findings"])} findings present, {len(content["structures"])} structures</p>
<p class="notice">{NOTICE}</p>
<img alt="Sagittal slices with segmented structures and boxed findings" src="data:image/png;base64,{data}">
<h2>Findings</h2>
{_findings(content["findings"])}
<h2>Structures</h2>
{_structures(content["structures"])}
<h2>Model</h2>
<p class="soft">{escape(_model(content["model"]))}; nnunet_textguided {escape(__version__)}</p>
</body>
</html>
"""


def _findings(findings: Sequence[Mapping[str, Any]]) -> str:
    if not findings:
        return '<p class="soft">None of the structures that are asked for findings was segmented.</p>'
    rows = "\n".join(_finding(number, finding) for number, finding in enumerate(findings, start=1))
    head = "<th>#</th><th>structure</th><th>finding</th><th>probability</th><th></th><th>place (x, y, z mm, LPS)</th>"
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"


def _finding(number: int, finding: Mapping[str, Any]) -> str:
    share, mark = 100 * finding["probability"], 100 * finding["threshold"]
    bar = (
        f'<div class="track" role="img" aria-label="{share:.0f} %"><div class="fill" style="width:{share:.1f}%"></div>'
        f'<div class="mark" style="left:{mark:.1f}%" title="threshold"></div></div>'
    )
    place = ", ".join(str(round(value)) for value in finding["centroid_mm"]) if finding["present"] else ""
    row = ' class="present"' if finding["present"] else ""
    return (
        f'<tr{row}><td>{number}</td><td>{escape(finding["structure"])}</td><td class="name">'
        f'{escape(finding["finding"])}</td><td>{bar}</td><td class="number">{share:.0f} %</td>'
        f'<td class="soft">{place}</td></tr>'
    )


def _structures(structures: Sequence[Mapping[str, Any]]) -> str:
    rows = "\n".join(
        f'<tr><td>{escape(s["structure"])}</td><td class="number">{s["volume_mm3"] / 1000:.1f}</td>'
        f'<td class="number">{" x ".join(f"{value:.0f}" for value in s["extent_mm"])}</td></tr>'
        for s in structures
    )
    head = '<th>structure</th><th class="number">volume (ml)</th><th class="number">extent (x, y, z mm)</th>'
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"


def _model(model: Mapping[str, Any]) -> str:
    if "ensemble" in model:
        return "ensemble of " + ", ".join(_model(part) for part in model["ensemble"])
    return ", ".join(f"{key} {value}" for key, value in model.items())
