"""The result as a Markdown page: measurements with their ratios, then the targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_textguided.comparison.markdown_cells import markdown_table
from nnunet_textguided.files import atomic_path, save_json_atomic

NOT_MEASURED = "not measured"


def write_result(result: Mapping[str, Any], stem: Path) -> tuple[Path, Path]:
    """Write STEM.json and STEM.md.

    Args:
        result: Of `run_benchmark`.
        stem: Path without ending.
    """
    return write_both(result, page(result), stem)


def write_both(content: Mapping[str, Any], text: str, stem: Path) -> tuple[Path, Path]:
    """Write a JSON file and its page beside it.

    Args:
        content: Of the JSON file.
        text: Of the page.
        stem: Path without ending.
    """
    paths = stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.md")
    save_json_atomic(content, paths[0])
    with atomic_path(paths[1]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return paths


def page(result: Mapping[str, Any]) -> str:
    """Return the whole page.

    Args:
        result: Of `run_benchmark`.
    """
    about = result["provenance"]
    parts = [f"# Benchmark: {about['dataset']}, {about['configuration']}, {about['device']}", _introduction(result)]
    for part in result["parts"]:
        rows = [row for row in result["measurements"] if row["part"] == part]
        parts += [f"## {part}", measurement_table(rows) if rows else f"{NOT_MEASURED} on this device."]
    parts += ["## Targets", target_table(result["targets"])]
    parts += ["## Provenance", f"```json\n{json.dumps(about, indent=2)}\n```"]
    return "\n\n".join(parts) + "\n"


def measurement_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay out measurements: median, quartiles in brackets, and the same of the ratios to the reference.

    Args:
        rows: Of the JSON file.
    """
    head = ["quantity", "conditions", "system", "median (quartiles)", "n", "ratio to the reference (quartiles)"]
    cells = [
        [
            row["quantity"],
            ", ".join(f"{name} {value}" for name, value in row["at"].items()),
            row["system"],
            f"{_spread(row)} {'' if row['unit'] in ('share', 'ratio') else row['unit']}".strip(),
            str(row["n"]),
            "-" if row["ratio"] is None else _spread(row["ratio"]),
        ]
        for row in rows
    ]
    return markdown_table(head, cells)


def target_table(targets: Sequence[Mapping[str, Any]]) -> str:
    """Lay out targets beside what was measured; a column says in which file, where several were joined.

    Args:
        targets: Of the JSON file.
    """
    words = {True: "yes", False: "no", None: NOT_MEASURED}
    joined = any("file" in row for row in targets)
    rows = [
        [
            row["target"],
            f"at most {figure(row['limit'])}",
            "-" if row["measured"] is None else figure(row["measured"]),
            row["system"] or "-",
            words[row["met"]],
            *([row["file"] or "-"] if joined else []),
        ]
        for row in targets
    ]
    head = ["target", "limit", "measured", "system", "met", *(["file"] if joined else [])]
    return markdown_table(head, rows)


def figure(value: float) -> str:
    """Print a number with three digits that count.

    Args:
        value: Any.
    """
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}"


def _spread(row: Mapping[str, Any]) -> str:
    if row["n"] == 1:
        return figure(row["median"])
    return f"{figure(row['median'])} ({figure(row['q25'])} to {figure(row['q75'])})"


def _introduction(result: Mapping[str, Any]) -> str:
    about = result["provenance"]
    lines = [
        f"Patch {about['patch_size']}, batch {about['batch_size']}, {about['threads']} threads, "
        f"{about['hardware']['processor']}; reference: {result['reference']}.",
        "",
    ]
    lines += [
        f"- {name}: `{one['trainer']}` with `{one['plans']}`, {one['findings']} findings"
        for name, one in result["systems"].items()
    ]
    return "\n".join(lines)
