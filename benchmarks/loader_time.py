"""Does a training wait for its data?

    python benchmarks/loader_time.py cifar10 nmnist --root DIR [--network vgg_small] [--data.options.drop 0.2 ...]

For every data set of ``conf/data``: the time to load a training batch, to vary it (``augment``), and to train one step
on it (forward, backward, optimizer), with the time steps and batch size of ``conf/``. Medians of ``--batches``
batches, the first not counted. ``setup`` is the time until the first batch can be asked for; on the first run that
includes making event frames. All other settings read as those of ``python -m lightning_snn.train``.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import ParamSpec
from typing import TypeVar

import torch
from torch import Tensor
from torch import nn

from conf.loading import load
from conf.schema import TrainConfig
from lightning_snn._command import run_command
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.task import Task

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def main() -> int:
    """Measure and print a table in Markdown; return the exit code."""
    return run_command(_measure, None, _parser().format_help, after_interrupt="Give the command again.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--root", default="data", help="folder of the data sets")
    parser.add_argument("--network", default="vgg_small")
    parser.add_argument("--batches", type=int, default=10)
    return parser


def _measure(words: Sequence[str]) -> int:
    arguments, settings = _parser().parse_known_args(words)
    print("| data | network | T | batch | device | setup s | load ms | vary ms | step ms | share of load and vary |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in arguments.data:
        chosen = ["--data", name, "--network", arguments.network, "--data.root", arguments.root]
        config = load(TrainConfig, "train", [*chosen, "--training", "digits", *settings])
        torch.set_num_threads(config.threads)
        print(row(config, arguments.batches), flush=True)
    return 0


def row(config: TrainConfig, batches: int) -> str:
    """Return one line of the table."""
    task, setup_s = timed(Task, config)
    device = task.device
    network = task.new_network().to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loader = iter(task.data.train_dataloader())

    def load_batch() -> list[Tensor]:
        return [part.to(device) for part in next(loader)]

    def vary(x: Tensor) -> Tensor:
        return task.data.augmented(x) if task.data.augment else x

    def step(x: Tensor, y_B: Tensor) -> None:
        logits_TBK = run_network(network, to_time_first(x, task.time_steps))
        torch.autograd.backward(nn.functional.cross_entropy(logits_TBK.mean(dim=0), y_B))
        optimizer.step()
        optimizer.zero_grad()

    seconds = []
    for _ in range(batches + 1):
        (x, y_B), load_s = timed(load_batch)
        x, vary_s = timed(vary, x)
        _, step_s = timed(step, x, y_B)
        seconds.append((load_s, vary_s, step_s))
    load_ms, vary_ms, step_ms = (1000 * statistics.median(part) for part in zip(*seconds[1:], strict=True))
    share = (load_ms + vary_ms) / (load_ms + vary_ms + step_ms)
    return (
        f"| {config.data.name} | {config.network.name} | {task.time_steps} | {config.data.batch_size} "
        f"| {device.type} | {setup_s:.1f} | {load_ms:.1f} | {vary_ms:.1f} | {step_ms:.0f} | {share:.1%} |"
    )


def timed(
    act: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> tuple[Result, float]:
    """Return the result and the seconds that it took, the device's work included."""
    start = time.perf_counter()
    result = act(*arguments, **named)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
