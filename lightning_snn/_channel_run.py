"""One image through a copy of the network at one time step, and what Torch-Pruning's graph makes of it.

Axes: T time steps, B batch (one image), C channels, H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor
from torch import nn

from lightning_snn._channel_functions import correct_mappings
from lightning_snn._single_step_copy import WEIGHTED
from lightning_snn._single_step_copy import StandIn
from lightning_snn._single_step_copy import StandInPruner
from lightning_snn._single_step_copy import folded_copy
from lightning_snn._single_step_copy import in_order
from lightning_snn._single_step_copy import single_step_copy
from lightning_snn.errors import SurgeryError


@dataclass(frozen=True)
class Run:
    """One pass through a copy of the network."""

    graph: tp.DependencyGraph
    input_shapes: dict[nn.Module, tuple[int, ...]]
    """Of layers and neurons, in the order in which they ran."""
    outputs: list[Tensor]
    folded: bool
    """Whether it was a multi-step pass of one step."""


def run_copy(network: nn.Module, image_BCHW: Tensor) -> Run:
    """Run a single-step copy, or one step of a multi-step network if its ``forward`` allows nothing else.

    Raises:
        SurgeryError: If neither runs.
    """
    image_BCHW = in_order(image_BCHW)
    try:
        try:
            return _build_graph(single_step_copy, network, image_BCHW, folded=False)
        except Exception:  # a user's forward can raise anything
            if all(getattr(module, "step_mode", None) != "m" for module in network.modules()):
                raise
            return _build_graph(folded_copy, network, image_BCHW.unsqueeze(0), folded=True)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise SurgeryError(
            f"{type(network).__name__} must run one image in single-step mode, or one step of it in multi-step mode, "
            f"to be traced, found {type(error).__name__}: {reason}. "
            "Use layers with both step modes, no fixed number of steps (loop over those that arrive: for x in x_seq), "
            "and an example that fits."
        ) from error


def _build_graph(copy_of: Callable[[nn.Module], nn.Module], network: nn.Module, x: Tensor, *, folded: bool) -> Run:
    run = Run(tp.DependencyGraph(), {}, [], folded)

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        run.input_shapes[module] = tuple(inputs[0].shape)

    def forward(module: nn.Module, inputs: tuple[Tensor]) -> Any:
        output = module(*inputs)
        run.outputs.extend(tp.utils.flatten_as_list(output))
        return output

    with torch.inference_mode(False), torch.enable_grad():  # dependencies are read from autograd's graph
        copied = copy_of(network)
        for module in copied.modules():
            if isinstance(module, (*WEIGHTED, tp.ops.TORCH_BATCHNORM, StandIn)):
                module.register_forward_pre_hook(record)
        run.graph.build_dependency(
            copied, (x,), forward_fn=forward, customized_pruners={StandIn: StandInPruner()}, verbose=False
        )
    correct_mappings(run.graph, folded=folded)
    return run
