"""``python -m lightning_snn.measure``: what a saved network costs and gets right, measured anew.

Exit codes: 0 measured, 2 wrong input (one sentence), 130 and 143 interrupted.
"""

from collections.abc import Sequence

from conf import help as conf_help
from conf.loading import given_keys
from conf.loading import load
from conf.schema import MeasureConfig
from lightning_snn._command import run_command

USAGE = """\
Measure a saved network: accuracy, synaptic operations by layer, firing rates, connectivity, energy.

  python -m lightning_snn.measure runs/NAME
  python -m lightning_snn.measure runs/NAME --split validation --json figures.json
  python -m lightning_snn.measure my-folder/network --data cifar10 --seed 0

FOLDER (the current one by default) is the run of a training or of a search, or a network that save_artifact wrote.
A run brings data, seed, T and what counts, and a --KEY VALUE of yours wins; for any other folder say --data and --seed.
The network is the folder's: --network._target_ names one's own class where there is no run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one network; return the exit code."""
    return run_command(_measure, arguments, help_text, after_interrupt="Nothing was measured.")


def _measure(arguments: Sequence[str]) -> int:
    if arguments and not arguments[0].startswith("--"):
        arguments = [f"folder={arguments[0]}", *arguments[1:]]
    config = load(MeasureConfig, "measure", arguments)
    from lightning_snn._measure_run import measure_network  # only now, with a valid command line: torch takes seconds
    from lightning_snn._saved_run import find_network

    saved = find_network(config.folder, {key.split(".")[0] for key in given_keys(arguments)})
    measure_network(saved, load(MeasureConfig, "measure", arguments, saved.settings))
    return 0


def help_text() -> str:
    """Return what ``--help`` prints: usage, names by group, settings with their defaults."""
    return conf_help.help_text(USAGE, MeasureConfig)


if __name__ == "__main__":
    raise SystemExit(main())
