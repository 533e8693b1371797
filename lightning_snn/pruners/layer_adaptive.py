"""LAMP and SLAMP: one global number of live weights, shared out among layers by a score of each weight."""

from dataclasses import replace

from torch import Tensor
from torch import nn

from lightning_snn._fan_out import weighted_layers
from lightning_snn.errors import NetworkError
from lightning_snn.errors import PruningError
from lightning_snn.pruners._layer_shares import lamp_scores
from lightning_snn.pruners._layer_shares import ranked
from lightning_snn.pruners._traces import Traces
from lightning_snn.pruners._traces import distortion_bounds
from lightning_snn.pruners._traces import known_leaks
from lightning_snn.pruners._traces import measure_traces
from lightning_snn.pruners._weights import Allocation
from lightning_snn.pruners._weights import WeightPruner
from lightning_snn.pruners.pruner import Pruned


class Lamp(WeightPruner):
    """Layer-adaptive magnitude pruning (Lee et al., ICLR 2021); the floor of each layer is ours.

    Its notes hold, for each layer and time step, a bound on how far the pruned weights move membrane potentials
    (root mean square over samples; see ``_traces.py``), and the gain that SLAMP weights the layer by; or why not.
    """

    name = "lamp"

    def prune(self, network: nn.Module, round_: int = 1) -> Pruned:
        """Mask the weights that score least, and bound what that does."""
        network = network.to(self.bench.batches[0].device)
        self.traces, unknown = self.measure(network)
        pruned = super().prune(network, round_)
        if unknown:
            return replace(pruned, notes={"distortion_bound_is_unknown": unknown})
        notes = {
            "gain": {name: each.gain for name, each in self.traces.items()},
            "distortion_bound": distortion_bounds(network, pruned.masks, self.traces),
        }
        return replace(pruned, notes=notes)

    def measure(self, network: nn.Module) -> tuple[dict[str, Traces], str]:
        """Return the traces of each layer, or none and why."""
        try:
            return measure_traces(network, self.bench.batches), ""
        except (NetworkError, PruningError) as error:  # the scores do not need them
            return {}, str(error)

    def allocation(self, network: nn.Module) -> Allocation:
        """Rank all weights by score."""
        weights = {name: layer.weight.detach() for name, layer in weighted_layers(network).items()}
        scores = {name: self.score(name, weight) for name, weight in weights.items()}
        return ranked(scores, {name: weight.abs() for name, weight in weights.items()})

    def score(self, layer: str, weight: Tensor) -> Tensor:
        """Return LAMP's score of each weight."""
        return lamp_scores(weight)


class Slamp(Lamp):
    """LAMP's score times what time makes of a layer's input energy: layers whose traces pile up lose less.

    SLAMP (Wang, Ye and Ouyang, arXiv 2603.14946) shares out sparsity by a score that knows time and equals LAMP's at
    T = 1; its equation could not be read. This one is ours: LAMP's score times the measured gain of ``_traces.py``.
    """

    name = "slamp"

    def accept(self, network: nn.Module) -> None:
        """Refuse a network of which the leak of some neurons is not known."""
        super().accept(network)
        known_leaks(network, self.bench.example.to(next(network.parameters()).device))

    def measure(self, network: nn.Module) -> tuple[dict[str, Traces], str]:
        """Return the traces of each layer, which must be known."""
        return measure_traces(network, self.bench.batches), ""

    def score(self, layer: str, weight: Tensor) -> Tensor:
        """Return LAMP's score times the layer's gain; a layer that was not executed has none."""
        silent = Traces(weight.new_zeros(1), weight.new_zeros(1))
        return lamp_scores(weight) * self.traces.get(layer, silent).gain
