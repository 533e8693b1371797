"""Ablations from the command line to their files, as small as can be: one of each kind, again, and refused."""

import json
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conf.loading import load
from conf.schema import AblateConfig
from lightning_snn import progress
from search import ablate
from search.ablations import ABLATIONS
from search.ablations import estimator_form
from search.ablations import estimator_samples
from search.ablations import estimator_transfer
from search.ablations import linearity
from search.ablations import scale
from search.ablations import transformer
from search.ablations.ablation import Setting
from search.ablations.variants import CRITERION
from tests.search import test_pipeline

TINY = [each for each in test_pipeline.TINY if "options" not in each]  # not every network has the tiny one's plan
CONDITIONS = ["usual", "one layer least", "no recalibration", "short"]
TRANSFERS = ["here", "target 0.3", "target 0.7", "T = 8", "digits_events", "resnet_small"]
SIZES = ["depth", "depth", "width", "width", "image size", "image size"]
OF_SEARCHES = [*TINY, "--strategy.evaluations", "4"]
ENERGIES = [
    "fp32, layers in the budget",
    *(f"{precision}, all layers" for precision in ("fp32", "fp16", "int8")),
    "dense MACs, fp32 (no sparsity)",
    "Lemaire, arithmetic and neurons",
    "Lemaire, with memory",
]
FILES = {"ablation.html", "ablation.json", "ablation.md", "ablation.tex"}


def run(name: str, runs: Path, *more: str) -> Any:
    """Carry an ablation out, and read what it found."""
    command = [name, *([] if name == "scale" else OF_SEARCHES), "--runs", str(runs), "--name", f"mine-{name}", *more]
    assert ablate.main(command) == 0
    assert {file.name for file in (runs / f"mine-{name}").iterdir()} >= FILES
    return json.loads((runs / f"mine-{name}" / "ablation.json").read_text())


@pytest.mark.parametrize("name", ABLATIONS)
def test_says_what_it_costs_before_it_does_anything(name: str, tmp_path: Path) -> None:
    """Which also composes and checks the settings of every variant."""
    config = load(AblateConfig, "ablate", ["runs=" + str(tmp_path), "seeds=[7]"])
    sentence = pkgutil.resolve_name(ABLATIONS[name][0]).cost(Setting(config, [f"runs={tmp_path}"], tmp_path / "own"))
    assert any(figure.isdigit() for figure in sentence)
    assert sentence.endswith(".")
    assert not list(tmp_path.iterdir())


def test_an_experiment_comes_before_what_variants_share(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [strategy: gp]\nspace:\n  criterion: bn_gamma\n")
    config = load(AblateConfig, "ablate", ["--experiment", str(file)])
    planned = CRITERION.plan(Setting(config, [f"experiment={file}"], tmp_path / "own"))
    assert {each.config.strategy.name for each in planned} == {"gp"}  # the question's own is cmaes
    assert {each.config.space.criterion for each in planned} == set(CRITERION.variants)


def test_an_ablation_has_several_seeds_in_its_experiment_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("seed: 3")
    assert ablate.main(["criterion", "--experiment", str(tmp_path / "mine.yaml")]) == 2
    assert "An ablation has several seeds: found seed." in capsys.readouterr().err


@pytest.mark.slow
def test_searches_side_by_side_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run("first-layer", tmp_path, "--seeds", "0,1", "--workers", "2")
    assert "4 searches are left, with 2 seeds" in capsys.readouterr().out
    assert [(line["variant"], line["seeds"]) for line in found["values"]["lines"]] == [("apart", 2), ("add", 2)]
    assert {name: len(each) for name, each in found["values"]["differences"].items()} == {
        "best validation accuracy": 1,
        "test accuracy after fine-tuning": 1,
        "operations of all layers": 1,
    }
    results = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/result.json")}
    assert len(results) == 4
    assert run("first-layer", tmp_path, "--seeds", "0,1", "--workers", "2") == found
    assert "All searches are there" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/result.json")} == results


@pytest.mark.slow
def test_pools_are_shared_between_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimator_samples, "POOL", 9)
    monkeypatch.setattr(estimator_samples, "HELD_OUT", 4)
    monkeypatch.setattr(estimator_samples, "COUNTS", (3, 5))
    monkeypatch.setattr(progress, "PLAIN_EVERY", 0.0)
    found = run("estimator-samples", tmp_path, "--seeds", "0")
    said = capsys.readouterr().out
    assert "9 samples are left" in said
    assert "seed 0: dense network, epoch 1 of " in said
    assert "9 of 9" in said
    assert [row[0] for row in found["table"]["rows"]] == ["3", "5"]
    monkeypatch.setattr(estimator_form, "POOL", 9)
    monkeypatch.setattr(estimator_form, "OUTSIDE", 3)
    found = run("estimator-form", tmp_path, "--seeds", "0")
    assert "6 samples are left" in capsys.readouterr().out  # those outside of the range, of two targets
    assert {row[0] for row in found["table"]["rows"]} == {*estimator_form.FORMS, estimator_form.BOUND}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "module", "constants", "rows"),
    [
        ("linearity", linearity, {"COUNTS": dict.fromkeys(linearity.COUNTS, 4)}, CONDITIONS),
        ("estimator-transfer", estimator_transfer, {"POOL": 4}, TRANSFERS),
        ("transformer", transformer, {"POOL": 4}, ["0"]),
        ("scale", scale, {"SIZES": tuple(scale.SIZES[n] for n in (0, 1, 4, 5, 8, 9))}, SIZES),
        ("energy", pkgutil.resolve_name("search.ablations.energy"), {"CANDIDATES": 4}, ENERGIES),
    ],
)
def test_runs_from_end_to_end(
    name: str,
    module: ModuleType,
    constants: dict[str, Any],
    rows: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    found = run(name, tmp_path, "--seeds", "0")
    assert [row[0] for row in found["table"]["rows"]] == rows
    assert all(len(row) == len(found["table"]["head"]) for row in found["table"]["rows"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name a question first"),
        (["rewards"], "reward"),
        (["reward", "--reward.beta", "-1"], "reward.beta"),
        (["reward", "--seed", "3"], "seeds"),
        (["criterion", "--space.criterion", "taylor"], "This question sets space.criterion itself"),
        (["reward", "--reward.form", "cliff", "--budget.projection", "false"], "sets reward.form itself"),
        (["scale", "--data", "cifar10"], "scale times networks of its own: --data changes nothing. Leave it out."),
    ],
)
def test_wrong_input_is_refused(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ablate.main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
