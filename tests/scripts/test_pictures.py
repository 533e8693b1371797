"""Pictures of a page as files, with the program that people call."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from search.comparison.page import write_page
from tests.search.comparison.test_summary import OUTCOMES
from tests.search.comparison.test_summary import made

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")),
        reason="needs chromium: apt-get install chromium",
    ),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("playwright.sync_api")
    file = tmp_path_factory.mktemp("page") / "compare.html"
    write_page(file, made(OUTCOMES))
    return file


def pictures(*arguments: object) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, str(ROOT / "scripts" / "pictures.py"), *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_a_picture_is_saved_with_its_names(page: Path, tmp_path: Path) -> None:
    done = pictures(page, "--out", tmp_path / "there", "--only", "curves")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = (tmp_path / "there").iterdir()
    assert file.name == "curves.svg"
    picture = ElementTree.parse(file).getroot()
    assert picture.tag.endswith("svg")
    assert {each.variant for each in OUTCOMES} <= set(picture.itertext())


@pytest.mark.parametrize(
    ("name", "only", "said"),
    [("compare.html", "curves,ranking", "is called 'ranking'; there are "), ("other.html", "", "there is no page ")],
)
def test_a_mistake_is_one_sentence_and_saves_nothing(
    name: str, only: str, said: str, page: Path, tmp_path: Path
) -> None:
    done = pictures(page.with_name(name), "--out", tmp_path / "there", "--only", only)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "there").exists()
