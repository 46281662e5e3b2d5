"""Fixtures: the tiny data set with findings, and plans that train for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_dataset import SMALL

from nnunet_textguided.findings.annotations import Annotation, write_findings

FINDINGS = {
    "bulge": {"term": "bulging of the disc", "applies_to": ["L5/S"]},
    "fracture": {"term": "fracture of the vertebra", "applies_to": ["L5", "S"]},
}


@pytest.fixture
def annotated(tiny_dataset: Path) -> Iterator[Path]:
    """The tiny data set with findings: every second case bulges, fractures of the first four cases are assessed."""
    saved = {name: (tiny_dataset / name).read_bytes() for name in ("dataset.json",)}
    dataset_json = json.loads(saved["dataset.json"])
    dataset_json["text_guidance"] = {"findings": FINDINGS}
    (tiny_dataset / "dataset.json").write_text(json.dumps(dataset_json))
    rows = [Annotation(f"case_{n:02d}", "L5/S", "bulge", n % 2) for n in range(12)]
    rows += [Annotation(f"case_{n:02d}", "L5", "fracture", int(n == 1)) for n in range(4)]
    write_findings(rows, tiny_dataset / "findings.csv")
    yield tiny_dataset
    (tiny_dataset / "findings.csv").unlink(missing_ok=True)
    for name, content in saved.items():
        (tiny_dataset / name).write_bytes(content)


@pytest.fixture
def finding_plans(annotated: Path, results: Path) -> Iterator[str]:
    """Identifier of plans that choose all findings, for the small text-guided network."""
    from nnunet_textguided.trainers.plan import write_text_guided_plans

    path = write_text_guided_plans(annotated, name="nnUNetPlansFindings", options=SMALL, findings=["all"])
    yield path.stem
    for file in annotated.glob("nnUNetPlansFindings*"):
        file.unlink()
