"""The pages in a real browser: no error, no request, not too wide for a phone; tables sort, pictures react.

Needs Debian's chromium (or another one named by CHROMIUM).
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.ablations.estimator_samples import COUNTS
from search.ablations.estimator_samples import conclude
from search.ablations.finding import write_finding
from search.comparison.page import write_page
from search.run_page import write_report
from tests.search.comparison.test_summary import OUTCOMES
from tests.search.comparison.test_summary import made
from tests.search.records import record

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PHONE, DESK = 390, 1200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import numpy as np

    folder = tmp_path_factory.mktemp("pages")
    write_report(folder / "report.html", record())
    write_page(folder / "compare.html", made(OUTCOMES))
    errors_SNK = np.linspace(0.02, 0.01, 3 * len(COUNTS) * 3).reshape(3, len(COUNTS), 3)
    question = "How many samples does the line need?"
    write_finding(folder, "estimator-samples", question, conclude(errors_SNK, 0.95), "python -m search.ablate")
    return {page.stem: page for page in folder.glob("*.html")}


class Visit:
    """A page that was opened, with all that went wrong on it and all it asked for."""

    def __init__(self, browser: Any, file: Path, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.file = file

    def column(self, table: str, index: int) -> list[str]:
        cells = self.page.locator(f"{table} tr td:nth-child({index + 1})")
        return [text.strip() for text in cells.all_text_contents()]


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["report", "compare", "ablation"])
def test_pages_open_without_error_request_or_overflow(
    name: str, width: int, browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    visit = Visit(browser, pages[name], width)
    visit.page.wait_for_timeout(500)
    assert visit.wrong == []
    assert visit.asked == [pages[name].as_uri()]
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    image = visit.page.screenshot(full_page=True, path=tmp_path / "page.png")
    assert len(image) > 20_000  # an empty page has a few thousand bytes


def test_a_click_on_a_head_sorts_the_trials_by_number(browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages["report"], DESK)
    head = visit.page.locator("table.sortable th", has_text="accuracy")
    before = visit.column("table.sortable", 1)
    head.click()
    down = visit.column("table.sortable", 1)
    assert down == sorted(before, key=_number, reverse=True) != before
    head.press("Enter")
    assert visit.column("table.sortable", 1) == sorted(before, key=_number)
    assert head.get_attribute("aria-sort") == "ascending"


def _number(text: str) -> float:
    return -1.0 if text in ("nan", "") else float(text)


def test_a_row_of_a_trial_names_its_channels(browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages["report"], DESK)
    row = visit.page.locator("table.sortable tr").nth(1)
    assert row.get_attribute("title") == "conv1: 8 of 8, conv2: 8 of 16"


def test_a_click_on_a_name_hides_its_curve(browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages["compare"], DESK)
    visible = "document.getElementById('curves').data.filter(each => each.visible !== 'legendonly').length"
    visit.page.wait_for_function("document.querySelectorAll('#curves .legendtoggle').length > 0")
    before = visit.page.evaluate(visible)
    visit.page.locator("#curves .legendtoggle").first.click()
    visit.page.wait_for_function(f"{visible} < {before}")
    assert visit.wrong == []


@pytest.mark.parametrize("name", ["report", "compare"])
def test_pages_print(name: str, browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages[name], DESK)
    visit.page.emulate_media(media="print")
    assert len(visit.page.pdf()) > 10_000


def test_the_report_says_its_figures_without_scripts(browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["report"].as_uri())
    assert page.locator("table.sortable tr").count() == 1 + 6
    assert page.locator("figure svg").count() == 6
    context.close()
