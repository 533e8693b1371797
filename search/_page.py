"""The page that a report is written on: its look, and the pieces it is put together from."""

import html
from collections.abc import Iterable
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

STYLE: Final = """
:root { color-scheme: light; }
body { max-width: var(--wide, 46rem); margin: 0 auto; padding: 1rem 1.1rem 3rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 1rem 0 .4rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p { margin: .5rem 0; }
.verdict { border-left: .35rem solid; padding: .5rem .8rem; margin: 1rem 0; }
.met { border-color: #007a58; background: #eaf6f2; }
.infeasible { border-color: #b84c00; background: #fdf0e8; }
.scroll { overflow-x: auto; }
.long { max-height: 80vh; overflow-y: auto; }
.long th { position: sticky; top: 0; background: #fff; box-shadow: inset 0 -1px #888; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
th { font-weight: 600; border-bottom-color: #888; white-space: normal; vertical-align: bottom; }
figure { margin: 2rem 0; }
figure > svg { display: block; width: 100%; max-width: 38rem; height: auto; }
figure > svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif !important; }
figcaption { font-size: .93rem; color: #444; margin-top: .4rem; }
figcaption b { color: #1a1a1a; }
.steps td:nth-child(2) { text-align: left; white-space: normal; }
body.wide { --wide: 80rem; }
.sortable th { cursor: pointer; }
.sortable th[aria-sort="ascending"]::after { content: " \\25b4"; }
.sortable th[aria-sort="descending"]::after { content: " \\25be"; }
pre { background: #f4f4f4; padding: .7rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .88rem; }
summary { cursor: pointer; font-weight: 600; }
details td { white-space: normal; overflow-wrap: anywhere; }
@page wide { size: A4 landscape; margin: 12mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  body.wide { page: wide; } .scroll { overflow: visible; max-height: none; } .long th { position: static; }
  body.wide table { font-size: 6.5pt; } body.wide :is(th, td) { white-space: normal; padding: .12rem .25rem; }
  figure, table, .verdict { break-inside: avoid; } h2 { break-after: avoid; } figure > svg { max-width: 13cm; } }
"""

SORT: Final = """
(() => {
  const table = document.currentScript.previousElementSibling.querySelector("table");
  const number = text => { const found = parseFloat(text.replaceAll(",", "")); return isNaN(found) ? null : found; };
  table.querySelectorAll("th").forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "descending";
      table.querySelectorAll("th").forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...table.querySelectorAll("tr")].slice(1);
      rows.sort((a, b) => {
        const [x, y] = [a, b].map(row => row.cells[column].textContent);
        const [p, q] = [number(x), number(y)];
        const order = p === null || q === null ? (p === q ? x.localeCompare(y) : p === null ? -1 : 1) : p - q;
        return down ? order : -order;
      });
      rows.forEach(row => row.parentNode.append(row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
})();
"""
"""Of the table before the script; without it, the table is as it was written."""


def page(title: str, sections: Iterable[str], *, wide: bool = False) -> str:
    """Return a whole HTML document that refers to nothing outside itself.

    Args:
        title: Plain text.
        sections: HTML.
        wide: Whether it has wide tables.
    """
    width = "wide" if wide else "narrow"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f'<body class="{width}">\n' + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], tips: Iterable[str] = ()) -> str:
    """Return a table of plain texts; it scrolls by itself where the page is too narrow.

    Args:
        head: Titles of the columns; none: no head.
        rows: Cells.
        tips: What is shown where the pointer rests on a row, for the first rows.
    """
    lines = [_row("th", head)] if head else []
    lines += [_row("td", row, tip) for row, tip in zip_longest(rows, tips, fillvalue="")]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def sortable_table(head: Sequence[str], rows: Iterable[Sequence[object]], tips: Iterable[str] = ()) -> str:
    """Return a table that is sorted by a click on a head: by number where cells begin with one, else by text.

    A long one scrolls by itself, below its head.
    """
    plain = table(head, rows, tips)
    made = plain.replace('<div class="scroll"><table>', '<div class="scroll long"><table class="sortable">', 1)
    return f"{made}<script>{SORT}</script>"


def picture(name: str, svg: str, question: str, explanation: str) -> str:
    """Return an SVG picture with its caption: what it answers, and how to read it."""
    labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(question)}" ', 1)
    caption = f"<b>{html.escape(question)}</b> {html.escape(explanation)}"
    return f'<figure id="{name}">\n{labelled}<figcaption>{caption}</figcaption>\n</figure>'


def _row(tag: str, cells: Sequence[object], tip: str = "") -> str:
    title = f' title="{html.escape(tip)}"' if tip else ""
    return f"<tr{title}>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
