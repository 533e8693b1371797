"""How a number of live weights is shared out among layers: by scores, alike, or by the sizes of layers.

Sources: LAMP's score from Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning" (ICLR 2021); the
Erdős-Rényi kernel rule (ERK) from Evci et al., "Rigging the lottery" (ICML 2020). The floor is ours: LAMP by itself
never empties a layer, but scores that are weighted by layer can.
"""

import math
from collections.abc import Callable
from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_snn.errors import PruningError
from lightning_snn.pruners.masks import Masks

FLOOR = 0.01
"""Share of each layer's weights that lives whatever the scores are, the largest; at least one weight. Ours."""


def lamp_scores(weight: Tensor) -> Tensor:
    """Return ``w_i^2 / sum of w_j^2 over all weights of the layer that are not smaller``, in float64.

    Weights of the same magnitude count in order of their index: the last of them has the highest score. The largest
    weight of a layer has score 1; dead weights (0) have score 0.

    Args:
        weight: Of one layer, any shape.

    Returns:
        Scores of the same shape, in [0, 1].
    """
    squares = weight.detach().double().square().flatten()
    ascending, order = squares.sort(stable=True)
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(squares)
    scores[order] = torch.where(ascending > 0.0, ascending / not_smaller, 0.0)
    return scores.view(weight.shape)


def ranked(scores: Mapping[str, Tensor], magnitudes: Mapping[str, Tensor]) -> Callable[[int], Masks]:
    """Rank the weights of all layers: each layer's floor first, by magnitude, then the others by score.

    Args:
        scores: Layer name -> score of each weight; the higher, the longer it lives.
        magnitudes: Layer name -> magnitude of each weight; dead weights have 0 and stay dead.

    Returns:
        Number of live weights -> masks. Raises PruningError where it is less than the sum of the floors.
    """
    least, flat = least_live(magnitudes), []
    for name, score in scores.items():
        values, magnitude = score.double().flatten().clone(), magnitudes[name].flatten()
        values[top(magnitude, least[name])] = math.inf
        values[magnitude == 0.0] = -math.inf
        flat.append(values)
    everything = torch.cat(flat)
    order = everything.argsort(descending=True, stable=True)

    def masks(live: int) -> Masks:
        if live < sum(least.values()):
            raise PruningError(
                f"{FLOOR:.0%} of each layer's weights stay, {sum(least.values())} in all, found {live} asked for. "
                "Choose a lower sparsity."
            )
        chosen = torch.zeros(len(everything), dtype=torch.bool, device=everything.device)
        chosen[order[:live]] = True
        chosen &= everything > -math.inf
        parts = torch.split(chosen, [score.numel() for score in scores.values()])
        return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}

    return masks


def by_layer(magnitudes: Mapping[str, Tensor], counts: Mapping[str, int]) -> Masks:
    """Let the largest ``counts[layer]`` weights of each layer live."""
    masks = {}
    for name, magnitude in magnitudes.items():
        flat = torch.zeros(magnitude.numel(), dtype=torch.bool, device=magnitude.device)
        flat[top(magnitude.flatten(), counts[name])] = True
        masks[name] = flat.view(magnitude.shape) & (magnitude > 0.0)
    return masks


def uniform_counts(shapes: Mapping[str, torch.Size], live: int) -> dict[str, int]:
    """Return live weights by layer, the same share of each, one at least."""
    share = live / sum(shape.numel() for shape in shapes.values())
    return {name: max(1, round(share * shape.numel())) for name, shape in shapes.items()}


def erk_counts(shapes: Mapping[str, torch.Size], live: int) -> dict[str, int]:
    """Return live weights by layer: density in proportion to ``sum of the axes' sizes / product``, at most 1.

    Layers that the rule would fill beyond their size are full, and the others share what is left.
    """
    wanted = {name: float(sum(shape)) for name, shape in shapes.items()}  # density x size
    full: set[str] = set()
    over = {""}
    while over:
        rest = live - sum(shapes[name].numel() for name in full)
        scale = rest / max(1.0, sum(share for name, share in wanted.items() if name not in full))
        over = {name for name in shapes if name not in full and scale * wanted[name] > shapes[name].numel()}
        full |= over
    return {
        name: shape.numel() if name in full else max(1, round(scale * wanted[name])) for name, shape in shapes.items()
    }


def least_live(magnitudes: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the floor of each layer, in weights."""
    return {name: max(1, math.ceil(FLOOR * magnitude.numel())) for name, magnitude in magnitudes.items()}


def top(values: Tensor, count: int) -> Tensor:
    """Return the places of the ``count`` largest values; of equal ones, the first."""
    return values.sort(descending=True, stable=True).indices[:count]
