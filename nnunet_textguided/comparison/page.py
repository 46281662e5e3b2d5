"""The page of a comparison: one HTML file with everything in it, no scripts, nothing fetched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided import __version__
from nnunet_textguided.comparison.html_table import Table
from nnunet_textguided.comparison.page_style import STYLE
from nnunet_textguided.comparison.page_tables import (
    cost_tables,
    finding_tables,
    segmentation_tables,
    spider_tables,
    structure_tables,
)
from nnunet_textguided.comparison.summary_words import summary_words
from nnunet_textguided.files import atomic_path

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison
    from nnunet_textguided.comparison.figures.illustration import Illustration

SECTIONS = {
    "segmentation": "Segmentation",
    "structures": "Structures",
    "findings": "Findings",
    "spider": "SPIDER's official score",
    "costs": "Costs",
    "cases": "Cases",
}
"""Key of `Illustration.section` -> heading; a section without content is left out."""
_TABLES = {
    "segmentation": segmentation_tables,
    "structures": structure_tables,
    "findings": finding_tables,
    "spider": spider_tables,
    "costs": cost_tables,
}
# A browser then refuses whatever the file might ask for by mistake.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_page(
    comparison: Comparison, figures: Sequence[Illustration], pictures: Sequence[Illustration], path: Path
) -> Path:
    """Write the page.

    Args:
        comparison: What was compared.
        figures: Of `draw_figures`.
        pictures: Of `case_pictures`; none where they are not wanted.
        path: The HTML file.

    Returns:
        The written file.

    Raises:
        UserError: It cannot be written.
    """
    text = comparison_page(comparison, [*figures, *pictures])
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def comparison_page(comparison: Comparison, illustrations: Sequence[Illustration]) -> str:
    """Lay a comparison out.

    Args:
        comparison: What was compared.
        illustrations: Each is shown in its section, after the section's tables.

    Returns:
        A whole HTML document.
    """
    title = escape(f"Comparison on {comparison.grid.title}")
    numbers = itertools.count(1), itertools.count(1)
    sections = {key: "\n".join(_section(comparison, key, illustrations, *numbers)) for key in SECTIONS}
    filled = {key: content for key, content in sections.items() if content}
    links = "".join(f'<a href="#{key}">{escape(SECTIONS[key])}</a>' for key in filled)
    body = "\n".join(
        f'<section id="{key}"><h2>{escape(SECTIONS[key])}</h2>\n{content}</section>' for key, content in filled.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{title}</title><style>{STYLE}</style></head>
<body>
<h1>{title}</h1>
<p class="soft">Reference: {escape(comparison.reference)}. Cases: {len(comparison.cases)}.</p>
<p class="summary">{escape(summary_words(comparison))}</p>
{_list(comparison.notes)}
<nav>{links}<a href="#rules">Rules</a><a href="#provenance">Provenance</a></nav>
{body}
<section id="rules"><h2>Rules</h2>
{_list(comparison.rules)}</section>
<section id="provenance"><h2>Provenance</h2>
{_provenance(comparison.provenance)}
<p class="soft">nnunet_textguided {escape(__version__)}</p></section>
</body>
</html>
"""


def _section(
    comparison: Comparison,
    key: str,
    illustrations: Sequence[Illustration],
    table_numbers: Iterator[int],
    figure_numbers: Iterator[int],
) -> Iterable[str]:
    tables: list[Table] = _TABLES[key](comparison) if key in _TABLES else []
    for table in tables:
        yield table.html(f"Table {next(table_numbers)}")
    for illustration in illustrations:
        if illustration.section == key:
            yield _figure(illustration, figure_numbers)


def _figure(illustration: Illustration, numbers: Iterator[int]) -> str:
    if illustration.figure is None:
        return f'<p class="soft">{escape(illustration.title)}: {escape(illustration.caption)}</p>'
    return (
        f'<figure><img alt="{escape(illustration.alt)}" src="{illustration.data_uri()}">\n'
        f"<figcaption><b>Figure {next(numbers)}. {escape(illustration.title)}.</b> {escape(illustration.caption)}"
        "</figcaption></figure>"
    )


def _list(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _provenance(provenance: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f'<tr><td>{escape(name)}</td><td class="value">{escape(text)}</td></tr>' for name, text in _flat(provenance)
    )
    return f'<div class="box" tabindex="0"><table class="provenance"><tbody>\n{rows}\n</tbody></table></div>'


def _flat(part: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Entries of nested dictionaries, each under the path of its keys."""
    for key, entry in part.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping) and entry:
            yield from _flat(entry, f"{name} / ")
        elif isinstance(entry, list | tuple) and all(not isinstance(one, dict | list) for one in entry):
            yield name, ", ".join(map(str, entry))
        else:
            yield name, entry if isinstance(entry, str) else json.dumps(entry, default=str)
