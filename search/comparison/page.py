"""``compare.html``: one file with the table and the pictures of a comparison; it needs no network."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from lightning_snn.files import write_text
from search._page import page
from search._page import sortable_table
from search.comparison import figures
from search.comparison.canvas import PLOTLY
from search.comparison.summary import Comparison
from search.comparison.tables import cells
from search.comparison.tables import legend
from search.comparison.verdict import verdict

CAPTIONS: Final = {
    "curves": (
        "Who finds good networks, and how soon?",
        "Best accuracy of a network within the budget so far, mean over seeds; bands are one standard error. "
        "A search that ended early is drawn on with its last value. "
        "What ends far below is named at the lower edge; a double click into the picture shows it. "
        "Click on a name to hide it, twice to see it alone.",
    ),
    "differences": (
        "Is it better than the reference?",
        "Differences are taken seed by seed, as a seed's dense network is shared. Whiskers are 95 % "
        "intervals; what crosses the dashed line may be chance, and open marks have no interval (one seed, or the same "
        "difference with each). What is far off is written, not drawn.",
    ),
    "fronts": (
        "What is left after fine-tuning, and at which cost?",
        "Measured on test data. Large marks are means with standard errors, small ones single searches; dashed lines "
        "are budgets, the dotted one is the dense networks' mean. No test was made on this picture.",
    ),
    "pareto": (
        "Which trade-offs did each search see?",
        "The best accuracy that a search saw at no more than so many predicted SynOps, before fine-tuning, mean over "
        "seeds from where all have one. The dashed line is the budget; a double click shows networks above it. No test "
        "was made on this picture.",
    ),
    "ranks": (
        "Who comes first, seed by seed?",
        "Mean rank over the seeds that all have; ties share. Ranks say nothing of how far apart, and no test was made.",
    ),
}
"""What each picture answers, and how to read it."""


def write_page(file: Path, comparison: Comparison) -> None:
    """Write the page; replaced atomically."""
    sections = [*_sections(comparison), _searches(comparison, file.parent.parent)]
    write_text(file, page(comparison.title, sections, wide=True))


def _sections(comparison: Comparison) -> Iterator[str]:
    yield f"<h1>{html.escape(comparison.title)}</h1>"
    count = len(comparison.outcomes)
    yield (
        f"<p>{count} searches; those with the same seed share the dense network, and those that rank channels alike "
        "the estimator too.</p>"
    )
    for title, why in comparison.failed.items():
        yield f'<p class="verdict infeasible"><b>{html.escape(title)}</b> has no result: {html.escape(why)}</p>'
    yield f'<p class="verdict">{html.escape(verdict(comparison))}</p>'
    yield sortable_table(*cells(comparison))
    yield f"<p><small>{html.escape(legend(comparison))}</small></p>"
    yield f"<script>{get_plotlyjs()}</script>"
    several = len(comparison.targets) > 1
    for target in comparison.targets:
        suffix = f"-{target:g}" if several else ""
        if several:
            yield f"<h2>Budget {100 * target:g} %</h2>"
        yield _picture(f"curves{suffix}", figures.curves_figure(comparison, target))
        if comparison.reference is not None:
            yield _picture(f"differences{suffix}", figures.differences_figure(comparison, target))
        yield _picture(f"pareto{suffix}", figures.pareto_figure(comparison, target))
        yield _picture(f"ranks{suffix}", figures.ranks_figure(comparison, target))
    if several:
        yield "<h2>All budgets</h2>"
    yield _picture("fronts", figures.fronts_figure(comparison))
    yield f"<h2>To do it again</h2>\n<pre>{html.escape(comparison.command)}</pre>"


def _searches(comparison: Comparison, beside: Path) -> str:
    """Name all searches, and link those whose folders lie beside the comparison's."""
    items = []
    for each in comparison.outcomes:
        title = html.escape(f"{each.variant}, {100 * each.target:g} %, seed {each.seed}")
        report = Path(each.run, "report.html")
        name = html.escape(each.run)
        if (beside / report).exists():
            name = f'<a href="../{quote(report.as_posix())}">{name}</a>'
        items.append(f"<li>{title}: {name}</li>")
    return "<details>\n<summary>All searches</summary>\n<ul>\n" + "\n".join(items) + "\n</ul>\n</details>"


def _picture(name: str, figure: go.Figure) -> str:
    question, explanation = CAPTIONS[name.partition("-")[0]]
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=PLOTLY)
    caption = f"<b>{html.escape(question)}</b> {html.escape(explanation)}"
    return f"<figure>\n{drawn}\n<figcaption>{caption}</figcaption>\n</figure>"
