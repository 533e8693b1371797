"""The command line: help without heavy imports, one sentence and code 2 for a mistake, other codes for other ends."""

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conf.schema import SearchConfig
from datamodules import DATAMODULES
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.errors import SurgeryError
from lightning_snn.networks import NETWORKS
from search.cli import help_text
from search.cli import main
from search.errors import SearchError
from search.strategies import STRATEGIES

Search = Callable[[SearchConfig], dict[str, Any]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, and put the signal handler back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def search_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[Search], None]:
    """Put a function in the place of the whole search."""

    def put(search: Search) -> None:
        module = types.ModuleType("search.pipeline")
        module.run_search = search  # type: ignore[attr-defined]  # a stand-in
        monkeypatch.setitem(sys.modules, "search.pipeline", module)

    return put


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--strategy", "ddgp"], "Did you mean 'ddpg'?"),
        (["--budgt.target", "0.4"], "Did you mean 'budget.target'?"),
        (["--budget.target", "40"], "budget.target is a share"),
        (["--seed"], "--seed needs a value"),
        (["ddpg"], "found 'ddpg'"),
        (["--seed", "1.5"], "seed must be a whole number"),
        (["--data", "none"], "No data set is called"),
        (["--strategy.options.x", "[1,"], "strategy.options.x cannot be used"),
    ],
)
def test_a_mistake_is_one_line_and_code_two_and_writes_nothing(
    arguments: list[str],
    found: str,
    elsewhere: Path,
    capsys: pytest.CaptureFixture[str],
    search_is: Callable[[Search], None],
) -> None:
    search_is(lambda config: pytest.fail("must not start"))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert found in err
    assert err.count("\n") == 1
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("error", [SearchError, NetworkError, SurgeryError, ArtifactError])
def test_what_a_user_can_mend_is_one_line_wherever_it_is_found(
    error: type[Exception], capsys: pytest.CaptureFixture[str], search_is: Callable[[Search], None]
) -> None:
    def search(config: SearchConfig) -> dict[str, Any]:
        raise error("Two\n  lines of text.")

    search_is(search)
    assert main([]) == 2
    assert capsys.readouterr().err == "error: Two lines of text.\n"


def test_an_error_of_ours_is_not_hidden(search_is: Callable[[Search], None]) -> None:
    search_is(lambda config: {})  # without the key that the command looks at
    with pytest.raises(KeyError, match="budget"):
        main([])


@pytest.mark.parametrize(("met", "code"), [(True, 0), (False, 3)])
def test_the_code_says_whether_the_budget_is_met(met: bool, code: int, search_is: Callable[[Search], None]) -> None:
    search_is(lambda config: {"budget": {"met": met}})
    assert main(["--strategy", "random"]) == code


def test_the_search_gets_the_settings(search_is: Callable[[Search], None]) -> None:
    seen: list[SearchConfig] = []

    def search(config: SearchConfig) -> dict[str, Any]:
        seen.append(config)
        return {"budget": {"met": True}}

    search_is(search)
    main(["--strategy", "random", "budget.target=0.4"])
    assert (seen[0].strategy.name, seen[0].budget.target) == ("random", 0.4)


def test_an_interrupted_search_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], search_is: Callable[[Search], None]
) -> None:
    def interrupted(config: SearchConfig) -> dict[str, Any]:
        raise KeyboardInterrupt

    search_is(interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err == "Interrupted. The same command goes on from here.\n"


def test_a_terminated_search_unwinds_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], search_is: Callable[[Search], None]
) -> None:
    unwound: list[bool] = []

    def terminated(config: SearchConfig) -> dict[str, Any]:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the signal must end it")
        except Exception:
            pytest.fail("nothing may swallow it")
        finally:
            unwound.append(True)

    search_is(terminated)
    assert main([]) == 143
    assert unwound == [True]
    assert capsys.readouterr().err == "Terminated. The same command goes on from here.\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["--seed", "1", "--help"]])
def test_help_is_printed_whatever_else_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == help_text() + "\n"


def test_help_names_every_strategy_data_set_and_network() -> None:
    for title, names in (("Strategies", STRATEGIES), ("Data sets", DATAMODULES), ("Networks", NETWORKS)):
        section = help_text().split(f"{title} (--")[1].split("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines()[1:]] == sorted(names)


def test_help_names_settings_with_their_defaults_and_meaning() -> None:
    lines = help_text().splitlines()
    for line in (
        "  seed=0                              Root of all random numbers, 0 or greater",
        "  name=null                           Folder of the run, below runs; null: main settings and a hash of all",
        "  budget.target=0.5                   Share of the dense network's SynOps, above 0 and at most 1",
        "  space.recalibration_batch_size=128  Training samples in each of them",
        "  data.augment=False                  Whether training batches are varied at random",
        "training.*, finetuning.*: recipes, whose defaults come with the data or --training NAME:",
        "  optimizer           Optimiser: sgd or adamw",
    ):
        assert line in lines


def test_help_imports_neither_torch_nor_hydra(elsewhere: Path) -> None:
    script = (
        "import sys; from search.cli import main; code = main(['--help']); "
        "heavy = {'torch', 'hydra', 'omegaconf', 'optuna', 'numpy', 'pytorch_lightning'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(code)"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Strategies (--strategy NAME):" in found.stdout
    assert found.stderr == ""
    assert list(elsewhere.iterdir()) == []


def test_the_module_runs_as_a_command(elsewhere: Path) -> None:
    command = [sys.executable, "-m", "search", "--strategy", "ddgp"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: No strategy is called 'ddgp'. Did you mean 'ddpg'?\n"
    assert list(elsewhere.iterdir()) == []
