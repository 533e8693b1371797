"""Names of runs: those of earlier versions stay, so that their folders are found; content makes other ones."""

import dataclasses

import pytest

from conf.identity import dense_folder
from conf.identity import identity
from conf.identity import places
from conf.loading import load
from conf.schema import ContentConfig
from conf.schema import SearchConfig
from conf.schema import TrainConfig
from lightning_snn._train_tracking import train_run_name
from search.configuration import run_name
from search.configuration import shared_folders

FOUND = ContentConfig(data="d", network="n", baseline=None)


@pytest.mark.parametrize(
    ("arguments", "name", "dense", "samples"),
    [
        ([], "digits-vgg_small-ddpg-0.5-s0-4fcd365e81", "798bd66798", "samples-f9d3491d32"),
        (
            ["--strategy", "cmaes", "--budget.target", "0.3"],
            "digits-vgg_small-cmaes-0.3-s0-eabbdb661d",
            "798bd66798",
            "samples-513284d900",
        ),
        (
            ["--data", "event_folder", "--data.root", "x", "--network", "dvs_compact"],
            "event_folder-dvs_compact-ddpg-0.5-s0-d1c92251d7",
            "22a7b175a4",
            "samples-b00695fa5f",
        ),
        (
            ["--baseline.artifact", "runs/dense/network"],
            "digits-vgg_small-ddpg-0.5-s0-f7ed6a841b",
            "b640f7d202",
            "samples-f9d3491d32",
        ),
        (
            ["--budget.synops", "1000"],
            "digits-vgg_small-ddpg-1000synops-s0-ef67513652",
            "798bd66798",
            "samples-9bbd3e5292",
        ),
    ],
)
def test_searches_of_earlier_versions_have_the_names_that_they_had(
    arguments: list[str], name: str, dense: str, samples: str
) -> None:
    """Printed by the version that did not record content."""
    config = load(SearchConfig, "search", arguments)
    assert run_name(config) == name
    assert [folder.name for folder in shared_folders(config)] == [dense, samples]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [([], "digits-vgg_small-train-s0-f9ce5b991f"), (["--pruning", "lamp"], "digits-vgg_small-lamp-s0-5d2a668e87")],
)
def test_trainings_of_earlier_versions_have_the_names_that_they_had(arguments: list[str], name: str) -> None:
    assert train_run_name(load(TrainConfig, "train", arguments)) == name


@pytest.mark.parametrize("part", ["data", "network", "baseline"])
def test_content_makes_another_run_and_another_dense_network(part: str) -> None:
    config = dataclasses.replace(load(SearchConfig, "search", []), content=FOUND)
    other = dataclasses.replace(config, content=dataclasses.replace(FOUND, **{part: "x"}))
    assert run_name(other) != run_name(config)
    assert dense_folder(other) != dense_folder(config)


def test_places_make_no_other_run_where_content_is_known() -> None:
    here, there = (
        dataclasses.replace(
            load(SearchConfig, "search", ["--data.root", place, "--baseline.artifact", place]), content=FOUND
        )
        for place in ("here", "there")
    )
    assert identity(here) == identity(there)
    assert places(here) == {"data.root": "here", "baseline.artifact": "here"}
