import dataclasses
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conf.identity import leaves
from conf.schema import DataConfig
from conf.schema import SearchConfig
from search.configuration import load_config
from search.record import RunRecord
from search.run_page import command_of
from search.run_page import write_report
from tests.search.records import constant
from tests.search.records import record
from tests.search.records import result
from tests.search.records import trial

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """Reads a page back: its tags, which must close in order, its ids, its tables and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def row(self, title: str) -> list[str]:
        (found,) = [cells for cells in self.rows if cells[0] == title]
        return found[1:]


def written(run: RunRecord, folder: Path) -> str:
    write_report(folder / "report.html", run)
    return (folder / "report.html").read_text(encoding="utf-8")


def page_of(run: RunRecord, folder: Path) -> Page:
    return Page(written(run, folder))


def test_report_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    text = written(record(), tmp_path)
    page = Page(text)
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"script", "link", "img", "iframe", "object"})
    links = [value for _, name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset")]
    assert links
    assert all(value.startswith("#") for value in links)
    assert re.findall(r"url\((?!#)", text) == []
    assert "@import" not in text


def test_ids_are_unique_and_what_is_referred_to_exists(tmp_path: Path) -> None:
    page = page_of(record(), tmp_path)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in page.attributes if name == "xlink:href"} <= set(ids)


def test_report_fits_a_phone_and_says_its_language(tmp_path: Path) -> None:
    attributes = page_of(record(), tmp_path).attributes
    assert ("meta", "content", "width=device-width, initial-scale=1") in attributes
    assert ("html", "lang", "en") in attributes
    assert sum((tag, name, value) == ("svg", "role", "img") for tag, name, value in attributes) == 6


def test_baseline_and_result_stand_side_by_side(tmp_path: Path) -> None:
    page = page_of(record(), tmp_path)
    assert page.row("test accuracy") == ["94.00 %", "92.75 %", "-1.25 points"]
    assert page.row("validation accuracy") == ["95.00 %", "93.00 %", "-2.00 points"]
    assert page.row("SynOps per sample (test)") == ["2,000", "960", "48.0 %"]
    assert page.row("parameters") == ["1,200", "300", "25.0 %"]
    assert page.row("MACs per sample (analog layers)") == ["80", "20", "25.0 %"]
    assert page.row("dense MACs per sample") == ["6,000", "1,500", "25.0 %"]
    assert page.row("size, KiB") == ["4.0", "1.0", "25.0 %"]
    assert page.row("latency of a batch of 64, ms") == ["20.00", "15.00", "75.0 %"]


def test_network_without_analog_layers_has_no_ratio_of_macs(tmp_path: Path) -> None:
    page = page_of(record(result=result(baseline={"macs": 0.0}, result={"macs": 0.0})), tmp_path)
    assert page.row("MACs per sample (analog layers)") == ["0", "0", "-"]


def test_unequal_classes_bring_balanced_accuracy_and_a_sentence(tmp_path: Path) -> None:
    page = page_of(record(result=result(baseline=constant(), result=constant())), tmp_path)
    assert page.row("test accuracy") == ["92.31 %", "92.31 %", "+0.00 points"]
    assert page.row("balanced test accuracy") == ["50.00 %", "50.00 %", ""]
    assert page.row("largest class (test)") == page.row("largest class (validation)") == ["92.31 %", "92.31 %", ""]
    said = "No better on test data than always answering the largest class (92.31% of the samples), within two standard"
    assert f"{said} errors: dense and result." in page.text
    assert "largest class" not in page_of(record(), tmp_path).text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dense", [0.0, 0.25])
def test_a_dense_network_that_hardly_spikes_on_test_data_is_not_divided_by(dense: float, tmp_path: Path) -> None:
    page = page_of(record(result=result(baseline={"synops": dense}, budget={"met": False})), tmp_path)
    assert page.row("SynOps per sample (test)") == ["0", "960", "-"]
    assert "what was measured is no share of anything, as the dense network hardly spikes on test data" in page.text


def verdict_of(page: Page) -> str:
    (kind,) = [value for tag, name, value in page.attributes if name == "class" and value.startswith("verdict")]
    return kind.removeprefix("verdict ")


def test_heading_says_what_was_searched_and_that_the_budget_is_met(tmp_path: Path) -> None:
    page = page_of(record(), tmp_path)
    assert "vgg_small on digits" in page.text
    assert "Strategy ddpg, budget 50.0 % of the dense network's SynOps, T = 4, seed 3" in page.text
    assert (
        "Split of the data: half and half. Samples: 70 train, 20 validation, 10 test. Unreadable and left out: 1."
        in page.text
    )
    assert "Kept whole, as their channels cannot be followed: attention." in page.text
    assert verdict_of(page) == "met"
    assert "the result needs 48.0 % of the dense network's SynOps; allowed are 50.0 %" in page.text
    assert "nfeasible: the budget" not in page.text


def test_a_search_that_ended_early_says_why(tmp_path: Path) -> None:
    early = record()
    made, trials = early.result["evaluations"], early.result["trials"]
    text = page_of(early, tmp_path).text
    assert f"{made} of 100 evaluations in {trials} trials, as its proposals repeat or are used up." in text
    config = dataclasses.replace(early.config, strategy=dataclasses.replace(early.config.strategy, evaluations=made))
    assert (
        f"{made} of {made} evaluations in {trials} trials."
        in page_of(dataclasses.replace(early, config=config), tmp_path).text
    )


def test_missed_budget_is_clearly_infeasible(tmp_path: Path) -> None:
    missed = result(result={"synops": 1040.0}, budget={"met": False, "tightened": 3})
    page = page_of(record(result=missed), tmp_path)
    assert verdict_of(page) == "infeasible"
    assert "Infeasible: the budget is not met. Measured on test data, the result needs 52.0 %" in page.text
    assert "Budget met" not in page.text
    assert "fine-tuned again, 3 times" in page.text
    assert "On validation data" not in page.text


def test_budget_missed_on_validation_data_alone_is_explained(tmp_path: Path) -> None:
    page = page_of(record(result=result(budget={"met": False})), tmp_path)
    assert verdict_of(page) == "infeasible"
    assert "On validation data" in page.text


@pytest.mark.parametrize(
    ("synops", "where"),
    [
        (860.0, "43.0 % were measured, below"),
        (960.0, "48.0 % were measured, within"),
        (980.0, "49.0 % were measured, above"),
    ],
)
def test_prediction_is_held_against_the_measurement(synops: float, where: str, tmp_path: Path) -> None:
    text = page_of(record(result=result(result={"synops": synops})), tmp_path).text
    assert "Fitted to 4 pruned networks" in text
    assert "SynOps after = 1.190 x before - 55." in text
    assert "mean error of 1.23 %" in text
    assert "predicted 46.0 % of the dense network's SynOps, between 44.0 % and 48.0 % (each bound with 95 %" in text
    assert where in text


def test_prediction_is_not_judged_by_a_network_that_was_tightened(tmp_path: Path) -> None:
    text = page_of(record(result=result(budget={"tightened": 1})), tmp_path).text
    assert "after it was made smaller, 48.0 % were measured." in text
    assert "these bounds" not in text


def test_the_seven_steps_say_what_each_came_to_and_took(tmp_path: Path) -> None:
    hours = {"baseline": 7384.0, "estimator": 90.0, "search": 15.04}
    page = page_of(record(result=result(seconds=hours | {"total": 10000.0})), tmp_path)
    assert page.row("1 settings") == ["digits, vgg_small, budget 50.0 %", "", ""]
    assert page.row("2 dense network") == ["validation accuracy 95.0 %", "2 h 3 min", "73.8 %"]
    assert page.row("3 estimator") == ["4 networks pruned and fine-tuned", "1 min 30 s", "0.9 %"]
    assert page.row("4 search") == ["5 networks measured; best: 70.0 % before fine-tuning", "15.0 s", "0.2 %"]
    assert page.row("5 fine-tuning") == ["validation accuracy 93.0 %", "4.0 s", "0.0 %"]
    assert page.row("6 verification") == ["test accuracy 92.8 %, once", "1.0 s", "0.0 %"]


def test_all_trials_are_listed(tmp_path: Path) -> None:
    page = page_of(record(), tmp_path)
    assert page.row("0") == ["90.00", "58.0", "60.0", "no", "300", "8 8"]  # of 1,000 SynOps; upper bound 600
    assert page.row("4") == ["70.00", "46.0", "48.0", "yes", "300", "2 12"]
    assert ("tr", "title", "conv1: 2 of 8, conv2: 12 of 16") in page.attributes


def test_settings_and_versions_are_listed(tmp_path: Path) -> None:
    page = page_of(record(), tmp_path)
    assert page.row("budget.target") == ["0.5"]
    assert page.row("network._target_") == ["null"]
    assert "torch 2.15.0, optuna 5.0.0" in page.text


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    config = SearchConfig(data=DataConfig(root="<i>&amp;"))
    names = {"baseline": {"widths": {"<u>": 4}}, "result": {"widths": {"<u>": 2}}}
    run = record(result=result(**names) | {"network": "<b>"}, config=config, trials=[])
    page = page_of(run, tmp_path)
    assert page.row("data.root") == ["<i>&amp;"]
    assert "<b> on digits" in page.text
    assert "<u>" in page.text


def test_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(record(), tmp_path / "one") == written(record(), tmp_path / "other")


def test_report_replaces_an_older_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    assert "old" not in written(record(trials=[]), tmp_path)[:3]
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_report_of_a_hundred_trials_stays_small(tmp_path: Path) -> None:
    trials = [trial(n, 0.3 + 0.005 * n, upper=450.0 + n, widths=(1 + n % 8, 1 + n // 8)) for n in range(100)]
    assert len(written(record(trials=trials), tmp_path).encode()) < 400_000


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--strategy", "spear", "--data", "cifar10", "--network", "vgg16", "--seed", "3"],
        [
            "--budget.synops",
            "12000",
            "--data.root",
            "a b",
            "--name",
            "mine",
            "--data.augment",
            "true",
            "--network.options.tau",
            "2.5",
        ],
        ["--network._target_", "mine.Net", "--network.options.name", "it's", "--strategy.options.sizes", "[3, 4]"],
        ["--data.name", "my-own-data", "--network.options.v_reset", "null"],
    ],
)
def test_command_gives_the_same_settings_again(arguments: list[str]) -> None:
    config = load_config(arguments)
    words = shlex.split(command_of(config))
    assert words[:3] == ["python", "-m", "search"]
    assert load_config(words[3:]) == config


def test_command_says_only_what_names_do_not_imply() -> None:
    command = command_of(load_config(["--strategy", "gp", "--budget.target", "0.4"]))
    assert command == "python -m search --data digits --network vgg_small --strategy gp --budget.target 0.4"


def test_leaves_keep_empty_sections() -> None:
    assert list(leaves({"a": {"b": 1, "c": {"d": None}}, "e": {}}, "/")) == [("a/b", 1), ("a/c/d", None), ("e", {})]
