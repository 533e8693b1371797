"""What is reported of a network: its figures on validation and test data, its size and its speed."""

import dataclasses
import math
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch
from torch import Tensor
from torch import nn
from torch.utils.hooks import RemovableHandle

from lightning_snn._class_balance import describe_balance
from lightning_snn.forward import run_network
from lightning_snn.forward import step_mode
from lightning_snn.inference import Evaluation
from lightning_snn.task import Task
from lightning_snn.time_axis import by_step
from lightning_snn.time_axis import channel_axis

PACKAGES = ("lightning-snn", "torch", "pytorch-lightning", "spikingjelly", "numpy")


def versions(*more: str) -> dict[str, str]:
    """Return the versions of the packages that every result rests on, and of ``more``."""
    return {name: metadata.version(name) for name in (*PACKAGES, *more)}


def describe_settings(task: Task, test: Evaluation | None = None) -> dict[str, Any]:
    """Return what figures depend on besides the network: data, how they are split, T, seed, and what counts.

    Args:
        task: Data and settings.
        test: A measurement on test data, where there was one.
    """
    config = task.config
    return {
        "data": config.data.name,
        "split_policy": task.data.split_policy,
        "samples": task.data.sizes | ({} if test is None else {"test": test.samples}),
        "skipped_recordings": task.data.skipped,
        "network": config.network._target_ or config.network.name,
        "time_steps": config.network.time_steps,
        "seed": config.seed,
        "synops_switches": dataclasses.asdict(config.synops),
    }


def data_notes(settings: Mapping[str, Any]) -> str:
    """Say what figures must be read with: how the data of :func:`describe_settings` are split, and what they lack."""
    sizes = ", ".join(f"{count:,} {part}" for part, count in settings["samples"].items())
    said = f"Split of the data: {settings['split_policy']}. Samples: {sizes}."
    unreadable = len(settings["skipped_recordings"])
    return f"{said} Unreadable and left out: {unreadable:,}." if unreadable else said


def describe_network(task: Task, network: nn.Module, validation: Evaluation, test: Evaluation) -> dict[str, Any]:
    """Return what is reported of one network: test figures, and what it weighs and takes.

    Of a split with unequal classes also the balanced accuracy and the share of the largest class.
    """
    tensors = [*network.parameters(), *network.buffers()]
    return {
        "validation_accuracy": validation.accuracy,
        "test_accuracy": test.accuracy,
        "synops": test.synops.total,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": test.synops.macs,
        "dense_macs": test.synops.dense,
        "size_bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        "batch_seconds": batch_seconds(task, network),
        "layers": describe_layers(task, network, test),
        **{f"validation_{key}": value for key, value in describe_balance(validation).items()},
        **{f"test_{key}": value for key, value in describe_balance(test).items()},
    }


def share_of(part: float, whole: float) -> float:
    """Return operations per sample as a share of others; NaN where these are fewer than one, too few to divide by."""
    return part / whole if whole >= 1.0 else math.nan


def percent(share: float, digits: int = 1) -> str:
    """Return a share as a table shows it: ``-`` where there is none."""
    return f"{100.0 * share:.{digits}f} %" if math.isfinite(share) else "-"


@torch.no_grad()
def describe_layers(task: Task, network: nn.Module, test: Evaluation) -> dict[str, dict[str, Any]]:
    """Return, for each weighted layer in order of execution, its test SynOps, input rate and output shape.

    The shape is that of one sample at one time step, channels first (behind a linear layer over tokens, these follow).
    """
    x_TBCHW = task.example.to(next(network.parameters()).device)
    steps, batch = x_TBCHW.shape[:2] if step_mode(network) == "m" else (1, x_TBCHW.shape[1])
    shapes: dict[str, list[int]] = {}

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def seen(_: nn.Module, __: Any, output: Tensor) -> None:
            channels = channel_axis(layer, output)
            rest = by_step(name, layer, output, steps, batch).movedim(channels - output.ndim, 2)
            shapes[name] = list(rest.shape[2:])

        return layer.register_forward_hook(seen)

    handles = [watch(name, layer) for name, layer in network.named_modules() if name in test.synops.layers]
    try:
        run_network(network.eval(), x_TBCHW)
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: {
            "synops": layer.operations,
            "in_budget": name in test.synops.budgeted,
            "input_rate": layer.input_rate,
            "output_shape": shapes[name],
        }
        for name, layer in test.synops.layers.items()
    }


@torch.no_grad()
def batch_seconds(task: Task, network: nn.Module, repeats: int = 7) -> float:
    """Return the least time of one forward pass over T steps, in seconds, on a batch of 64 times the example.

    The least and not the mean: other work on the machine, such as searches beside this one, only adds to it.
    """
    x_TBCHW = task.example.expand(-1, 64, *task.example.shape[2:]).to(next(network.parameters()).device)
    network.eval()
    seconds = []
    for _ in range(repeats + 2):  # the first two warm up
        started = time.perf_counter()
        run_network(network, x_TBCHW).sum().item()
        seconds.append(time.perf_counter() - started)
    return min(seconds[2:])
