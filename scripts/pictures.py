"""Save the pictures of compare.html or ablation.html as SVG, for papers and for our own pages.

    python scripts/pictures.py runs/compare-NAME/compare.html --out results/compare/digits --only curves,differences

Needs playwright (of the extra ``dev``) and Debian's chromium (or another one named by CHROMIUM).
"""

import argparse
import base64
import os
import shutil
from pathlib import Path
from urllib.parse import unquote

WIDTH = 900
DRAW = """async ([name, width]) => {
  const picture = document.getElementById(name);
  return await Plotly.toImage(picture, {format: "svg", width, height: picture.layout.height});
}"""


def main() -> None:
    """Save them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for NAME.svg")
    parser.add_argument("--only", default="", help="names of pictures, separated by commas; all by default")
    asked = parser.parse_args()
    if not asked.page.is_file():
        parser.error(f"there is no page {asked.page}; name a compare.html or an ablation.html.")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        parser.error('pictures need playwright: pip install -e ".[dev]".')
    if chromium is None:
        parser.error("pictures need chromium: apt-get install chromium, or name another one by CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(asked.page.resolve().as_uri())
        there = page.eval_on_selector_all(".js-plotly-plot", "all => all.map(each => each.id)")
        if not there:
            parser.error(f"{asked.page} has no pictures of Plotly; name a compare.html or an ablation.html.")
        names = [each for each in asked.only.split(",") if each] or there
        if unknown := [name for name in names if name not in there]:
            parser.error(f"no picture of {asked.page} is called {unknown[0]!r}; there are {', '.join(there)}.")
        asked.out.mkdir(parents=True, exist_ok=True)
        for name in names:
            _, _, content = page.evaluate(DRAW, [name, WIDTH]).partition(",")
            text = unquote(content) if content.startswith("%3C") else base64.b64decode(content).decode()
            (asked.out / f"{name}.svg").write_text(text, encoding="utf-8")
            print(asked.out / f"{name}.svg")
        browser.close()


if __name__ == "__main__":
    main()
