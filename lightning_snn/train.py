"""``python -m lightning_snn.train``: train one network, measure it, save it.

Exit codes: 0 trained, 2 wrong input (one sentence), 3 pruned but above the target, 130 and 143 interrupted.
"""

from collections.abc import Sequence

from conf import help as conf_help
from conf.loading import load
from conf.schema import TrainConfig
from lightning_snn._command import run_command

INFEASIBLE = 3
USAGE = """\
Train a spiking network, measure its accuracy and its synaptic operations, and save it.

  python -m lightning_snn.train
  python -m lightning_snn.train --data cifar10 --network vgg16 --trainer.devices 2
  python -m lightning_snn.train --pruning lamp --pruning.target 0.5
  python -m lightning_snn.train --network._target_ my_package.MyNet --name my-net

A run lies in runs/NAME/: network/ (weights and architecture), result.json, metrics.csv (a line an epoch).
The same command goes on after the last finished epoch of an interrupted run, and shows the result of a finished one.
The network is that of the last epoch: none is chosen by its validation accuracy. Test data are read once, at the end.

With --pruning NAME: the dense network (trained once, in runs/_shared), a training with the pruner where it prunes while
it trains (from fresh weights), the cut, fine-tuning. The run also holds masks.safetensors (weights of the dense network
that are left) and a metrics-STAGE.csv for each training. The README lists the pruners' options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one network; return the exit code."""
    return run_command(_train, arguments, help_text)


def _train(arguments: Sequence[str]) -> int:
    config = load(TrainConfig, "train", arguments)
    from lightning_snn._train_run import run_training  # only now, with a valid command line: torch takes seconds

    result = run_training(config)
    budget = None if result is None else result.get("budget")
    return 0 if budget is None or budget["met"] else INFEASIBLE


def help_text() -> str:
    """Return what ``--help`` prints: usage, names by group, settings with their defaults."""
    return conf_help.help_text(USAGE, TrainConfig)


if __name__ == "__main__":
    raise SystemExit(main())
