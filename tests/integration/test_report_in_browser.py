"""The case report as a reader sees it: rendered by a real browser, on light and dark screens and on paper."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.inference.report import report_folder
from nnunet_textguided.synthetic.dataset import to_sitk
from nnunet_textguided.synthetic.phantom import PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CODES

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    return found or pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a phantom whose prediction is the truth."""
    folder = tmp_path_factory.mktemp("report")
    phantom = generate_phantom(3, PhantomSpec(shape=(7, 160, 96), spacing=(4.0, 2.15, 2.15)))
    for name, array in (("images/p_0000.nii.gz", phantom.t2), ("pred/p.nii.gz", phantom.labels)):
        (folder / name).parent.mkdir(exist_ok=True)
        sitk.WriteImage(to_sitk(array, phantom), str(folder / name))
    labels = {"labels": {"background": 0, **CODES}, "file_ending": ".nii.gz"}
    (folder / "pred" / "dataset.json").write_text(json.dumps(labels))
    findings = []
    for f in phantom.findings:
        entry = {"structure": f.structure, "finding": f.finding, "threshold": 0.5, "present": bool(f.present)}
        entry["probability"] = 0.9 if f.present else 0.1
        if f.present:
            centre = np.array(f.position_mm)
            entry |= {"centroid_mm": list(centre), "box_mm": [list(centre - 4), list(centre + 4)]}
        findings.append(entry)
    structures = [{"structure": name, "volume_mm3": 9000.0, "extent_mm": [50, 40, 30]} for name in CODES]
    content = {"case": "p", "model": {"trainer": "T", "fold": 0}, "findings": findings, "structures": structures}
    (folder / "pred" / "p_findings.json").write_text(json.dumps(content))
    return report_folder(folder / "pred", folder / "images", folder / "out", channel=0)[0]


def browse(browser: str, profile: Path, *options: str) -> None:
    command = [browser, *QUIET.split(), f"--user-data-dir={profile}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def screenshot(browser: str, page: Path, scheme: str, folder: Path) -> np.ndarray:
    target = folder / f"{scheme}.png"
    options = ("--window-size=1100,2600", "--hide-scrollbars", f"--screenshot={target}", SCHEMES[scheme])
    browse(browser, folder / f"profile_{scheme}", *options, page.as_uri())
    return matplotlib.image.imread(target)[..., :3]


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colours (..., 3), WCAG 2.1."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_report_is_readable_on_light_and_dark_screens(browser: str, page: Path, tmp_path: Path):
    for scheme in SCHEMES:
        seen = luminance(screenshot(browser, page, scheme, tmp_path))
        paper = seen[5, 5]
        assert (paper > 0.8) if scheme == "light" else (paper < 0.05)
        title = seen[20:70, 20:300]
        ink = title.min() if scheme == "light" else title.max()
        low, high = sorted((paper, ink))
        assert (high + 0.05) / (low + 0.05) > 7, f"contrast of the title on a {scheme} screen"
        assert np.abs(seen - paper).max(axis=1)[400:].any(), "the picture and the tables are below the title"


def test_boxes_of_findings_are_seen_in_the_picture(browser: str, page: Path, tmp_path: Path):
    seen = screenshot(browser, page, "light", tmp_path)[150:1200]
    dark = seen.max(-1) < 0.3
    red = (seen[..., 0] > 0.8) & (seen[..., 1] < 0.45) & (seen[..., 2] < 0.45)
    assert dark.mean() > 0.05, "the image is shown"
    assert red.sum() > 200


def test_report_prints_as_pages(browser: str, page: Path, tmp_path: Path):
    browse(
        browser, tmp_path / "profile", f"--print-to-pdf={tmp_path / 'p.pdf'}", "--no-pdf-header-footer", page.as_uri()
    )
    data = (tmp_path / "p.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 1 <= data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") <= 4
