"""Synaptic operations (SynOps) of a spiking network: the definition and the meter.

One operation = one non-zero input value meeting one non-zero weight inside the real input area, at one time
step. Per sample: summed over the T time steps, mean over all samples. A layer whose inputs were all -1, 0 or
1 in the whole measurement counts *accumulates*, any other layer *MACs*; both are counted alike. Not counted:
bias, normalisation, pooling, residual additions, neuron updates, products of two activations.

Source: ours. On binary networks it equals NeuroBench's ``SynapticOperations`` (a test).
"""

import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any
from typing import ClassVar
from typing import Self
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.utils.hooks import RemovableHandle

from lightning_snn._any_output import run_any_output
from lightning_snn._fan_out import WeightedLayer
from lightning_snn._layer_counter import LayerCounter
from lightning_snn._matrix_products import MatrixProductWatch
from lightning_snn._synops_report import AnalogHidden
from lightning_snn._synops_report import FirstLayer
from lightning_snn._synops_report import LayerSynOps
from lightning_snn._synops_report import SynOpsReport
from lightning_snn._synops_report import summarise
from lightning_snn._wrappers import unwrapped
from lightning_snn.errors import NetworkError

__all__ = ["LayerSynOps", "SynOpsMeter", "SynOpsReport", "measure_synops"]

REFUSED = (_ConvTransposeNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.MultiheadAttention)
"""Layers with weights that this counter does not see: a refusal is better than a total that lacks them."""
ANALOG_SHARE = 0.1
"""Share of all operations above which hidden analog layers outside the total deserve a warning."""


class SynOpsMeter:
    """Count operations while a network runs.

    ::

        meter = SynOpsMeter(network)
        with meter:
            for x_TBCHW in batches:
                meter.start_batch(*x_TBCHW.shape[:2])
                logits_TBK = run_network(network, x_TBCHW)
        report = meter.report()

    Counts add up over several ``with`` blocks. Inside one block weights must not change, because fan-outs are
    looked up once. Nested blocks of one meter count once.
    """

    _warned_of_products: ClassVar[bool] = False

    def __init__(
        self,
        network: nn.Module,
        *,
        first_layer: FirstLayer = "apart",
        analog_hidden: AnalogHidden = "add",
        synapses: nn.Module | None = None,
    ) -> None:
        """Prepare to count.

        Args:
            network: Convolutions and linear layers in any container, in either step mode.
            first_layer: The layer executed first: in the total (``"add"``), reported but not in the total
                (``"apart"``), or neither in the total nor in the sums of the columns (``"drop"``).
            analog_hidden: Whether operations of later layers with analog input are in the total
                (``"add"``) or not (``"apart"``).
            synapses: A network of the same layers whose non-zero weights are the live synapses; by default
                ``network`` itself.

        Raises:
            ValueError: If an option has another value.
            NetworkError: If a layer's operations cannot be counted.
        """
        _check_option("first_layer", first_layer, get_args(FirstLayer))
        _check_option("analog_hidden", analog_hidden, get_args(AnalogHidden))
        for name, module in network.named_modules():
            if isinstance(module, REFUSED):
                raise NetworkError(
                    f"SynOps are counted in convolutions and linear layers, found {type(module).__name__} as "
                    f"layer {name or 'network'}. Build it from those, or measure the network without it."
                )
        self._network = network
        self._synapses = dict((synapses or network).named_modules())
        self._first_layer = first_layer
        self._analog_hidden = analog_hidden
        self._counters: dict[str, LayerCounter] = {}  # in order of execution
        self._batches: list[tuple[int, int]] = []  # time steps and batch size of each
        self._handles: list[RemovableHandle] = []
        self._products = MatrixProductWatch()
        self._watching = ExitStack()
        self._depth = 0
        self._warned_of_analog = False

    def __enter__(self) -> Self:
        """Start to watch the layers."""
        self._depth += 1
        if self._depth == 1:
            self._watching.enter_context(self._products)
            for counter in self._counters.values():
                counter.forget_fan_out()
            for name, module in self._network.named_modules():
                if isinstance(module, WeightedLayer):
                    self._handles.append(self._watch(name, module))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; the counts stay."""
        self._depth -= 1
        if self._depth == 0:
            self._watching.close()
            while self._handles:
                self._handles.pop().remove()

    def start_batch(self, time_steps: int, batch_size: int) -> None:
        """Announce one batch, before the network runs on it once.

        Args:
            time_steps: T of the batch.
            batch_size: B of the batch.

        Raises:
            ValueError: If either is below 1.
        """
        if time_steps < 1 or batch_size < 1:
            raise ValueError(
                f"A batch needs a time step and a sample at least, found T={time_steps} and B={batch_size}. "
                "Leave empty batches out."
            )
        self._batches.append((time_steps, batch_size))

    def report(self) -> SynOpsReport:
        """Return all figures so far, as means per sample.

        Raises:
            ValueError: If nothing was counted yet.
        """
        if not self._counters:
            raise ValueError(
                "SynOps need at least one batch through a convolution or a linear layer, found none. "
                "Call start_batch and run the network inside `with meter:`."
            )
        layers = {}
        operations_N = {}
        for position, (name, counter) in enumerate(self._counters.items()):
            operations_N[name] = self._by_sample(counter)
            layers[name] = _describe(counter, operations_N[name], is_first=position == 0)
        report = summarise(layers, operations_N, self._first_layer, self._analog_hidden)
        self._warn_of_hidden_analog(report)
        self._warn_of_products()
        return report

    def _watch(self, name: str, layer: WeightedLayer) -> RemovableHandle:
        synapses = self._synapses[name]
        assert isinstance(synapses, WeightedLayer)

        @torch.no_grad()
        def count(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], __: Any) -> None:
            if not self._batches:
                raise ValueError(
                    f"SynOpsMeter must know the sizes of a batch: layer {name} ran before any was announced. "
                    "Call start_batch(time_steps, batch_size) first."
                )
            counter = self._counters.setdefault(name, LayerCounter(name, synapses))
            counter.count(args[0] if args else kwargs["input"], len(self._batches) - 1, *self._batches[-1])

        # After the layer's forward: masks that a forward pre-hook applies are then in its weight.
        return layer.register_forward_hook(count, with_kwargs=True)

    def _by_sample(self, counter: LayerCounter) -> NDArray[np.float64]:
        """Operations of every sample ``[N]``; a batch that did not reach the layer cost nothing."""
        return np.concatenate(
            [
                counter.operations_B[batch].cpu().numpy() if batch in counter.operations_B else np.zeros(size)
                for batch, (_, size) in enumerate(self._batches)
            ]
        )

    def _warn_of_hidden_analog(self, report: SynOpsReport) -> None:
        if self._analog_hidden == "add" or self._warned_of_analog:
            return
        hidden = sum(layer.macs for layer in report.layers.values() if not layer.is_first)
        everything = report.accumulates + report.macs
        if hidden > ANALOG_SHARE * everything:
            self._warned_of_analog = True
            warnings.warn(
                f"Hidden layers with analog input do {hidden / everything:.0%} of all operations, and the "
                "total lacks them. Measure with analog_hidden='add' to have them in the budget.",
                stacklevel=3,
            )

    def _warn_of_products(self) -> None:
        if self._products.seen and not self._warned_of_products:
            SynOpsMeter._warned_of_products = True  # once a process: a search measures hundreds of networks
            warnings.warn(
                "Products of two activations (attention) are not counted, and this network has some. "
                "Compare its SynOps with those of networks that have the same products.",
                stacklevel=3,
            )


def measure_synops(
    network: nn.Module,
    batches: Iterable[Tensor],
    *,
    first_layer: FirstLayer = "apart",
    analog_hidden: AnalogHidden = "add",
) -> SynOpsReport:
    """Measure the operations of a network in evaluation mode.

    Training flags are put back afterwards, and the neurons are reset.

    Args:
        network: As for :class:`SynOpsMeter`, with SpikingJelly neurons. Of wrappers (``DataParallel``,
            ``torch.compile``, ...) what they hold is measured.
        batches: Inputs ``[T, B, C, H, W]`` on the network's device; sizes may differ from batch to batch.
        first_layer: As for :class:`SynOpsMeter`.
        analog_hidden: As for :class:`SynOpsMeter`.

    Returns:
        Means per sample, summed over T; every sample weighs the same.

    Raises:
        ValueError: If an option is unknown, there is no batch, or a batch is no tensor.
        NetworkError: If a layer's operations cannot be counted, or it is a ``SpikingClassifier`` that holds a network.
    """
    network = unwrapped(network)
    meter = SynOpsMeter(network, first_layer=first_layer, analog_hidden=analog_hidden)
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), meter:
            for x_TBCHW in batches:
                if not isinstance(x_TBCHW, Tensor):
                    raise ValueError(
                        f"A batch must be one input [T, B, C, H, W], found a {type(x_TBCHW).__name__}. "
                        "Leave the labels out, and put time first with forward.to_time_first."
                    )
                meter.start_batch(*x_TBCHW.shape[:2])
                run_any_output(network, x_TBCHW)
    finally:
        functional.reset_net(network)
        for module, training in was_training.items():
            module.training = training
    return meter.report()


def _describe(counter: LayerCounter, operations_N: NDArray[np.float64], *, is_first: bool) -> LayerSynOps:
    samples = len(operations_N)
    operations = float(operations_N.sum()) / samples
    analog = bool(counter.analog)
    return LayerSynOps(
        accumulates=0.0 if analog else operations,
        macs=operations if analog else 0.0,
        dense=counter.dense / samples,
        input_rate=float(counter.nonzero) / counter.values,
        is_first=is_first,
        analog=analog,
        connectivity=float(counter.connectivity),
        channel_operations=counter.channel_operations_C.cpu().numpy() / samples,
    )


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, found {value!r}. Pick one of these.")
