"""DDPG of the published kind: AMC's settings, raw ratios, the target-aware reward in place of projection.

SPEAR (Xie et al., arXiv 2507.02945) says DDPG layer by layer with SynOps in the reward alone; the settings of its
agent could not be read, so AMC's stand in for them. ``conf/strategy/spear.yaml`` switches projection off.
"""

from search.space import SearchContext
from search.strategies.ddpg import AMC_OPTIONS
from search.strategies.ddpg import DDPGSampler


def build(*, seed: int, context: SearchContext | None = None, warmup: int = 100) -> DDPGSampler:
    """Return the agent; ``warmup`` episodes act uniformly, so give it 400 evaluations or more."""
    return DDPGSampler(seed, context=context, **{**AMC_OPTIONS, "warmup": warmup})
