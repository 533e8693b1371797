"""Actor and critic: two hidden layers each, drawn from a given generator and never from torch's global one.

Axes: B batch, F features of a state.
Source: AMC (He et al., ECCV 2018, code mit-han-lab/amc).
"""

import torch
from torch import Tensor
from torch import nn


class Actor(nn.Module):
    """State -> action in (0, 1)."""

    def __init__(self, features: int, hidden: int, generator: torch.Generator) -> None:
        """Draw the weights."""
        super().__init__()
        self.layers = nn.Sequential(
            _linear(features, hidden, generator),
            nn.ReLU(),
            _linear(hidden, hidden, generator),
            nn.ReLU(),
            _linear(hidden, 1, generator),
            nn.Sigmoid(),
        )

    def forward(self, state_BF: Tensor) -> Tensor:
        """Return actions, ``[B, 1]``."""
        action_B1: Tensor = self.layers(state_BF)
        return action_B1


class Critic(nn.Module):
    """State and action -> expected return; the two embeddings are added in the first layer, as in AMC."""

    def __init__(self, features: int, hidden: int, generator: torch.Generator) -> None:
        """Draw the weights."""
        super().__init__()
        self.embed_state = _linear(features, hidden, generator)
        self.embed_action = _linear(1, hidden, generator)
        self.layers = nn.Sequential(
            nn.ReLU(), _linear(hidden, hidden, generator), nn.ReLU(), _linear(hidden, 1, generator)
        )

    def forward(self, state_BF: Tensor, action_B1: Tensor) -> Tensor:
        """Return values, ``[B, 1]``."""
        value_B1: Tensor = self.layers(self.embed_state(state_BF) + self.embed_action(action_B1))
        return value_B1


@torch.no_grad()
def soft_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move every parameter of the target by the share ``tau`` towards the source."""
    for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
        slow.lerp_(fast, tau)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Return a layer with torch's own distribution of weights, U(+-1/sqrt(inputs)), drawn from ``generator``."""
    layer = nn.Linear(inputs, outputs, device="meta", dtype=torch.float32).to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer
