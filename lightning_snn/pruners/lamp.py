"""LAMP: one global number of live weights, shared out among layers by LAMP's score."""

from torch import nn

from lightning_snn.pruners._layer_shares import lamp_scores
from lightning_snn.pruners._layer_shares import ranked
from lightning_snn.pruners._masks import weighted_layers
from lightning_snn.pruners._weights import Allocation
from lightning_snn.pruners._weights import WeightPruner


class Lamp(WeightPruner):
    """Layer-adaptive magnitude pruning (Lee et al., ICLR 2021); the floor of each layer is ours."""

    name = "lamp"

    def allocation(self, network: nn.Module) -> Allocation:
        """Rank all weights by LAMP's score."""
        weights = {name: layer.weight.detach() for name, layer in weighted_layers(network).items()}
        scores = {name: lamp_scores(weight) for name, weight in weights.items()}
        magnitudes = {name: weight.abs() for name, weight in weights.items()}
        return ranked(scores, magnitudes)
