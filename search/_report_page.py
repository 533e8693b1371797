"""The page that a report is written on: its look, and the pieces it is put together from."""

import html
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

STYLE: Final = """
:root { color-scheme: light; }
body { max-width: 46rem; margin: 0 auto; padding: 1rem 1.1rem 3rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 1rem 0 .4rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p { margin: .5rem 0; }
.verdict { border-left: .35rem solid; padding: .5rem .8rem; margin: 1rem 0; }
.met { border-color: #007a58; background: #eaf6f2; }
.infeasible { border-color: #b84c00; background: #fdf0e8; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
th { font-weight: 600; border-bottom-color: #888; }
figure { margin: 2rem 0; }
figure svg { display: block; width: 100%; max-width: 38rem; height: auto; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif !important; }
figcaption { font-size: .93rem; color: #444; margin-top: .4rem; }
figcaption b { color: #1a1a1a; }
pre { background: #f4f4f4; padding: .7rem .8rem; overflow-x: auto; font-size: .88rem; }
summary { cursor: pointer; font-weight: 600; }
details td { white-space: normal; overflow-wrap: anywhere; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } pre { white-space: pre-wrap; }
  figure, table, .verdict { break-inside: avoid; } h2 { break-after: avoid; } figure svg { max-width: 13cm; } }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """Return a whole HTML document that refers to nothing outside itself.

    Args:
        title: Plain text.
        sections: HTML.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of plain texts; it scrolls by itself where the page is too narrow."""
    lines = [_row("th", head)] if head else []
    lines += [_row("td", row) for row in rows]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def picture(name: str, svg: str, question: str, explanation: str) -> str:
    """Return an SVG picture with its caption: what it answers, and how to read it."""
    labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(question)}" ', 1)
    caption = f"<b>{html.escape(question)}</b> {html.escape(explanation)}"
    return f'<figure id="{name}">\n{labelled}<figcaption>{caption}</figcaption>\n</figure>'


def _row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
