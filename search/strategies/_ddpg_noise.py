"""Exploration: a truncated normal on [0, 1] around the actor, narrower with every episode.

sigma(e) = max(floor, start * decay^(e - warmup)); before the warm-up ends, actions are uniform instead.

    e       episodes learned so far
    decay   AMC: 0.95, floor 0; ours: chosen so that sigma reaches its floor at 90 % of the evaluations

Source: AMC (He et al., ECCV 2018, code mit-han-lab/amc); the floor and the choice of its decay are ours.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.special import ndtri

from search.errors import SearchError
from search.strategies._ddpg_replay import Floats

FLOOR_REACHED_AT = 0.9
"""Share of the evaluations after which sigma stays at its floor (ours): the last tenth only refines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseSchedule:
    """Standard deviation of the exploration, in units of the action range."""

    warmup: int
    """Episodes with uniform actions."""
    start: float
    """Sigma of the first episode after them."""
    floor: float
    """Least sigma."""
    decay: float
    """Factor per episode, in (0, 1]."""

    def __post_init__(self) -> None:
        """Refuse a schedule that cannot be."""
        if self.warmup < 0:
            raise SearchError(f"warmup counts episodes, found {self.warmup}. Use 0 or more.")
        if not 0.0 <= self.floor <= self.start or self.start <= 0.0:
            raise SearchError(
                "Noise must fall from a positive noise_start to a noise_floor of at least 0, found "
                f"{self.start} and {self.floor}. Use for example 0.5 and 0.02."
            )
        if not 0.0 < self.decay <= 1.0:
            raise SearchError(f"noise_decay must lie in (0, 1], found {self.decay}. AMC uses 0.95 per episode.")

    def sigma(self, episodes: int) -> float:
        """Return sigma after this many learned episodes."""
        return max(self.floor, self.start * self.decay ** (episodes - self.warmup))


def decay_to_floor(start: float, floor: float, *, warmup: int, evaluations: int) -> float:
    """Return the decay with which sigma falls from start to floor by 90 % of the evaluations.

    Raises:
        SearchError: If the floor is not positive: no factor ever reaches 0.
    """
    if floor <= 0.0 or start <= 0.0:
        raise SearchError(
            f"No noise_decay takes sigma from {start} to a noise_floor of {floor}. "
            "Use a positive floor, or give noise_decay."
        )
    episodes = max(1.0, FLOOR_REACHED_AT * evaluations - warmup)
    return float((floor / start) ** (1.0 / episodes))


def truncated_normal(mean: Floats, sigma: float, quantile: Floats) -> Floats:
    """Return quantiles of the normal distributions around ``mean``, truncated to [0, 1].

    x = mean + sigma Phi^-1(Phi(l) + q (Phi(h) - Phi(l))), l = -mean / sigma, h = (1 - mean) / sigma: exact, and one
    uniform number a draw, so that a stream stays in step whatever the actor says.

    Args:
        mean: In [0, 1], so that the interval is never in a far tail.
        sigma: 0 or greater; 0 returns the mean.
        quantile: Uniform on [0, 1).
    """
    if sigma == 0.0:
        return mean
    low, high = ndtr(-mean / sigma), ndtr((1.0 - mean) / sigma)
    drawn: Floats = np.clip(mean + sigma * ndtri(low + quantile * (high - low)), 0.0, 1.0)
    return drawn
