"""What an ablation found: one table, one picture, one paragraph; and the files that say it."""

import html
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from lightning_snn.files import write_json
from lightning_snn.files import write_text
from search._page import page
from search._page import sortable_table
from search.comparison.canvas import PLOTLY
from search.comparison.tables import latex_table
from search.comparison.tables import markdown_table
from search.comparison.tables import missing_said


@dataclass(frozen=True)
class Finding:
    """One ablation, finished."""

    conclusion: str
    """Drawn from the numbers by a rule that the ablation's docstring states."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: str
    """How table and picture are read."""
    figure: go.Figure
    values: Any
    """The numbers behind it, plain."""
    about: str = ""
    """What it was found on, where that is not simply the data, network and budget of the command."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Searches without a result, and why."""

    @property
    def verdict(self) -> str:
        """Return the conclusion, with what it lacks."""
        lacking = [f"No result of {title}: {why}" for title, why in self.failed.items()]
        return " ".join([self.conclusion, *lacking])


def write_finding(folder: Path, name: str, question: str, finding: Finding, command: str) -> None:
    """Write ``ablation.html``, ``.md``, ``.tex`` and ``.json``; each is replaced whole."""
    legend = f"{finding.about} {finding.legend}"
    drawn = finding.figure.to_html(full_html=False, include_plotlyjs=False, div_id="picture", config=PLOTLY)
    sections = [
        f"<h1>{html.escape(question)}</h1>",
        f'<p class="verdict">{html.escape(finding.verdict)}</p>',
        f"<script>{get_plotlyjs()}</script>",
        f"<figure>\n{drawn}\n<figcaption>{html.escape(legend)}</figcaption>\n</figure>",
        sortable_table(finding.head, finding.rows),
        f"<h2>To do it again</h2>\n<pre>{html.escape(command)}</pre>",
    ]
    write_text(folder / "ablation.html", page(question, sections, wide=True))
    table = markdown_table(finding.head, finding.rows)
    text = f"# {question}\n\n{finding.verdict}\n\n{table}\n{legend}\n\n    {command}\n"
    write_text(folder / "ablation.md", text)
    missing = f" {missing_said(finding.failed)}" if finding.failed else ""
    write_text(folder / "ablation.tex", f"{latex_table(finding.head, finding.rows)}% {legend}{missing}\n")
    values = {
        "schema": 1,
        "name": name,
        "question": question,
        "about": finding.about,
        "conclusion": finding.verdict,
        "command": command,
        "table": {"head": list(finding.head), "rows": [list(row) for row in finding.rows]},
        "values": finding.values,
    }
    write_json(folder / "ablation.json", values)
