"""One table of the targets out of several results: of other dimensions, encoders or devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_textguided.benchmark.report import figure, target_table
from nnunet_textguided.benchmark.targets import TARGETS
from nnunet_textguided.comparison.markdown_cells import markdown_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256, load_json

HUGE = 1e300
"""Nothing measured is larger; NaN is not smaller."""
ABOUT = ("measured", "device", "dataset", "configuration", "threads", "load_at_the_end")
"""Entries of the provenance that stand beside a file's name."""


def join_results(files: Sequence[Path]) -> dict[str, Any]:
    """Take the measured figure of every target, the worst where several files have one.

    Args:
        files: STEM.json, as the benchmark writes them.

    Returns:
        The content of the JSON file: files and targets.

    Raises:
        UserError: A file is no result of the benchmark or of another version's targets, or two have one name.
    """
    twice = sorted(name for name, count in Counter(file.name for file in files).items() if count > 1)
    if twice:
        raise UserError(f"--join names two files {', '.join(twice)}: give every file a name of its own.")
    results = {file.name: _checked(load_json(file), file) for file in files}
    return {
        "files": [
            {
                "file": file.name,
                "sha256": file_sha256(file),
                **{name: results[file.name]["provenance"].get(name) for name in ABOUT},
                "processor": results[file.name]["provenance"]["hardware"].get("processor"),
            }
            for file in files
        ],
        "targets": _worst_of(results),
    }


def joined_page(joined: Mapping[str, Any]) -> str:
    """Return the table as a page.

    Args:
        joined: Of `join_results`.
    """
    head = ["file", "device", "dataset", "configuration", "threads", "load", "processor", "measured"]
    names = ("device", "dataset", "configuration", "threads", "load_at_the_end", "processor", "measured")
    rows = [[one["file"], *(_cell(one[name]) for name in names)] for one in joined["files"]]
    parts = ["# Benchmark: targets", target_table(joined["targets"]), "## Files", markdown_table(head, rows)]
    return "\n\n".join(parts) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return figure(value) if isinstance(value, float) else str(value)


def _worst_of(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    table = []
    for target in TARGETS:
        found = [
            (row["measured"], file, row["system"])
            for file, result in results.items()
            for row in result["targets"]
            if row["target"] == target.text and row["measured"] is not None
        ]
        measured, file, system = max(found, key=lambda one: one[0], default=(None, None, None))
        met = None if measured is None else measured <= target.limit
        about = {"target": target.text, "limit": target.limit, "measured": measured}
        table.append({**about, "system": system, "met": met, "file": file})
    return table


def _checked(content: Any, file: Path) -> Mapping[str, Any]:
    """Return a result as it was read.

    Raises:
        UserError: It is none, or its targets are not those of this version.
    """
    provenance = content.get("provenance") if isinstance(content, dict) else None
    targets = content.get("targets") if isinstance(content, dict) else None
    hardware = provenance.get("hardware") if isinstance(provenance, dict) else None
    if not isinstance(hardware, dict) or not isinstance(targets, list) or not all(map(_is_target, targets)):
        raise UserError(
            f"{file}: expected a result of `nnunet_textguided benchmark -o STEM` (STEM.json, with provenance and "
            "targets), found another content. Give the files that these runs wrote."
        )
    unknown = [row["target"] for row in targets if row["target"] not in {target.text for target in TARGETS}]
    if unknown:
        raise UserError(
            f"{file}: its target {unknown[0]!r} is none of this version's. Measure again with this version, or join "
            "the files with the one that wrote them."
        )
    return content


def _is_target(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("target"), str):
        return False
    measured, system = row.get("measured"), row.get("system")
    if measured is None:
        return True
    is_number = isinstance(measured, int | float) and not isinstance(measured, bool)
    return is_number and abs(measured) < HUGE and isinstance(system, str)
