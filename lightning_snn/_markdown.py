"""Tables that read well on a terminal and can be pasted into a document."""

from collections.abc import Sequence

from rich.console import Console


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with padded cells: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = [f"{'-' * (width + 1)}{'-' if column == 0 else ':'}" for column, width in enumerate(widths)]
    lines = [
        " | ".join(f"{cell:{'<' if column == 0 else '>'}{widths[column]}}" for column, cell in enumerate(row))
        for row in [header, *rows]
    ]
    return "\n".join([f"| {lines[0]} |", f"|{'|'.join(rule)}|", *(f"| {line} |" for line in lines[1:])])


def print_plain(console: Console, text: str) -> None:
    """Print text as it is: a table that is wrapped or coloured cannot be pasted."""
    console.print(text, soft_wrap=True, highlight=False, markup=False, emoji=False)
