"""The page of a comparison as a reader sees it: rendered by a real browser, on wide and narrow screens and on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk
from toy_comparison import toy_comparison

from nnunet_textguided.comparison.case_pictures import case_pictures, chosen_cases
from nnunet_textguided.comparison.figures.draw_all import draw_figures
from nnunet_textguided.comparison.page import write_page
from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.synthetic.dataset import to_sitk
from nnunet_textguided.synthetic.phantom import PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CODES

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"
# The page itself allows no script, so a copy of it is measured.
MEASURE = """<script>addEventListener("load", () => {
const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.right, r.width, r.height]; };
const all = (s, f) => [...document.querySelectorAll(s)].map(f);
const found = {page: [document.documentElement.scrollWidth, innerWidth], text: getComputedStyle(document.body).color,
  images: all("img", e => [e.complete, e.naturalWidth, e.naturalHeight, ...box(e)]),
  boxes: all(".box", e => [...box(e), e.scrollWidth, e.clientWidth, getComputedStyle(e).overflowX]),
  tables: all("table", box)};
const out = document.createElement("pre"); out.id = "measured"; out.textContent = JSON.stringify(found);
document.body.append(out); });</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    return found or pytest.skip(f"no browser: install one of {', '.join(BROWSERS)}")


def make_page(folder: Path, labels: tuple[str, ...]) -> Path:
    """A page of 20 cases with pictures: phantoms, predicted as they are or without their upper half."""
    comparison = toy_comparison(labels, structures=SPINE_STRUCTURES)
    folders = SimpleNamespace(raw=folder / "raw", results=folder / "results")
    raw = folders.raw / comparison.grid.dataset
    for seed, case in enumerate(chosen_cases(comparison).values()):
        phantom = generate_phantom(seed, PhantomSpec(shape=(7, 160, 96), spacing=(4.0, 2.15, 2.15)))
        cut = phantom.labels.copy()
        cut[:, :80] = 0
        files = {
            raw / "imagesTr" / f"{case}_0000.nii.gz": phantom.t2,
            raw / "labelsTr" / f"{case}.nii.gz": phantom.labels,
        }
        for number, system in enumerate(comparison.grid.systems):
            run = comparison.grid.runs_of(system)[system.plans[0]][0]
            labelled = cut if number % 2 else phantom.labels
            files[run.fold_folder(folders.results) / "validation" / f"{case}.nii.gz"] = labelled
        for file, array in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(to_sitk(array, phantom), str(file))
    content = {"labels": {"background": 0, **CODES}, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(content))
    return write_page(comparison, draw_figures(comparison), case_pictures(comparison, folders), folder / "page.html")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("three"), ("Text-guided", "Visual only", "nnU-Net"))


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = tuple(f"{number}: a label of some length <&>" for number in range(12))
    return make_page(tmp_path_factory.mktemp("twelve"), labels)


def browse(browser: str, profile: Path, *options: str) -> str:
    command = [browser, *QUIET.split(), f"--user-data-dir={profile}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def measure(browser: str, page: Path, folder: Path, width: int) -> dict:
    """Return where things lie, in CSS pixels."""
    text = page.read_text(encoding="utf-8")
    copy = folder / "measured.html"
    copy.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", text).replace("</body>", f"{MEASURE}</body>"))
    options = (f"--window-size={width},900", "--virtual-time-budget=5000", "--dump-dom", LIGHT)
    dumped = browse(browser, folder / f"profile{width}", *options, copy.as_uri())
    return json.loads(re.search(r'<pre id="measured">(.*?)</pre>', dumped, re.DOTALL).group(1))


@pytest.mark.parametrize("width", [1250, 600])
@pytest.mark.parametrize("name", ["page", "wide_page"])
def test_tables_and_figures_are_visible_and_nothing_is_cut(
    browser: str, name: str, width: int, request: pytest.FixtureRequest, tmp_path: Path
):
    found = measure(browser, request.getfixturevalue(name), tmp_path, width)
    assert found["page"][0] <= found["page"][1], "the page itself never scrolls sideways"
    assert len(found["images"]) == 8  # 5 figures, 3 pictures
    for complete, natural_width, natural_height, left, right, drawn_width, drawn_height in found["images"]:
        assert complete
        assert min(natural_width, natural_height) > 0
        assert left >= 0
        assert right <= found["page"][1]
        assert drawn_width > 0.8 * min(width, 1216)
        assert drawn_height / drawn_width == pytest.approx(natural_height / natural_width, rel=0.02)
    assert len(found["tables"]) == 11
    assert all(height > 20 for *_, height in found["tables"])
    for left, right, *_, scroll, client, overflow in found["boxes"]:
        assert left >= 0
        assert right <= found["page"][1]
        assert scroll <= client or overflow == "auto", "a table wider than its box can be scrolled"
    if name == "page" and width == 1250:
        assert all(scroll <= client for *_, scroll, client, _ in found["boxes"]), "three systems fit without scrolling"


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colours (..., 3), WCAG 2.1."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("scheme", "paper"), [(LIGHT, "light"), (DARK, "dark")])
def test_page_is_readable_on_light_and_dark_screens(browser: str, page: Path, scheme: str, paper: str, tmp_path: Path):
    target = tmp_path / "screen.png"
    options = ("--window-size=1250,2600", "--hide-scrollbars", f"--screenshot={target}", scheme)
    browse(browser, tmp_path / "profile", *options, page.as_uri())
    seen = matplotlib.image.imread(target)[..., :3]
    bright = luminance(seen)
    ground = bright[5, 5]
    assert (ground > 0.8) if paper == "light" else (ground < 0.05)
    title = bright[20:70, 20:400]
    low, high = sorted((ground, title.min() if paper == "light" else title.max()))
    assert (high + 0.05) / (low + 0.05) > 7, "contrast of the title"
    blue = np.abs(seen - np.array([0x00, 0x72, 0xB2]) / 255).max(-1) < 0.02  # the reference's colour
    orange = np.abs(seen - np.array([0xD5, 0x5E, 0x00]) / 255).max(-1) < 0.02
    assert min(blue.sum(), orange.sum()) > 2000, "the figures are drawn"


def test_page_prints_within_the_paper(browser: str, page: Path, tmp_path: Path):
    target = tmp_path / "page.pdf"
    browse(browser, tmp_path / "profile", f"--print-to-pdf={target}", "--no-pdf-header-footer", page.as_uri())
    data = target.read_bytes()
    assert data.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type /Page\b", data)) <= 14
